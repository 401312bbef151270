#include "node/alert_service.h"

#include "common/log.h"
#include "common/strings.h"

namespace tessera::node {

using monitoring::Alert;
using monitoring::AlertState;

namespace {

// Of its event. A figure is told as it is written: events have no fractions.
monitoring::EventDetails details_of(const Alert& alert) {
  monitoring::EventDetails details = {{"rule", alert.rule->name},
                                      {"metric", alert.rule->metric},
                                      {"of", alert.rule->of},
                                      {"is_rate", uint64_t{alert.rule->rate_over_ms != 0}},
                                      {"is_absence", uint64_t{alert.rule->absent_ms != 0}},
                                      {"note", alert.rule->summary}};
  if (alert.subject.gpu) details.push_back({"gpu", uint64_t{*alert.subject.gpu}});
  if (alert.value) details.push_back({"value", str_format("%.6g", *alert.value)});
  return details;
}

}  // namespace

Json alert_json(const Alert& alert, int64_t now_ms, uint64_t wall_ms) {
  const auto wall = [&](int64_t ms) { return static_cast<int64_t>(wall_ms) - (now_ms - ms); };
  Json entry;
  entry["rule"] = alert.rule->name;
  entry["severity"] = monitoring::severity_name(alert.rule->severity);
  entry["state"] = monitoring::alert_state_name(alert.state);
  entry["labels"] = Json::object();
  if (!alert.subject.slice.empty()) entry["labels"]["slice"] = alert.subject.slice;
  if (alert.subject.gpu) entry["labels"]["gpu"] = std::to_string(*alert.subject.gpu);
  entry["metric"] = alert.rule->metric;
  entry["of"] = alert.rule->of.empty() ? Json(nullptr) : Json(alert.rule->of);
  entry["is_rate"] = alert.rule->rate_over_ms != 0;
  entry["is_absence"] = alert.rule->absent_ms != 0;
  entry["value"] = alert.value ? Json(*alert.value) : Json(nullptr);
  entry["since_ms"] = wall(alert.since_ms);
  entry["fired_ms"] = alert.fired_ms ? Json(wall(*alert.fired_ms)) : Json(nullptr);
  entry["resolved_ms"] = alert.resolved_ms ? Json(wall(*alert.resolved_ms)) : Json(nullptr);
  entry["note"] = alert.rule->summary;
  entry["summary"] = monitoring::alert_text(alert);
  return entry;
}

AlertService::AlertService(EventLoop& loop, LeaseService& leases, std::vector<monitoring::AlertRule> rules,
                           std::vector<std::string> webhook)
    : loop_(loop), leases_(leases), engine_(std::move(rules)) {
  if (webhook.empty()) return;
  webhook_ = std::make_unique<LineChild>(
      loop, "webhook", std::move(webhook),
      LineChild::Handlers{[](const std::string& line) { LOG_WARN("webhook", "%s", line.c_str()); }, {}});
  webhook_->start(loop.now_ns());
}

int64_t AlertService::now_ms() const {
  constexpr uint64_t kNsPerMs = 1'000'000;
  return static_cast<int64_t>(loop_.now_ns() / kNsPerMs);
}

void AlertService::add(const monitoring::Subject& subject, const std::vector<monitoring::Figure>& figures) {
  for (const monitoring::Figure& figure : figures) {
    if (engine_.wants(figure.name)) engine_.add(subject, figure.name, figure.value, now_ms());
  }
}

void AlertService::judge() {
  for (const Alert& alert : engine_.judge(now_ms())) tell(alert);
}

void AlertService::tell(const Alert& alert) {
  const bool fires = alert.state == AlertState::kFiring;
  const std::string text = monitoring::alert_text(alert);
  LOG_WARN("alert", "%s: %s", fires ? "fires" : "resolved", text.c_str());
  leases_.tell(fires ? alert.rule->severity : monitoring::Severity::kInfo,
               fires ? "alert_fired" : "alert_resolved", alert.subject.slice, text, details_of(alert));
  if (webhook_) webhook_->tell(json_text(alert_json(alert, now_ms(), loop_.wall_ms())));
}

Json AlertService::told() const {
  Json answer;
  answer["rules"] = rules();
  answer["alerts"] = Json::array();
  for (const Alert& alert : engine_.alerts())
    answer["alerts"].push_back(alert_json(alert, now_ms(), loop_.wall_ms()));
  return answer;
}

void AlertService::tick(uint64_t now_ns) {
  if (webhook_) webhook_->tick(now_ns);
}

std::optional<uint64_t> AlertService::next_deadline_ns() const {
  return webhook_ ? webhook_->next_deadline_ns() : std::nullopt;
}

}  // namespace tessera::node
