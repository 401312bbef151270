#include "softgpu/driver/imported_memory.h"

#include <cassert>

#include "common/log.h"
#include "softgpu/driver/context.h"
#include "softgpu/driver/device.h"
#include "softgpu/driver/device_memory.h"
#include "softgpu/driver/memory.h"
#include "softgpu/driver/visibility.h"

namespace tessera::softgpu {

CUresult result_of_import(const Status& status) {
  LOG_INFO("memory", "%s", status.message().c_str());
  switch (status.code()) {
    case Code::kNotFound:
    case Code::kInvalidArgument:
      return CUDA_ERROR_INVALID_VALUE;
    case Code::kFailedPrecondition:
      return CUDA_ERROR_INVALID_CONTEXT;
    case Code::kAlreadyExists:
      return CUDA_ERROR_ALREADY_MAPPED;
    case Code::kResourceExhausted:
      return CUDA_ERROR_OUT_OF_MEMORY;
    default:
      return CUDA_ERROR_MAP_FAILED;
  }
}

ImportedMemory& ImportedMemory::instance() {
  static auto* made = new ImportedMemory();
  return *made;
}

CUresult ImportedMemory::open_again_locked(uint64_t id, uint64_t context, uint64_t* address, bool* known) {
  for (auto& [begin, opened] : opened_) {
    if (opened.id != id) continue;
    *known = true;
    if (opened.context != context) return CUDA_ERROR_ALREADY_MAPPED;
    ++opened.times;
    *address = begin;
  }
  return CUDA_SUCCESS;
}

CUresult ImportedMemory::open(Context& context, Device& device, uint64_t id, uint64_t* address) {
  std::lock_guard lock(mutex_);
  bool known = false;
  const CUresult again = open_again_locked(id, context.id(), address, &known);
  if (known) return again;
  const auto imported = device.memory().import(id, 0);
  if (!imported.ok()) return result_of_import(imported.status());
  const RangeAllocator::Range range = imported->range;
  Allocation allocation;
  allocation.begin = allocation.range_begin = range.begin;
  allocation.size = imported->allocated;
  allocation.range_size = range.size;
  allocation.kind = MemoryKind::kImported;
  allocation.device = device.ordinal();
  allocation.context = context.id();
  allocation.context_handle = reinterpret_cast<uintptr_t>(context.handle());
  if (&context.device() != &device) allocation.opened_on = context.device().ordinal();
  if (!show(allocation, true).ok()) {  // a program that registered these addresses, and unmapped them
    device.memory().give_back(range);
    return CUDA_ERROR_MAP_FAILED;
  }
  opened_.emplace(range.begin, Opened{id, context.id()});
  *address = range.begin;
  return CUDA_SUCCESS;
}

CUresult ImportedMemory::close(uint64_t address) {
  {
    std::lock_guard lock(mutex_);
    const auto found = opened_.find(address);
    if (found == opened_.end()) return CUDA_ERROR_INVALID_VALUE;
    if (found->second.times > 1) {
      --found->second.times;
      return CUDA_SUCCESS;
    }
  }
  wait_for_users(address);
  std::lock_guard lock(mutex_);
  const auto found = opened_.find(address);
  if (found == opened_.end()) return CUDA_ERROR_INVALID_VALUE;  // another thread was faster
  if (--found->second.times != 0) return CUDA_SUCCESS;
  opened_.erase(found);
  release_imported(address);
  return CUDA_SUCCESS;
}

void ImportedMemory::forget(const Allocation& allocation) {
  std::lock_guard lock(mutex_);
  opened_.erase(allocation.begin);
}

}  // namespace tessera::softgpu
