#include "virtualization/vgpu/allocation_recorder.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <optional>
#include <unordered_map>

#include "common/clock.h"
#include "common/fd.h"
#include "common/log.h"
#include "memory/trace/allocation_log.h"
#include "virtualization/vgpu/calls.h"

namespace tessera::vgpu {
namespace {

using cuda::DriverTable;

constexpr uint64_t kMostBytes = uint64_t{1} << 30;  // of a log

// Thread-safe. Each record is in the file when its call returns: a program may be killed at any time.
class Recorder {
 public:
  Recorder(const DriverTable& table, std::string path)
      : below(table), path_(std::move(path)), process_(getpid()), began_ns_(monotonic_ns()) {}

  const DriverTable below;

  void allocated(uint64_t address, uint64_t bytes, uint64_t stream) {
    record([&] { blocks_[address] = log_.allocated(now_us(), bytes, stream); });
  }
  // Before the driver frees the block: once it has, another thread may be given the address.
  std::optional<uint64_t> take(uint64_t address) {
    if (getpid() != process_) return std::nullopt;
    std::lock_guard lock(mutex_);
    const auto found = blocks_.find(address);
    if (found == blocks_.end()) return std::nullopt;
    const uint64_t block = found->second;
    blocks_.erase(found);
    return block;
  }
  void freed(uint64_t address, uint64_t block, uint64_t stream, CUresult result) {
    record([&] {
      if (result == CUDA_SUCCESS) {
        log_.freed(now_us(), block, stream);
      } else {
        blocks_.emplace(address, block);
      }
    });
  }
  void passed(uint64_t stream) {
    if (started_.load(std::memory_order_relaxed)) record([&] { log_.passed(now_us(), stream); });
  }

 private:
  uint64_t now_us() const { return (monotonic_ns() - began_ns_) / 1000; }

  template <typename Note>
  void record(Note note) {
    if (getpid() != process_) return;  // before the lock: at the fork another thread may have had it
    std::lock_guard lock(mutex_);
    if (ended_ || (!file_ && !open_file())) return;
    note();
    const std::vector<uint8_t> bytes = log_.take();
    if (written_ + bytes.size() > kMostBytes) return end("it has become too long");
    if (write(file_.get(), bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size())) {
      return end(strerror(errno));
    }
    written_ += bytes.size();
  }

  bool open_file() {
    constexpr int kFlags = O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC;
    file_.reset(open(path_.c_str(), kFlags, 0600));
    if (!file_ && errno == EEXIST) {
      path_ += "." + std::to_string(process_);
      file_.reset(open(path_.c_str(), kFlags, 0600));
    }
    if (!file_) end(strerror(errno));
    started_.store(static_cast<bool>(file_), std::memory_order_relaxed);
    return static_cast<bool>(file_);
  }

  void end(const char* reason) {
    LOG_WARN("vgpu", "allocations are not recorded any more in %s: %s", path_.c_str(), reason);
    ended_ = true;
  }

