#include "softgpu/driver/watched_op.h"

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>

#include "softgpu/driver/op_graph.h"
#include "softgpu/driver/thread.h"

namespace tessera::softgpu {
namespace {

class Watcher {
 public:
  static Watcher& instance() {
    static auto* made = new Watcher();
    return *made;
  }
  void watch(std::shared_ptr<WatchedOp> op) {
    bool first;
    {
      std::lock_guard lock(mutex_);
      added_.push_back(std::move(op));
      first = !std::exchange(started_, true);
    }
    if (first) start_thread("softgpu-watch", [this] { loop(); });
    work_.notify_one();
  }

 private:
  static constexpr std::chrono::microseconds kPause{20};

  void loop() {
    std::vector<std::shared_ptr<WatchedOp>> watched;
    for (;;) {
      {
        std::unique_lock lock(mutex_);
        if (watched.empty()) work_.wait(lock, [this] { return !added_.empty(); });
        for (auto& op : added_) watched.push_back(std::move(op));
        added_.clear();
      }
      std::erase_if(watched, [](const std::shared_ptr<WatchedOp>& op) {
        const bool done = op->advance();
        if (done) OpGraph::instance().finish(op);
        return done;
      });
      if (!watched.empty()) std::this_thread::sleep_for(kPause);
    }
  }

  std::mutex mutex_;
  std::condition_variable work_;
  std::vector<std::shared_ptr<WatchedOp>> added_;
  bool started_ = false;
};

}  // namespace

void WatchedOp::start(const std::shared_ptr<Op>& self) {
  if (advance()) {
    OpGraph::instance().finish(self);
  } else {
    Watcher::instance().watch(std::static_pointer_cast<WatchedOp>(self));
  }
}

}  // namespace tessera::softgpu
