#include "virtualization/residency/stream_points.h"

namespace tessera::vgpu {

std::optional<memory::StreamId> StreamPoints::number_of(CUstream stream) const {
  unsigned long long number = 0;
  if (driver_.cuStreamGetId == nullptr || driver_.cuStreamGetId(stream, &number) != CUDA_SUCCESS)
    return std::nullopt;
  return number;
}

// The last point moved on covers what was freed before it, too.
bool StreamPoints::mark(CUstream stream, memory::StreamId number, uint64_t token) {
  Points& points = streams_[number];
  if (points.size() >= kMostOfStream) {
    if (driver_.cuEventRecord(points.back().event, stream) != CUDA_SUCCESS) return false;
    points.back().token = token;
    return true;
  }
  CUevent event = nullptr;
  if (driver_.cuEventCreate(&event, CU_EVENT_DISABLE_TIMING) != CUDA_SUCCESS) return false;
  if (driver_.cuEventRecord(event, stream) != CUDA_SUCCESS) {
    (void)driver_.cuEventDestroy_v2(event);
    return false;
  }
  points.push_back({event, token});
  points_.fetch_add(1, std::memory_order_relaxed);
  return true;
}

Status StreamPoints::free(CUstream stream, uint64_t address) {
  const std::optional<memory::StreamId> number = number_of(stream);
  std::unique_lock lock(mutex_);
  // Marked before it is freed: a block that is pending has a point behind it.
  if (number && mark(stream, *number, token_ + 1)) return pool_.free_on(*number, ++token_, address);
  lock.unlock();
  (void)driver_.cuStreamSynchronize(stream);  // an error of the context is another call's to tell
  return pool_.free(address);
}

void StreamPoints::drop_first(Points& points) {
  (void)driver_.cuEventDestroy_v2(points.front().event);  // it may have ended with its context
  points.pop_front();
  points_.fetch_sub(1, std::memory_order_relaxed);
}

void StreamPoints::look() {
  if (empty()) return;
  std::lock_guard lock(mutex_);
  for (auto stream = streams_.begin(); stream != streams_.end();) {
    Points& points = stream->second;
    uint64_t passed = 0;
    // Whatever is wrong with a point's context, nothing runs there any more.
    while (!points.empty() && driver_.cuEventQuery(points.front().event) != CUDA_ERROR_NOT_READY) {
      passed = points.front().token;
      drop_first(points);
    }
    if (passed != 0) pool_.passed(stream->first, passed);
    stream = points.empty() ? streams_.erase(stream) : std::next(stream);
  }
}

bool StreamPoints::wait() {
  std::lock_guard lock(mutex_);
  if (streams_.empty()) return false;
  for (auto& [number, points] : streams_) {
    uint64_t passed = 0;
    while (!points.empty()) {
      (void)driver_.cuEventSynchronize(points.front().event);
      passed = points.front().token;
      drop_first(points);
    }
    if (passed != 0) pool_.passed(number, passed);
  }
  streams_.clear();
  return true;
}

}  // namespace tessera::vgpu
