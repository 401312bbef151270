#include "softgpu/driver/memory_use.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <vector>

#include "common/log.h"
#include "softgpu/driver/context.h"
#include "softgpu/driver/device.h"
#include "softgpu/driver/state.h"
#include "softgpu/memory/address_cover.h"

namespace tessera::softgpu {
namespace {

struct Uses {
  std::mutex mutex;
  std::condition_variable ended;
  std::vector<const MemoryUse*> now;  // at most one for each thread of the driver, and for each that calls it
  unsigned waiting = 0;
};

Uses& uses() {
  static auto* made = new Uses();
  return *made;
}

// Copies need no access of their device to another's memory: any map will do.
bool there(const Context& context, UsedMemory memory) {
  const auto in_map_of = [&](Device& device) {
    return covers(device.addresses(), memory.begin, memory.size, false);
  };
  return memory.size == 0 || in_map_of(context.device()) ||
         std::any_of(devices().begin(), devices().end(), [&](Device* d) { return in_map_of(*d); });
}

}  // namespace

// Entered before it is looked up: whoever takes the memory out of the maps later finds it here.
MemoryUse::MemoryUse(Context& context, uint64_t seen, UsedMemory first, UsedMemory second)
    : memory_{first, second} {
  {
    std::lock_guard lock(uses().mutex);
    uses().now.push_back(this);
  }
  if (seen == context.device().addresses().generation()) return;
  allowed_ = there(context, first) && there(context, second);
  if (allowed_) return;
  leave();
  if (context.status() == CUDA_SUCCESS) LOG_ERROR("copy", "a copy or set uses memory that has been freed");
  context.poison(CUDA_ERROR_ILLEGAL_ADDRESS);
}

MemoryUse::~MemoryUse() {
  if (allowed_) leave();
}

void MemoryUse::leave() {
  std::lock_guard lock(uses().mutex);
  auto& now = uses().now;
  *std::find(now.begin(), now.end(), this) = now.back();
  now.pop_back();
  if (uses().waiting != 0) uses().ended.notify_all();
}

bool MemoryUse::touches(uint64_t begin, uint64_t end) const {
  return std::any_of(memory_.begin(), memory_.end(), [&](const UsedMemory& memory) {
    return memory.begin < end && begin < memory.begin + memory.size;
  });
}

void wait_until_unused(uint64_t begin, uint64_t end) {
  std::unique_lock lock(uses().mutex);
  ++uses().waiting;
  uses().ended.wait(lock, [&] {
    const auto& now = uses().now;
    return std::none_of(now.begin(), now.end(),
                        [&](const MemoryUse* use) { return use->touches(begin, end); });
  });
  --uses().waiting;
}

}  // namespace tessera::softgpu