  std::string path_;
  const pid_t process_;
  const uint64_t began_ns_;
  std::mutex mutex_;
  UniqueFd file_;
  std::atomic<bool> started_{false};  // there is a file: with the first allocation
  uint64_t written_ = 0;
  bool ended_ = false;
  memory::AllocationLogWriter log_;
  std::unordered_map<uint64_t, uint64_t> blocks_;  // live ones, by address
};

Recorder* recorder;  // never destroyed: programs free from their last destructors

template <auto Entry, typename Pointer, typename Size>
CUresult alloc(Pointer* dptr, Size bytesize) {
  const CUresult result = (recorder->below.*Entry)(dptr, bytesize);
  if (result == CUDA_SUCCESS) recorder->allocated(*dptr, bytesize, 0);
  return result;
}

template <auto Entry, typename Pointer, typename Size>
CUresult alloc_pitch(Pointer* dptr, Size* pitch, Size width, Size height, unsigned int element_bytes) {
  const CUresult result = (recorder->below.*Entry)(dptr, pitch, width, height, element_bytes);
  if (result == CUDA_SUCCESS) recorder->allocated(*dptr, uint64_t{*pitch} * height, 0);
  return result;
}

template <typename Free>
CUresult free_recorded(uint64_t address, uint64_t stream, Free free) {
  const std::optional<uint64_t> block = recorder->take(address);
  const CUresult result = free();
  if (block) recorder->freed(address, *block, stream, result);
  return result;
}

template <auto Entry, typename Pointer>
CUresult free_memory(Pointer dptr) {
  return free_recorded(dptr, 0, [&] { return (recorder->below.*Entry)(dptr); });
}

template <bool kPerThread>
uint64_t stream_number(CUstream stream) {
  return reinterpret_cast<uint64_t>(shared_handle(stream, kPerThread));
}

// A captured call allocates nothing: that is for the graph to do.
bool captured(CUstream stream) {
  CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;
  const auto is_capturing = recorder->below.cuStreamIsCapturing;
  return stream != nullptr && is_capturing != nullptr && is_capturing(stream, &status) == CUDA_SUCCESS &&
         status != CU_STREAM_CAPTURE_STATUS_NONE;
}

template <auto Entry, bool kPerThread>
CUresult alloc_async(CUdeviceptr* dptr, size_t bytesize, CUstream stream) {
  const CUresult result = (recorder->below.*Entry)(dptr, bytesize, stream);
  if (result == CUDA_SUCCESS && !captured(stream)) {
    recorder->allocated(*dptr, bytesize, stream_number<kPerThread>(stream));
  }
  return result;
}

template <auto Entry, bool kPerThread>
CUresult alloc_from_pool(CUdeviceptr* dptr, size_t bytesize, CUmemoryPool pool, CUstream stream) {
  const CUresult result = (recorder->below.*Entry)(dptr, bytesize, pool, stream);
  if (result == CUDA_SUCCESS && !captured(stream)) {
    recorder->allocated(*dptr, bytesize, stream_number<kPerThread>(stream));
  }
  return result;
}

template <auto Entry, bool kPerThread>
CUresult free_async(CUdeviceptr dptr, CUstream stream) {
  return free_recorded(dptr, stream_number<kPerThread>(stream),
                       [&] { return (recorder->below.*Entry)(dptr, stream); });
}

template <auto Entry, bool kPerThread>
CUresult synchronize(CUstream stream) {
  const CUresult result = (recorder->below.*Entry)(stream);
  if (result == CUDA_SUCCESS) recorder->passed(stream_number<kPerThread>(stream));
  return result;
}

CUresult synchronize_all() {
  const CUresult result = recorder->below.cuCtxSynchronize();
  if (result == CUDA_SUCCESS) recorder->passed(0);
  return result;
}

}  // namespace

void record_allocations(DriverTable& upper, std::string path) {
  using T = DriverTable;
  recorder = new Recorder(upper, std::move(path));
  const T& below = recorder->below;
  replace<&T::cuMemAlloc_v2, &alloc<&T::cuMemAlloc_v2, CUdeviceptr, size_t>>(upper, below);
  replace<&T::cuMemAlloc, &alloc<&T::cuMemAlloc, CUdeviceptr_v1, unsigned int>>(upper, below);
  replace<&T::cuMemAllocPitch_v2, &alloc_pitch<&T::cuMemAllocPitch_v2, CUdeviceptr, size_t>>(upper, below);
  replace<&T::cuMemAllocPitch, &alloc_pitch<&T::cuMemAllocPitch, CUdeviceptr_v1, unsigned int>>(upper, below);
  replace<&T::cuMemFree_v2, &free_memory<&T::cuMemFree_v2, CUdeviceptr>>(upper, below);
  replace<&T::cuMemFree, &free_memory<&T::cuMemFree, CUdeviceptr_v1>>(upper, below);
  replace<&T::cuMemAllocAsync, &alloc_async<&T::cuMemAllocAsync, false>>(upper, below);
  replace<&T::cuMemAllocAsync_ptsz, &alloc_async<&T::cuMemAllocAsync_ptsz, true>>(upper, below);
  replace<&T::cuMemAllocFromPoolAsync, &alloc_from_pool<&T::cuMemAllocFromPoolAsync, false>>(upper, below);
  replace<&T::cuMemAllocFromPoolAsync_ptsz, &alloc_from_pool<&T::cuMemAllocFromPoolAsync_ptsz, true>>(upper,
                                                                                                      below);
  replace<&T::cuMemFreeAsync, &free_async<&T::cuMemFreeAsync, false>>(upper, below);
  replace<&T::cuMemFreeAsync_ptsz, &free_async<&T::cuMemFreeAsync_ptsz, true>>(upper, below);
  replace<&T::cuStreamSynchronize, &synchronize<&T::cuStreamSynchronize, false>>(upper, below);
  replace<&T::cuStreamSynchronize_ptsz, &synchronize<&T::cuStreamSynchronize_ptsz, true>>(upper, below);
  replace<&T::cuCtxSynchronize, &synchronize_all>(upper, below);
}

}  // namespace tessera::vgpu
