#include "softgpu/driver/device_faults.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include "common/clock.h"
#include "common/log.h"
#include "softgpu/device/health_watch.h"
#include "softgpu/driver/compute_engine.h"
#include "softgpu/driver/context.h"
#include "softgpu/driver/device.h"
#include "softgpu/driver/handle_registry.h"
#include "softgpu/driver/state.h"
#include "softgpu/driver/thread.h"

namespace tessera::softgpu {
namespace {

// How soon a wait sees that its context has failed.
constexpr std::chrono::milliseconds kWaitInterval{10};
constexpr uint32_t kNormalSpeed = 1000;

}  // namespace

DeviceFaults::DeviceFaults(Device& device) : device_(device) {}

// How soon a fault is felt by programs that only wait.
void DeviceFaults::start_watching() {
  start_thread("softgpu-faults", [this, watch = HealthWatch(device_.file())]() mutable {
    for (;;) {
      watch.wait(stops_kernels());
      refresh();
    }
  });
}

CUresult DeviceFaults::admit_context() {
  std::call_once(watching_, [this] { start_watching(); });
  const Health health = refresh();
  if (health.lost != 0) return CUDA_ERROR_DEVICE_UNAVAILABLE;
  return health.reset_required != 0 ? CUDA_ERROR_ECC_UNCORRECTABLE : CUDA_SUCCESS;
}

Health DeviceFaults::refresh() {
  const Health health = device_.file().health();
  CUresult failure = CUDA_SUCCESS;
  {
    std::lock_guard lock(refresh_mutex_);
    if (seen_changes_ != health.changes) failure = follow(health);
  }
  if (stops_kernels()) device_.compute().interrupt();  // no block runs for long before it is asked to wait
  if (failure != CUDA_SUCCESS) fail_contexts(failure);
  return health;
}

CUresult DeviceFaults::follow(const Health& health) {
  if (!seen_changes_) seen_all_struck_ = health.all_struck;  // before this process came
  seen_changes_ = health.changes;
  close_pages(health);
  uint32_t state = 0;
  if (health.lost != 0) state |= kLost;
  if (health.hung != 0) state |= kHung;
  if (is_slow(health)) state |= kSlow;
  const std::span waiting(health.latent, std::min(health.latent_count, kMaxLatentErrors));
  if (!waiting.empty()) state |= kLatent;
  for (const LatentError& error : waiting) state |= error.address == 0 ? kAnywhere : 0u;
  slow_permille_.store(std::max(health.slow_permille, kNormalSpeed), std::memory_order_relaxed);
  {
    std::lock_guard lock(hang_mutex_);
    hangs_timed_out_ = health.hangs_timed_out;
    state_.store(state, std::memory_order_relaxed);
  }
  hang_changed_.notify_all();
  const bool struck = std::exchange(seen_all_struck_, health.all_struck) != health.all_struck;
  if ((state & kLost) != 0) return CUDA_ERROR_UNKNOWN;
  return struck ? CUDA_ERROR_ECC_UNCORRECTABLE : CUDA_SUCCESS;
}

// A kernel that touches such a page stops there, as at an illegal address.
void DeviceFaults::close_pages(const Health& health) {
  std::vector<AddressRange> pages;
  for (const LatentError& error : std::span(health.latent, std::min(health.latent_count, kMaxLatentErrors))) {
    if (error.address != 0 && (error.pid == 0 || error.pid == getpid()))
      pages.push_back({error.address, error.address + kErrorPageBytes});
  }
  device_.addresses().set_holes(std::move(pages));
}

void DeviceFaults::fail_contexts(CUresult error) {
  for (const auto& context : live<Context>().all()) {
    if (&context->device() == &device_) context->poison(error);
  }
}

std::optional<CUresult> DeviceFaults::wait_out_hang(const Context& context) {
  std::unique_lock lock(hang_mutex_);
  const uint64_t timed_out = hangs_timed_out_;
  while ((state_.load(std::memory_order_relaxed) & kHung) != 0) {
    if (context.status() != CUDA_SUCCESS) return context.status();
    hang_changed_.wait_for(lock, kWaitInterval);
  }
  if (hangs_timed_out_ != timed_out) return CUDA_ERROR_LAUNCH_TIMEOUT;
  return std::nullopt;
}

bool DeviceFaults::admit_kernel(Context& context) {
  const uint32_t state = state_.load(std::memory_order_relaxed);
  if (state == 0) return true;
  if ((state & kHung) != 0) {
    if (auto error = wait_out_hang(context)) context.poison(*error);
  }
  if ((state & kAnywhere) != 0) strike(context, 0, 0);  // whatever it touches first
  return context.status() == CUDA_SUCCESS;
}

void DeviceFaults::slow_down(const Context& context, uint64_t ran_ns) {
  const uint64_t more = slow_permille_.load(std::memory_order_relaxed) - kNormalSpeed;
  const uint64_t until = monotonic_ns() + ran_ns * more / kNormalSpeed;
  while (slow() && context.status() == CUDA_SUCCESS) {
    const uint64_t now = monotonic_ns();
    if (now >= until) return;
    std::this_thread::sleep_for(
        std::min<std::chrono::nanoseconds>(kWaitInterval, std::chrono::nanoseconds(until - now)));
  }
}

bool DeviceFaults::strike(Context& context, uint64_t begin, uint64_t end) {
  if (!latent() || !device_.file().strike(begin, end)) return false;
  LOG_ERROR("device", "device %d: an uncorrectable memory error at %#llx", device_.ordinal(),
            static_cast<unsigned long long>(begin));
  context.poison(CUDA_ERROR_ECC_UNCORRECTABLE);
  refresh();
  return true;
}

}  // namespace tessera::softgpu
