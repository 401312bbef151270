#include "cli/inventory_probe.h"

#include "cli/installation.h"
#include "node/inventory_monitor.h"

namespace tessera::cli {

Result<node::Inventory> probe_inventory() {
  TESSERA_ASSIGN_OR_RETURN(std::string daemon, find_daemon());
  TESSERA_ASSIGN_OR_RETURN(auto loop, node::EventLoop::create());
  node::InventoryMonitor monitor(loop, {daemon, "--print-inventory"});
  std::optional<Result<node::Inventory>> answer;
  monitor.refresh(loop.now_ns(), [&](const Result<node::Inventory>& result) { answer = result; });
  while (!answer) {
    constexpr uint64_t kTickNs = 100'000'000;
    TESSERA_RETURN_IF_ERROR(loop.run_once(kTickNs));
    monitor.tick(loop.now_ns());
  }
  return *answer;
}

}  // namespace tessera::cli
