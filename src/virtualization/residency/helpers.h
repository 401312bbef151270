// Threads that help whoever has work of many like parts, as far as there are processors for them.
//
// They cost nothing while there is none, and start with the first. A helper that is late finds less to do, or
// nothing: whoever has the work waits for nobody but those that are at a part of it.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>

#include "common/status.h"

namespace tessera::vgpu {

class Helpers {
 public:
  static constexpr unsigned kMost = 3;

  // As many as this process has processors beside the one that has the work, kMost at most.
  static unsigned count_for_processors();

  // Their threads never end: it must live as long as the process. `numa_node`: where they are to run.
  Helpers(unsigned most, std::optional<uint32_t> numa_node) : most_(most), numa_node_(numa_node) {}
  Helpers(const Helpers&) = delete;
  Helpers& operator=(const Helpers&) = delete;

  // The numbers from 0 on, each to one of those who ask; none: there are no more.
  class Parts {
   public:
    explicit Parts(size_t count) : count_(count) {}
    std::optional<size_t> next() {
      const size_t part = next_.fetch_add(1, std::memory_order_relaxed);
      return part < count_ ? std::optional(part) : std::nullopt;
    }

   private:
    std::atomic<size_t> next_{0};
    const size_t count_;
  };
  using Body = std::function<Status(Parts&)>;
  // `body`, which is to do parts until there are none, on the calling thread and on others at the same time.
  // The first of their errors. One work at a time.
  Status run(size_t parts, const Body& body);

 private:
  struct Work {
    Parts parts;
    const Body& body;
    size_t at_it = 0;
    Status status = {};
  };

  void start_threads();
  void help();
  static void* run_thread(void* helpers);

  const unsigned most_;
  const std::optional<uint32_t> numa_node_;
  std::mutex mutex_;  // all below
  std::condition_variable work_came_, left_work_;
  unsigned started_ = 0;
  bool can_start_ = true;
  Work* work_ = nullptr;  // null: none that anybody could still begin with
  uint64_t number_ = 0;   // of it
};

}  // namespace tessera::vgpu
