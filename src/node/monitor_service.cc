#include "node/monitor_service.h"

namespace tessera::node {

MonitorService::MonitorService(EventLoop& loop, ControlService& control, LeaseService& leases,
                               MonitorOptions options)
    : sampler_(loop, control, leases,
               {[this](const monitoring::Subject& subject, const std::vector<monitoring::Figure>& figures) {
                  if (history_) history_->add(sampler_.wall_ms(), subject, figures);
                  if (alerts_) alerts_->add(subject, figures);
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
  }
  if (!options.rules.empty()) {
    alerts_ = std::make_unique<AlertService>(loop, leases, std::move(options.rules),
                                             std::move(options.webhook_command));
  }
}

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
