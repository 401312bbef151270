// Keeps the inventory fresh without ever calling into a driver from the daemon's own process: a child asks
// and prints the answer. A driver that hangs or crashes takes the child, not the daemon.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <vector>

#include "node/child_process.h"
#include "node/event_loop.h"
#include "node/inventory.h"

namespace tessera::node {

class InventoryMonitor {
 public:
  using Callback = std::function<void(const Result<Inventory>&)>;

  // `command` prints inventory_answer_text(); its first word is a path.
  InventoryMonitor(EventLoop& loop, std::vector<std::string> command)
      : loop_(loop), command_(std::move(command)) {}
  ~InventoryMonitor();
  InventoryMonitor(const InventoryMonitor&) = delete;
  InventoryMonitor& operator=(const InventoryMonitor&) = delete;

  // Asks anew, or joins the asking in progress. `done` is called once, perhaps before this returns.
  void refresh(uint64_t now_ns, Callback done);
  bool busy() const { return static_cast<bool>(pipe_); }

  void tick(uint64_t now_ns);
  std::optional<uint64_t> next_deadline_ns() const;

 private:
  Status start(uint64_t now_ns);
  void on_readable();
  void finish(const Result<Inventory>& answer);

  EventLoop& loop_;
  std::vector<std::string> command_;
  UniqueFd pipe_;
  EventLoop::Watch watch_ = 0;
  pid_t child_ = 0;
  LeavingChildren leaving_;
  uint64_t deadline_ns_ = 0;
  std::string text_;
  std::vector<Callback> waiting_;
};

}  // namespace tessera::node
