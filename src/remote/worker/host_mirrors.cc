#include "remote/worker/host_mirrors.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>

#include "remote/wire/message.h"

namespace tessera::remote {
namespace {

constexpr uint64_t kPage = 4096;
constexpr uint64_t kLowest = 64 << 10;  // programs have no memory below (vm.mmap_min_addr)
constexpr size_t kMostCopies = 4096;
constexpr uint64_t kWindow = uint64_t{64} << 20;  // as large as an arena of glibc's allocator, and as aligned
constexpr size_t kMostWindows = 256;

uint64_t whole_pages(uint64_t bytes) { return (bytes + kPage - 1) / kPage * kPage; }

}  // namespace

HostMirrors::~HostMirrors() {
  for (auto& [address, mirror] : mirrors_) drop(mirror);
}

bool HostMirrors::has_room(uint64_t address, uint64_t bytes) const {
  return bytes <= limits_.bytes && total_bytes_ <= limits_.bytes - bytes && address + bytes >= address &&
         mirrors_.size() < limits_.mirrors;
}

CUresult HostMirrors::add(uint64_t address, uint64_t bytes, unsigned flags, CUdeviceptr* device) {
  std::lock_guard lock(lock_);
  const uint64_t begin = address / kPage * kPage;
  if (bytes == 0 || !has_room(address, bytes)) return CUDA_ERROR_OUT_OF_MEMORY;
  // A null pointer of ours, with an offset to it, is to lead to nothing that is a client's.
  if (begin < kLowest) return CUDA_ERROR_INVALID_VALUE;
  if ((flags & kHostUnregistered) != 0) return add_unregistered(address, bytes);
  auto next = mirrors_.lower_bound(address);
  if (next != mirrors_.end() && next->first < address + bytes)
    return CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED;
  if (next != mirrors_.begin() && std::prev(next)->first + std::prev(next)->second.bytes > address) {
    return CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED;
  }
  if (driver_.cuMemHostRegister_v2 == nullptr) return CUDA_ERROR_NOT_SUPPORTED;
  const uint64_t span = whole_pages(address - begin + bytes);
  void* place = mmap(reinterpret_cast<void*>(begin), span, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  // Taken here by something else: then the device's address of it is another than the program's.
  if (place == MAP_FAILED) {
    place = mmap(nullptr, span, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  }
  if (place == MAP_FAILED) return CUDA_ERROR_OUT_OF_MEMORY;
  Mirror mirror;
  mirror.bytes = bytes;
  mirror.place = static_cast<std::byte*>(place) + (address - begin);
  mirror.is_mapped = true;
  CUresult result = driver_.cuMemHostRegister_v2(mirror.place, bytes, flags | CU_MEMHOSTREGISTER_DEVICEMAP);
  if (result == CUDA_SUCCESS) {
    mirror.is_registered = true;
    result = driver_.cuMemHostGetDevicePointer_v2(device, mirror.place, 0);
  }
  if (result != CUDA_SUCCESS) {
    drop(mirror);
    return result;
  }
  total_bytes_ += bytes;
  mirrors_.emplace(address, std::move(mirror));
  return result;
}

// The pages of the range, at the client's addresses; null where something else has one of them.
std::byte* HostMirrors::map_in_place(uint64_t address, uint64_t bytes) {
  for (uint64_t page = address / kPage * kPage; page < address + bytes; page += kPage) {
    if (pages_.contains(page)) continue;
    if (pages_.size() >= limits_.pages || kept_bytes_ + kPage > limits_.kept_bytes) return nullptr;
    void* place = mmap(reinterpret_cast<void*>(page), kPage, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (place == MAP_FAILED) return nullptr;
    pages_.insert(page);
    kept_bytes_ += kPage;
  }
  return reinterpret_cast<std::byte*>(address);
}

// Those of the range, where it may take their place: as it covers them and they are of its kind.
bool HostMirrors::covered(uint64_t address, uint64_t bytes, std::vector<uint64_t>& found) const {
  for (const auto& [at, mirror] : mirrors_) {
    if (at >= address + bytes || at + mirror.bytes <= address) continue;
    if (at < address || at + mirror.bytes > address + bytes || !mirror.is_unregistered) return false;
    found.push_back(at);
  }
  return true;
}

// Where the client's addresses are taken here, a window of them lies elsewhere: what touches in it does so
// there, too.
std::byte* HostMirrors::map_elsewhere(uint64_t address, uint64_t bytes) {
  const uint64_t number = address / kWindow;
  const bool is_within = (address + bytes - 1) / kWindow == number;
  const auto found = windows_.find(number);
  if (found != windows_.end()) return is_within ? found->second + address % kWindow : nullptr;
  if (windows_.size() >= kMostWindows) return nullptr;
  const uint64_t span = is_within ? kWindow : whole_pages(bytes);
  if (kept_bytes_ + span > limits_.kept_bytes) return nullptr;
  void* place =
      mmap(nullptr, span, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (place == MAP_FAILED) return nullptr;
  kept_bytes_ += span;
  auto* const begin = static_cast<std::byte*>(place);
  if (is_within) windows_.emplace(number, begin);
  return is_within ? begin + address % kWindow : begin;
}

std::byte* HostMirrors::place_for_unregistered(uint64_t address, uint64_t bytes) {
  std::byte* const place = windows_.contains(address / kWindow) ? nullptr : map_in_place(address, bytes);
  return place != nullptr ? place : map_elsewhere(address, bytes);
}

// Graphs keep addresses of such memory, so that it stays where it is until the session ends. A range takes
// the place of those that it covers where they lie in it already: elsewhere the graphs that named these would
// go on with memory that nobody compares any more. What the device has written there and nobody has been told
// of is told of still. The lock is held.
CUresult HostMirrors::add_unregistered(uint64_t address, uint64_t bytes) {
  std::vector<uint64_t> before;
  if (!covered(address, bytes, before)) return CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED;
  Mirror mirror;
  mirror.bytes = bytes;
  mirror.is_unregistered = true;
  mirror.place = place_for_unregistered(address, bytes);
  if (mirror.place == nullptr) return CUDA_ERROR_OUT_OF_MEMORY;
  const auto lies_in_it = [&](uint64_t at) { return mirrors_.at(at).place == mirror.place + (at - address); };
  if (!std::all_of(before.begin(), before.end(), lies_in_it)) return CUDA_ERROR_NOT_SUPPORTED;
  for (const uint64_t at : before) {
    const Mirror& old = mirrors_.at(at);
    total_bytes_ -= old.bytes;
    if (old.is_watched) {
      begin_watching(mirror);
      memcpy(mirror.last.data() + (at - address), old.last.data(), old.bytes);
    }
    mirrors_.erase(at);
  }
  total_bytes_ += bytes;
  mirrors_.emplace(address, std::move(mirror));
  return CUDA_SUCCESS;
}

CUresult HostMirrors::add_managed(uint64_t address, uint64_t bytes) {
  std::lock_guard lock(lock_);
  if (!has_room(address, bytes)) return CUDA_ERROR_OUT_OF_MEMORY;
  Mirror mirror;
  mirror.bytes = bytes;
  mirror.place = reinterpret_cast<std::byte*>(address);
  auto [at, is_new] = mirrors_.emplace(address, std::move(mirror));
  if (!is_new) return CUDA_ERROR_INVALID_VALUE;
  total_bytes_ += bytes;
  begin_watching(at->second);
  return CUDA_SUCCESS;
}

void HostMirrors::drop(Mirror& mirror) {
  if (mirror.is_registered && driver_.cuMemHostUnregister != nullptr) {
    (void)driver_.cuMemHostUnregister(mirror.place);
  }
  if (!mirror.is_mapped) return;
  const auto begin = reinterpret_cast<uint64_t>(mirror.place) / kPage * kPage;
  munmap(reinterpret_cast<void*>(begin),
         whole_pages(reinterpret_cast<uint64_t>(mirror.place) - begin + mirror.bytes));
}

CUresult HostMirrors::remove(uint64_t address) {
  Mirror mirror;
  {
    std::lock_guard lock(lock_);
    auto found = mirrors_.find(address);
    if (found == mirrors_.end()) return CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED;
    std::erase_if(copies_, [&](const Copy& copy) {
      const bool is_here = copy.address - address < found->second.bytes;
      if (is_here) (void)driver_.cuEventDestroy_v2(copy.event);
      return is_here;
    });
    total_bytes_ -= found->second.bytes;
    mirror = std::move(found->second);
    mirrors_.erase(found);
  }
  drop(mirror);  // it may wait for the GPU: nobody is kept out meanwhile
  return CUDA_SUCCESS;
}

uint64_t HostMirrors::forget_managed(uint64_t address) {
  std::lock_guard lock(lock_);
  auto found = mirrors_.find(address);
  if (found == mirrors_.end() || found->second.is_mapped || found->second.is_unregistered) return 0;
  const uint64_t bytes = found->second.bytes;
  total_bytes_ -= bytes;
  mirrors_.erase(found);
  return bytes;
}

void HostMirrors::forget_gone_managed() {
  std::lock_guard lock(lock_);
  std::erase_if(mirrors_, [&](const auto& entry) {
    const auto& [address, mirror] = entry;
    if (mirror.is_mapped || mirror.is_unregistered || driver_.cuPointerGetAttribute == nullptr) return false;
    uint32_t is_managed = 0;
    const CUresult result =
        driver_.cuPointerGetAttribute(&is_managed, CU_POINTER_ATTRIBUTE_IS_MANAGED, address);
    const bool is_gone = result != CUDA_SUCCESS || is_managed == 0;
    if (is_gone) total_bytes_ -= mirror.bytes;
    return is_gone;
  });
}

HostMirrors::Mirror* HostMirrors::mirror_of(uint64_t address, uint64_t bytes, uint64_t* offset) {
  auto after = mirrors_.upper_bound(address);
  if (after == mirrors_.begin()) return nullptr;
  auto& [begin, mirror] = *std::prev(after);
  if (!range_fits(address - begin, bytes, mirror.bytes)) return nullptr;
  *offset = address - begin;
  return &mirror;
}

std::byte* HostMirrors::find(uint64_t address, uint64_t bytes) {
  std::lock_guard lock(lock_);
  uint64_t offset = 0;
  Mirror* mirror = mirror_of(address, bytes, &offset);
  return mirror == nullptr ? nullptr : mirror->place + offset;
}

bool HostMirrors::put_changes(const Changes& changes) {
  std::lock_guard lock(lock_);
  uint64_t offset = 0;
  Mirror* mirror = mirror_of(changes.address, changes.bytes, &offset);
  if (mirror == nullptr) return false;
  each_change(changes, [&](uint64_t at, ByteSpan bytes) {
    memcpy(mirror->place + offset + at, bytes.data(), bytes.size());
    if (mirror->is_watched) memcpy(mirror->last.data() + offset + at, bytes.data(), bytes.size());
  });
  return true;
}

void HostMirrors::begin_watching(Mirror& mirror) {
  if (mirror.is_watched) return;
  mirror.is_watched = true;
  mirror.last.assign(mirror.place, mirror.place + mirror.bytes);
}

bool HostMirrors::watch(uint64_t address) {
  std::lock_guard lock(lock_);
  uint64_t offset = 0;
  Mirror* mirror = mirror_of(address, 1, &offset);
  if (mirror == nullptr) return false;
  begin_watching(*mirror);
  return true;
}

const void* HostMirrors::clients_address(const void* place) {
  std::lock_guard lock(lock_);
  for (const auto& [address, mirror] : mirrors_) {
    const auto* at = static_cast<const std::byte*>(place);
    if (at >= mirror.place && at < mirror.place + mirror.bytes) {
      return reinterpret_cast<const void*>(address + static_cast<uint64_t>(at - mirror.place));
    }
  }
  return place;
}

void HostMirrors::copy_comes(uint64_t address, uint64_t bytes, CUstream stream) {
  CUevent event = nullptr;
  if (driver_.cuEventCreate(&event, CU_EVENT_DISABLE_TIMING) != CUDA_SUCCESS) return;
  if (driver_.cuEventRecord(event, stream) != CUDA_SUCCESS) {
    (void)driver_.cuEventDestroy_v2(event);
    return;
  }
  std::unique_lock lock(lock_);
  if (copies_.size() >=
      kMostCopies) {  // the oldest is waited for: its bytes go with the next answer all the same
    const CUevent oldest = copies_.front().event;
    lock.unlock();
    (void)driver_.cuEventSynchronize(oldest);
    lock.lock();
  }
  copies_.push_back({address, bytes, event});
}

void HostMirrors::collect(const std::function<void(uint64_t, ByteSpan)>& copied,
                          const std::function<void(const Changes&)>& changed) {
  std::lock_guard lock(lock_);
  std::erase_if(copies_, [&](const Copy& copy) {
    if (driver_.cuEventQuery(copy.event) == CUDA_ERROR_NOT_READY) return false;
    (void)driver_.cuEventDestroy_v2(copy.event);
    uint64_t offset = 0;
    Mirror* mirror = mirror_of(copy.address, copy.bytes, &offset);
    if (mirror == nullptr) return true;
    copied(copy.address, {mirror->place + offset, copy.bytes});
    if (mirror->is_watched) memcpy(mirror->last.data() + offset, mirror->place + offset, copy.bytes);
    return true;
  });
  if (!has_launched_.load(std::memory_order_relaxed)) return;
  for (auto& [address, mirror] : mirrors_) {
    if (!mirror.is_watched) continue;
    find_changes(address, {mirror.place, mirror.bytes}, mirror.last, changed);
  }
}

}  // namespace tessera::remote
