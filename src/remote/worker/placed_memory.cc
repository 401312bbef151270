#include "remote/worker/placed_memory.h"

#include <algorithm>

#include "common/log.h"
#include "remote/wire/regions.h"

namespace tessera::remote {
namespace {

constexpr uint64_t kAlignment = 512;
constexpr uint64_t kLarge = 1 << 20;  // such begin at granules of their own

CUmemAllocationProp properties_of(CUdevice device) {
  CUmemAllocationProp properties{};
  properties.type = CU_MEM_ALLOCATION_TYPE_PINNED;
  properties.location = {CU_MEM_LOCATION_TYPE_DEVICE, device};
  return properties;
}

uint64_t up(uint64_t value, uint64_t to) { return (value + to - 1) / to * to; }
uint64_t down(uint64_t value, uint64_t to) { return value / to * to; }

// Takes [begin, begin + bytes) out of the holes.
void take_hole(std::map<uint64_t, uint64_t>& holes, std::map<uint64_t, uint64_t>::iterator hole,
               uint64_t begin, uint64_t bytes) {
  const uint64_t hole_begin = hole->first, hole_end = hole->first + hole->second;
  holes.erase(hole);
  if (begin > hole_begin) holes[hole_begin] = begin - hole_begin;
  if (begin + bytes < hole_end) holes[begin + bytes] = hole_end - begin - bytes;
}

void give_hole(std::map<uint64_t, uint64_t>& holes, uint64_t begin, uint64_t bytes) {
  auto after = holes.lower_bound(begin);
  if (after != holes.end() && after->first == begin + bytes) {
    bytes += after->second;
    after = holes.erase(after);
  }
  if (after != holes.begin()) {
    auto before = std::prev(after);
    if (before->first + before->second == begin) {
      before->second += bytes;
      return;
    }
  }
  holes[begin] = bytes;
}

}  // namespace

CUresult PlacedMemory::prepare(Part& part, CUdevice device) {
  if (part.is_reserved) return CUDA_SUCCESS;
  if (device < 0 || static_cast<unsigned>(device) >= kDevicesInRegion ||
      driver_.cuMemAddressReserve == nullptr)
    return CUDA_ERROR_NOT_SUPPORTED;
  const CUmemAllocationProp properties = properties_of(device);
  size_t granule = 0;
  CUresult result =
      driver_.cuMemGetAllocationGranularity(&granule, &properties, CU_MEM_ALLOC_GRANULARITY_RECOMMENDED);
  if (result != CUDA_SUCCESS) return result;
  part.granule = granule;
  part.begin = region_ + static_cast<uint64_t>(device) * kDeviceRegionBytes;
  CUdeviceptr got = 0;
  result = driver_.cuMemAddressReserve(&got, kDeviceRegionBytes, granule, part.begin, 0);
  if (result != CUDA_SUCCESS) return result;
  if (got != part.begin) {
    (void)driver_.cuMemAddressFree(got, kDeviceRegionBytes);
    LOG_ERROR("session", "the driver does not give the addresses that memory of this session has to have");
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  part.is_reserved = true;
  part.holes[part.begin] = kDeviceRegionBytes;
  return CUDA_SUCCESS;
}

CUresult PlacedMemory::allow(const Part& part, CUdevice device, uint64_t begin, uint64_t bytes) {
  std::vector<CUmemAccessDesc> access;
  access.push_back({{CU_MEM_LOCATION_TYPE_DEVICE, device}, CU_MEM_ACCESS_FLAGS_PROT_READWRITE});
  for (const CUdevice user : part.users)
    access.push_back({{CU_MEM_LOCATION_TYPE_DEVICE, user}, CU_MEM_ACCESS_FLAGS_PROT_READWRITE});
  return driver_.cuMemSetAccess(begin, bytes, access.data(), access.size());
}

CUresult PlacedMemory::map(Part& part, CUdevice device, uint64_t begin, uint64_t bytes) {
  const CUmemAllocationProp properties = properties_of(device);
  CUmemGenericAllocationHandle handle = 0;
  CUresult result = driver_.cuMemCreate(&handle, bytes, &properties, 0);
  if (result != CUDA_SUCCESS) return result;
  result = driver_.cuMemMap(begin, bytes, 0, handle, 0);
  if (result == CUDA_SUCCESS) {
    result = allow(part, device, begin, bytes);
    if (result != CUDA_SUCCESS) (void)driver_.cuMemUnmap(begin, bytes);
  }
  if (result != CUDA_SUCCESS) {
    (void)driver_.cuMemRelease(handle);
    return result;
  }
  part.extents[begin] = {bytes, handle, 0};
  return CUDA_SUCCESS;
}

// Physical memory behind all of [begin, end), which are granules; each extent there has one user more.
CUresult PlacedMemory::back(Part& part, CUdevice device, uint64_t begin, uint64_t end) {
  uint64_t at = begin;
  while (at < end) {
    auto after = part.extents.upper_bound(at);
    if (after != part.extents.begin()) {
      auto& [from, extent] = *std::prev(after);
      if (from + extent.bytes > at) {
        ++extent.users;
        at = from + extent.bytes;
        continue;
      }
    }
    const uint64_t until = after == part.extents.end() ? end : std::min(end, after->first);
    const CUresult result = map(part, device, at, until - at);
    if (result != CUDA_SUCCESS) {
      unback(part, begin, at);
      return result;
    }
    part.extents[at].users = 1;
    at = until;
  }
  return CUDA_SUCCESS;
}

void PlacedMemory::unback(Part& part, uint64_t begin, uint64_t end) {
  auto at = part.extents.upper_bound(begin);
  if (at != part.extents.begin() && std::prev(at)->first + std::prev(at)->second.bytes > begin) --at;
  while (at != part.extents.end() && at->first < end) {
    if (--at->second.users > 0) {
      ++at;
      continue;
    }
    (void)driver_.cuMemUnmap(at->first, at->second.bytes);
    (void)driver_.cuMemRelease(at->second.handle);
    at = part.extents.erase(at);
  }
}

CUresult PlacedMemory::allocate(uint64_t bytes, CUdeviceptr wanted, CUdeviceptr* address) {
  if (bytes == 0 || address == nullptr) return CUDA_ERROR_INVALID_VALUE;
  if (bytes > kDeviceRegionBytes) return CUDA_ERROR_OUT_OF_MEMORY;
  CUcontext context = nullptr;
  CUdevice device = 0;
  CUresult result = driver_.cuCtxGetCurrent(&context);
  if (result == CUDA_SUCCESS && context == nullptr) result = CUDA_ERROR_INVALID_CONTEXT;
  if (result == CUDA_SUCCESS) result = driver_.cuCtxGetDevice(&device);
  if (result != CUDA_SUCCESS) return result;
  std::lock_guard lock(lock_);
  free_what_is_due(false);
  Part& part = parts_[device];
  result = prepare(part, device);
  if (result != CUDA_SUCCESS) return result;
  const uint64_t alignment = bytes >= kLarge ? part.granule : kAlignment;
  const uint64_t span = up(bytes, kAlignment);
  for (int attempt = 0; attempt < 2; ++attempt) {
    auto hole = part.holes.begin();
    uint64_t begin = 0;
    for (; hole != part.holes.end(); ++hole) {
      begin = wanted != 0 ? wanted : up(hole->first, alignment);
      const uint64_t end = hole->first + hole->second;
      if (begin >= hole->first && begin < end && span <= end - begin) break;
    }
    if (hole == part.holes.end()) {
      if (wanted == 0 || attempt > 0)
        return wanted != 0 ? CUDA_ERROR_INVALID_VALUE : CUDA_ERROR_OUT_OF_MEMORY;
      free_what_is_due(true);  // what had the address before
      continue;
    }
    result = back(part, device, down(begin, part.granule), up(begin + span, part.granule));
    if (result == CUDA_SUCCESS) {
      take_hole(part.holes, hole, begin, span);
      part.blocks[begin] = {bytes, span, context, nullptr};
      *address = begin;
      return CUDA_SUCCESS;
    }
    // What is to be freed later may be what is missing.
    free_what_is_due(true);
  }
  return result;
}

void PlacedMemory::remove(Part& part, std::map<uint64_t, Kept>::iterator block) {
  const uint64_t begin = block->first, span = block->second.span;
  if (block->second.freed != nullptr) (void)driver_.cuEventDestroy_v2(block->second.freed);
  part.blocks.erase(block);
  unback(part, down(begin, part.granule), up(begin + span, part.granule));
  give_hole(part.holes, begin, span);
}

void PlacedMemory::free_what_is_due(bool waits) {
  for (auto& [device, part] : parts_) {
    for (auto block = part.blocks.begin(); block != part.blocks.end();) {
      const auto one = block++;
      if (one->second.freed == nullptr) continue;
      const CUresult result =
          waits ? driver_.cuEventSynchronize(one->second.freed) : driver_.cuEventQuery(one->second.freed);
      if (result != CUDA_ERROR_NOT_READY) remove(part, one);
    }
  }
}

PlacedMemory::Part* PlacedMemory::part_of(CUdeviceptr address) {
  if (address < region_ || address - region_ >= kRegionBytes) return nullptr;
  const auto found = parts_.find(static_cast<CUdevice>((address - region_) / kDeviceRegionBytes));
  return found == parts_.end() ? nullptr : &found->second;
}

PlacedMemory::Kept* PlacedMemory::living(CUdeviceptr address) {
  Part* part = part_of(address);
  if (part == nullptr) return nullptr;
  const auto found = part->blocks.find(address);
  return found == part->blocks.end() || found->second.freed != nullptr ? nullptr : &found->second;
}

CUresult PlacedMemory::free(CUdeviceptr address) {
  CUcontext context = nullptr;
  {
    std::lock_guard lock(lock_);
    const Kept* block = living(address);
    if (block == nullptr) return CUDA_ERROR_INVALID_VALUE;
    context = block->context;
  }
  // Nothing of the device's may use it any more.
  CUresult result = driver_.cuCtxPushCurrent_v2(context);
  if (result == CUDA_SUCCESS) {
    result = driver_.cuCtxSynchronize();
    (void)driver_.cuCtxPopCurrent_v2(&context);
  }
  std::lock_guard lock(lock_);
  Part* part = part_of(address);
  const auto block = part->blocks.find(address);
  if (block != part->blocks.end()) remove(*part, block);
  return result;
}

CUresult PlacedMemory::free_later(CUdeviceptr address, CUstream stream) {
  std::lock_guard lock(lock_);
  Kept* block = living(address);
  if (block == nullptr) return CUDA_ERROR_INVALID_VALUE;
  CUevent event = nullptr;
  CUresult result = driver_.cuEventCreate(&event, CU_EVENT_DISABLE_TIMING);
  if (result == CUDA_SUCCESS) result = driver_.cuEventRecord(event, stream);
  if (result == CUDA_SUCCESS) {
    block->freed = event;
  } else if (event != nullptr) {
    (void)driver_.cuEventDestroy_v2(event);
  }
  return result;
}

CUresult PlacedMemory::share_with(CUdevice owner, CUdevice user, bool may) {
  std::lock_guard lock(lock_);
  Part& part = parts_[owner];
  std::erase(part.users, user);
  if (may) part.users.push_back(user);
  const CUmemAccessDesc access{{CU_MEM_LOCATION_TYPE_DEVICE, user},
                               may ? CU_MEM_ACCESS_FLAGS_PROT_READWRITE : CU_MEM_ACCESS_FLAGS_PROT_NONE};
  CUresult result = CUDA_SUCCESS;
  for (const auto& [begin, extent] : part.extents) {
    const CUresult one = driver_.cuMemSetAccess(begin, extent.bytes, &access, 1);
    if (result == CUDA_SUCCESS) result = one;
  }
  return result;
}

bool PlacedMemory::find(CUdeviceptr address, Block* found) {
  if (!is_on()) return false;
  std::lock_guard lock(lock_);
  Part* part = part_of(address);
  if (part == nullptr) return false;
  auto after = part->blocks.upper_bound(address);
  if (after == part->blocks.begin()) return false;
  const auto& [begin, block] = *std::prev(after);
  if (address - begin >= block.bytes) return false;
  *found = {begin, block.bytes, block.context};
  return true;
}

std::vector<PlacedMemory::Block> PlacedMemory::blocks() {
  std::lock_guard lock(lock_);
  std::vector<Block> all;
  for (const auto& [device, part] : parts_) {
    for (const auto& [begin, block] : part.blocks) {
      if (block.freed == nullptr) all.push_back({begin, block.bytes, block.context});
    }
  }
  return all;
}

}  // namespace tessera::remote
