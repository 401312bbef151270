// A few threads that take operations in order: copies, and the program's host functions.
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>

#include "softgpu/driver/op.h"

namespace tessera::softgpu {

class WorkThread;

// An operation that one thread does from beginning to end.
class ThreadOp : public Op {
 public:
  explicit ThreadOp(WorkThread& worker) : worker_(worker) {}
  virtual void run() = 0;
  void start(const std::shared_ptr<Op>& self) override;

 private:
  WorkThread& worker_;
};

class WorkThread {
 public:
  // Threads are started as they are needed, at most `limit`, and named `name` (a literal).
  WorkThread(const char* name, int limit) : name_(name), limit_(limit) {}

  void push(std::shared_ptr<Op> op);

 private:
  void loop();

  const char* const name_;
  const int limit_;
  std::mutex mutex_;
  std::condition_variable work_;
  std::deque<std::shared_ptr<Op>> queue_;
  int threads_ = 0;
  int idle_ = 0;
};

}  // namespace tessera::softgpu
