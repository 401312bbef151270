// Alerts as the daemon has them: judged with each sample, told to the log, the list of events and the
// webhook.
#pragma once

#include <memory>
#include <vector>

#include "monitoring/alerts/alert_engine.h"
#include "monitoring/history/history_store.h"
#include "node/json.h"
#include "node/lease_service.h"
#include "node/line_child.h"

namespace tessera::node {

// {"rule", "severity", "state", "labels", "metric", "of", "is_rate", "is_absence", "value", "since_ms",
// "fired_ms", "resolved_ms", "note", "summary"}: the summary says in words what the others say, and `note`
// what the rule does. `wall_ms` minus `now_ms` makes times of the wall of the engine's.
Json alert_json(const monitoring::Alert& alert, int64_t now_ms, uint64_t wall_ms);

class AlertService {
 public:
  // `webhook` is a command that sends what it is told (webhook_sender.h); empty: nothing is sent.
  AlertService(EventLoop& loop, LeaseService& leases, std::vector<monitoring::AlertRule> rules,
               std::vector<std::string> webhook);

  void add(const monitoring::Subject& subject, const std::vector<monitoring::Figure>& figures);
  void judge();
  size_t rules() const { return engine_.rules().size(); }
  // {"rules": how many, "alerts": […]}.
  Json told() const;

  void tick(uint64_t now_ns);
  std::optional<uint64_t> next_deadline_ns() const;

 private:
  int64_t now_ms() const;
  void tell(const monitoring::Alert& alert);

  EventLoop& loop_;
  LeaseService& leases_;
  monitoring::AlertEngine engine_;
  std::unique_ptr<LineChild> webhook_;
};

}  // namespace tessera::node
