#include "softgpu/driver/work_thread.h"

#include "softgpu/driver/op_graph.h"
#include "softgpu/driver/thread.h"

namespace tessera::softgpu {

void ThreadOp::start(const std::shared_ptr<Op>& self) { worker_.push(self); }

void WorkThread::push(std::shared_ptr<Op> op) {
  bool grow = false;
  {
    std::lock_guard lock(mutex_);
    queue_.push_back(std::move(op));
    grow = static_cast<int>(queue_.size()) > idle_ && threads_ < limit_;
    if (grow) ++threads_;
  }
  if (grow) start_thread(name_, [this] { loop(); });
  work_.notify_one();
}

void WorkThread::loop() {
  std::unique_lock lock(mutex_);
  for (;;) {
    ++idle_;
    work_.wait(lock, [this] { return !queue_.empty(); });
    --idle_;
    std::shared_ptr<Op> op = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    static_cast<ThreadOp&>(*op).run();
    OpGraph::instance().finish(op);
    op.reset();
    lock.lock();
  }
}

}  // namespace tessera::softgpu
