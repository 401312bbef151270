#include "node/alert_service.h"

#include "common/log.h"

namespace tessera::node {

using monitoring::Alert;
using monitoring::AlertState;

Json alert_json(const Alert& alert, int64_t now_ms, uint64_t wall_ms) {
  const auto wall = [&](int64_t ms) { return static_cast<int64_t>(wall_ms) - (now_ms - ms); };
  Json entry;
  entry["rule"] = alert.rule->name;
  entry["severity"] = monitoring::severity_name(alert.rule->severity);
  entry["state"] = monitoring::alert_state_name(alert.state);
  entry["labels"] = Json::object();
  if (!alert.subject.slice.empty()) entry["labels"]["slice"] = alert.subject.slice;
  if (alert.subject.gpu) entry["labels"]["gpu"] = std::to_string(*alert.subject.gpu);
  entry["value"] = alert.value ? Json(*alert.value) : Json(nullptr);
  entry["since_ms"] = wall(alert.since_ms);
  entry["fired_ms"] = alert.fired_ms ? Json(wall(*alert.fired_ms)) : Json(nullptr);
  entry["resolved_ms"] = alert.resolved_ms ? Json(wall(*alert.resolved_ms)) : Json(nullptr);
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
               fires ? "alert_fired" : "alert_resolved", alert.subject.slice, text);
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
