// What is wrong with a device, as it concerns this process: faults that were injected by its control file
// (device/health.h) stop kernels, slow them down, or end contexts here.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>

#include "cuda/abi.h"
#include "softgpu/device/device_file.h"

namespace tessera::softgpu {

class Context;
class Device;

class DeviceFaults {
 public:
  explicit DeviceFaults(Device& device);

  // Whether a context may be made now. Looks at the control file, and from the first call on a thread follows
  // the device's health (health_watch.h). CUDA_ERROR_DEVICE_UNAVAILABLE for a lost device,
  // CUDA_ERROR_ECC_UNCORRECTABLE for one that has to be reset.
  CUresult admit_context();

  // Before a block runs: waits while the device hangs. False where its context has failed meanwhile.
  bool admit_kernel(Context& context);
  // After a kernel ran for so long: waits as much longer as the device is slow.
  void slow_down(const Context& context, uint64_t ran_ns);
  bool slow() const { return (state_.load(std::memory_order_relaxed) & kSlow) != 0; }

  // Before a copy or set touches [begin, end) of device memory, and where a kernel found an address closed to
  // it: whether an error of memory was there; the context has failed then.
  bool strike(Context& context, uint64_t begin, uint64_t end);

  bool latent() const { return (state_.load(std::memory_order_relaxed) & kLatent) != 0; }

  // Follows the device's file. By the watching thread and whoever needs to know now.
  Health refresh();

 private:
  enum State : uint32_t { kLost = 1, kHung = 2, kSlow = 4, kLatent = 8, kAnywhere = 16 };

  void start_watching();
  bool stops_kernels() const {
    return (state_.load(std::memory_order_relaxed) & (kHung | kSlow | kAnywhere)) != 0;
  }
  // What the contexts of this process must be told, if anything.
  CUresult follow(const Health& health);
  void close_pages(const Health& health);
  void fail_contexts(CUresult error);
  // How a wait for the end of a hang ended.
  std::optional<CUresult> wait_out_hang(const Context& context);

  Device& device_;
  std::once_flag watching_;
  std::atomic<uint32_t> state_{0};
  std::atomic<uint32_t> slow_permille_{1000};

  std::mutex refresh_mutex_;  // one thread follows at a time; the members below
  std::optional<uint64_t> seen_changes_;
  uint64_t seen_all_struck_ = 0;

  std::mutex hang_mutex_;  // the members below
  std::condition_variable hang_changed_;
  uint64_t hangs_timed_out_ = 0;
};

}  // namespace tessera::softgpu
