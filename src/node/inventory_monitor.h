// Keeps the inventory fresh without ever calling into a driver from the daemon's own process: a child asks
// and prints the answer. A driver that hangs or crashes takes the child, not the daemon.
//
// The child answers when it begins, and then once for each line that it is sent: it keeps NVML open
// meanwhile, which takes longer to begin than all questions together. It ends where nobody has asked for a
// while, or else nobody could reset a card or load another driver; where it has lived for long, as NVML knows
// the cards that there were when it began; and by itself after trouble. One that answers once and ends is as
// good.
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
  static constexpr uint64_t kIdleNs = 30'000'000'000;
  static constexpr uint64_t kLongestLifeNs = 600'000'000'000;

  // `command` prints inventory_answer_text(), a line each; its first word is a path.
  InventoryMonitor(EventLoop& loop, std::vector<std::string> command)
      : loop_(loop), command_(std::move(command)) {}
  ~InventoryMonitor();
  InventoryMonitor(const InventoryMonitor&) = delete;
  InventoryMonitor& operator=(const InventoryMonitor&) = delete;

  // Asks anew, or joins the asking in progress. `done` is called once, perhaps before this returns.
  void refresh(uint64_t now_ns, Callback done);
  bool busy() const { return asking_; }

  void tick(uint64_t now_ns);
  std::optional<uint64_t> next_deadline_ns() const;

 private:
  Status ask(uint64_t now_ns);
  Status start(uint64_t now_ns);
  void on_readable();
  void hear(std::string_view answer);
  void lose_child(bool by_force);
  void finish(const Result<Inventory>& answer);

  EventLoop& loop_;
  std::vector<std::string> command_;
  pid_t child_ = 0;
  UniqueFd socket_;
  EventLoop::Watch watch_ = 0;
  LeavingChildren leaving_;
  bool asking_ = false;
  bool has_answered_ = false;  // this child
  uint64_t started_ns_ = 0, asked_ns_ = 0;
  std::string text_;
  std::vector<Callback> waiting_;
};

}  // namespace tessera::node
