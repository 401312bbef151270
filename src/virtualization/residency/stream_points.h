// How far streams have come: what is freed in their order (cuMemFreeAsync) is a pool's again once they have
// passed the call, and the stream's own before that.
//
// A point in a stream is an event of the driver. Of each stream few are kept: the last one is moved on where
// there would be more.
#pragma once

#include <atomic>
#include <deque>
#include <map>
#include <mutex>

#include "common/status.h"
#include "cuda/driver_table.h"
#include "memory/pool/pool.h"

namespace tessera::vgpu {

class StreamPoints {
 public:
  // Both outlive it.
  StreamPoints(const cuda::DriverTable& driver, memory::Pool& pool) : driver_(driver), pool_(pool) {}
  StreamPoints(const StreamPoints&) = delete;
  StreamPoints& operator=(const StreamPoints&) = delete;

  // The number of a stream (as CU_STREAM_LEGACY and the like where it is the null one); none: the driver
  // tells of none, and nothing can be freed in its order.
  std::optional<memory::StreamId> number_of(CUstream stream) const;
  // Frees a block of the pool once the stream has passed this call. Where that cannot be marked it waits for
  // the stream.
  Status free(CUstream stream, uint64_t address);
  // Looks how far streams have come. Not while streams are captured.
  void look();
  // Waits until all of them have passed what was freed. False: there was nothing to wait for.
  bool wait();
  bool empty() const { return points_.load(std::memory_order_relaxed) == 0; }

 private:
  static constexpr size_t kMostOfStream = 64;

  struct Point {
    CUevent event;
    uint64_t token;
  };
  using Points = std::deque<Point>;

  bool mark(CUstream stream, memory::StreamId number, uint64_t token);
  void drop_first(Points& points);

  const cuda::DriverTable& driver_;
  memory::Pool& pool_;
  std::mutex mutex_;  // all below; taken before the pool's
  std::map<memory::StreamId, Points> streams_;
  std::atomic<size_t> points_{0};
  uint64_t token_ = 0;
};

}  // namespace tessera::vgpu
