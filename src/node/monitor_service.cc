#include "node/monitor_service.h"

namespace tessera::node {

MonitorService::MonitorService(EventLoop& loop, ControlService& control, LeaseService& leases,
                               MonitorOptions options)
    : leases_(leases),
      sampler_(loop, control, leases,
               {[this](const FigureSampler::When& when, const monitoring::Subject& subject,
                       const std::vector<monitoring::Figure>& figures) {
                  if (history_) history_->add(when.wall_ms, when.age_ms, subject, figures);
                  if (alerts_) alerts_->add(subject, figures);
                },
                [this](const FigureSampler::When& when, const monitoring::Subject& subject,
                       const std::vector<monitoring::Figure>& figures) {
                  history_->add(when.wall_ms, when.age_ms, subject, figures);
                },
                [this](uint64_t, uint64_t wall_ms) {
                  if (history_) history_->commit(wall_ms);
                  if (alerts_) alerts_->judge();
                }}) {
  if (!options.history_command.empty()) {
    history_ = std::make_unique<HistoryLink>(
        loop, std::move(options.history_command),
        [&leases](const std::string& text, monitoring::EventDetails details) {
          leases.tell(monitoring::Severity::kWarning, "history", "", text, std::move(details));
        });
    leases_.set_last_look([this](const Slice& slice) { sampler_.look_last(slice); });
  }
  if (!options.rules.empty()) {
    alerts_ = std::make_unique<AlertService>(loop, leases, std::move(options.rules),
                                             std::move(options.webhook_command));
  }
}

MonitorService::~MonitorService() { leases_.set_last_look(nullptr); }

void MonitorService::tick(uint64_t now_ns) {
  sampler_.tick(now_ns);
  if (history_) history_->tick(now_ns);
  if (alerts_) alerts_->tick(now_ns);
}

std::optional<uint64_t> MonitorService::next_deadline_ns() const {
  std::optional<uint64_t> due = sampler_.next_deadline_ns();
  for (const auto& other : {history_ ? history_->next_deadline_ns() : std::nullopt,
                            alerts_ ? alerts_->next_deadline_ns() : std::nullopt}) {
    if (other && (!due || *other < *due)) due = other;
  }
  return due;
}

}  // namespace tessera::node
