#include "memory/swap/host_store.h"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "common/fd.h"
#include "common/log.h"
#include "common/numa.h"

namespace tessera::memory {

namespace {

uint64_t bytes_of(const std::string& meminfo, std::string_view key) {
  const size_t at = meminfo.find(key);
  return at == std::string::npos ? 0 : strtoull(meminfo.c_str() + at + key.size(), nullptr, 10) * 1024;
}

}  // namespace

HostStore::Memory HostStore::look_at_host() {
  constexpr size_t kMost = 16 * 1024;
  const auto text = read_file("/proc/meminfo", kMost);
  if (!text.ok()) return {};
  return {bytes_of(*text, "MemAvailable:"), bytes_of(*text, "MemFree:"), bytes_of(*text, "MemTotal:")};
}

HostStore::HostStore(uint64_t slot_bytes, std::optional<uint32_t> numa_node, Filling filling, Look look)
    : slot_bytes_(slot_bytes), numa_node_(numa_node), filling_(filling), look_(look) {}

HostStore::~HostStore() {
  for (std::byte* segment : segments_) munmap(segment, kSegmentSlots * slot_bytes_);
}

Status HostStore::add_segment() {
  const uint64_t bytes = kSegmentSlots * slot_bytes_;
  void* memory =
      mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED)
    return Status::from_errno(errno, "no addresses for memory that is moved off a device");
  madvise(memory, bytes, MADV_DONTFORK);
  madvise(memory, bytes, MADV_DONTDUMP);
  if (filling_ == Filling::kWhole) madvise(memory, bytes, MADV_HUGEPAGE);  // one fault instead of hundreds
  if (numa_node_) {
    const Status near = prefer_numa_node(memory, bytes, *numa_node_);
    if (!near.ok())
      LOG_WARN("memory", "memory for what leaves the device is not near it: %s", near.message().c_str());
  }
  const auto first = static_cast<uint32_t>(segments_.size()) * kSegmentSlots;
  segments_.push_back(static_cast<std::byte*>(memory));
  for (uint32_t i = kSegmentSlots; i-- > 0;) empty_.push_back(first + i);
  return Status();
}

Result<uint32_t> HostStore::take() {
  if (until_look_ == 0) {
    const uint64_t available = look_().available_bytes;
    if (available != 0 && available < kLeaveBytes + kLookEvery * slot_bytes_) {
      return Status::error(Code::kResourceExhausted,
                           "the host has %llu MiB of memory left: none for what is on a device",
                           static_cast<unsigned long long>(available >> 20));
    }
    until_look_ = kLookEvery;
  }
  if (kept_.empty() && empty_.empty()) TESSERA_RETURN_IF_ERROR(add_segment());
  --until_look_;
  ++used_slots_;
  std::vector<uint32_t>& from = kept_.empty() ? empty_ : kept_;
  const uint32_t slot = from.back();
  from.pop_back();
  return slot;
}

bool HostStore::keeps_another() {
  if (filling_ == Filling::kPartly || kept_.size() * slot_bytes_ < kKeptBytes) return true;
  if (until_free_look_ == 0) {
    const Memory memory = look_();
    has_free_ = memory.free_bytes >= memory.total_bytes / kLittlePart;
    until_free_look_ = kLookEvery;
  }
  --until_free_look_;
  return has_free_;
}

void HostStore::give_back(uint32_t slot) {
  const bool keeps = keeps_another();
  madvise(at(slot), slot_bytes_, keeps ? MADV_FREE : MADV_DONTNEED);
  (keeps ? kept_ : empty_).push_back(slot);
  --used_slots_;
}

void HostStore::shorten(uint32_t slot, uint64_t bytes) {
  if (bytes < slot_bytes_) madvise(at(slot) + bytes, slot_bytes_ - bytes, MADV_FREE);
}

std::byte* HostStore::at(uint32_t slot) const {
  return segments_[slot / kSegmentSlots] + slot % kSegmentSlots * slot_bytes_;
}

}  // namespace tessera::memory
