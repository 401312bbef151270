// What looks at figures as time goes by: the history that keeps them, and the alerts that judge them.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "node/alert_service.h"
#include "node/figure_sampler.h"
#include "node/history_link.h"

namespace tessera::node {

struct MonitorOptions {
  std::string history_file;                  // which that keeps
  std::vector<std::string> history_command;  // see history_keeper.h; empty: none is kept
  std::vector<monitoring::AlertRule> rules;
  std::vector<std::string> webhook_command;  // see AlertService

  bool is_wanted() const { return !history_command.empty() || !rules.empty(); }
};

class MonitorService {
 public:
  MonitorService(EventLoop& loop, ControlService& control, LeaseService& leases, MonitorOptions options);
  ~MonitorService();

  // Null where there is none.
  HistoryLink* history() { return history_.get(); }
  const AlertService* alerts() const { return alerts_.get(); }

  void tick(uint64_t now_ns);
  std::optional<uint64_t> next_deadline_ns() const;

 private:
  LeaseService& leases_;
  std::unique_ptr<HistoryLink> history_;
  std::unique_ptr<AlertService> alerts_;
  FigureSampler sampler_;
};

}  // namespace tessera::node
