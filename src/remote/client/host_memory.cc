#include "remote/client/host_memory.h"

#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

namespace tessera::remote {
namespace {

constexpr uint64_t kPage = 4096;

}  // namespace

void HostMemory::add(const HostRange& range, const std::byte* last_known) {
  std::lock_guard lock(lock_);
  Kept& kept = ranges_[range.address];
  kept.range = range;
  if (range.is_watched) {
    const auto* start =
        last_known != nullptr ? last_known : reinterpret_cast<const std::byte*>(range.address);
    kept.last.assign(start, start + range.bytes);
    watched_.fetch_add(1);
  }
  count_.fetch_add(1);
}

bool HostMemory::remove(uint64_t address) {
  std::lock_guard lock(lock_);
  auto found = ranges_.find(address);
  if (found == ranges_.end()) return false;
  if (found->second.range.is_watched) watched_.fetch_sub(1);
  ranges_.erase(found);
  count_.fetch_sub(1);
  return true;
}

bool HostMemory::join_implicit(uint64_t* address, uint64_t* bytes) {
  std::lock_guard lock(lock_);
  uint64_t begin = *address, end = *address + *bytes;
  for (auto at = ranges_.begin(); at != ranges_.end();) {
    const HostRange& range = at->second.range;
    const bool touches = range.address < end && range.address + range.bytes > begin;
    if (touches && range.kind != HostKind::kImplicit) return false;
    if (!touches) {
      ++at;
      continue;
    }
    begin = std::min(begin, range.address);
    end = std::max(end, range.address + range.bytes);
    if (range.is_watched) watched_.fetch_sub(1);
    count_.fetch_sub(1);
    at = ranges_.erase(at);
  }
  *address = begin;
  *bytes = end - begin;
  return true;
}

HostMemory::Kept* HostMemory::holder(uint64_t address, uint64_t bytes) {
  auto after = ranges_.upper_bound(address);
  if (after == ranges_.begin()) return nullptr;
  Kept& kept = std::prev(after)->second;
  return range_fits(address - kept.range.address, bytes, kept.range.bytes) ? &kept : nullptr;
}

bool HostMemory::find(uint64_t address, uint64_t bytes, HostRange* range) {
  if (!has_any()) return false;
  std::lock_guard lock(lock_);
  Kept* kept = holder(address, bytes);
  if (kept == nullptr) return false;
  *range = kept->range;
  return true;
}

bool HostMemory::watch(uint64_t address) {
  std::lock_guard lock(lock_);
  Kept* kept = holder(address, 1);
  if (kept == nullptr || kept->range.is_watched) return false;
  kept->range.is_watched = true;
  // The server has zeros where the program has not told it anything.
  kept->last.assign(kept->range.bytes, std::byte{0});
  watched_.fetch_add(1);
  return true;
}

std::vector<uint64_t> HostMemory::named_in(ByteSpan bytes) {
  std::vector<uint64_t> named;
  if (count_.load(std::memory_order_relaxed) == watched_.load(std::memory_order_relaxed)) return named;
  std::lock_guard lock(lock_);
  for (size_t at = 0; at + 8 <= bytes.size(); at += 4) {
    uint64_t word = 0;
    memcpy(&word, bytes.data() + at, sizeof word);
    Kept* kept = holder(word, 1);
    if (kept != nullptr && !kept->range.is_watched) named.push_back(kept->range.address);
  }
  return named;
}

std::vector<HostRange> HostMemory::pinned_in(ByteSpan bytes) {
  std::vector<HostRange> named;
  if (!has_any()) return named;
  std::lock_guard lock(lock_);
  for (size_t at = 0; at + 8 <= bytes.size(); at += 4) {
    uint64_t word = 0;
    memcpy(&word, bytes.data() + at, sizeof word);
    const Kept* kept = holder(word, 1);
    const bool is_pinned = kept != nullptr && (kept->range.kind == HostKind::kPinned ||
                                               kept->range.kind == HostKind::kRegistered);
    if (is_pinned) named.push_back(kept->range);
  }
  return named;
}

void HostMemory::publish_one(Kept& kept, const std::byte* now,
                             const std::function<void(uint64_t, ByteSpan)>& send) {
  const uint64_t address = kept.range.address;
  uint64_t run = 0;
  const auto send_run = [&](uint64_t end) {
    if (run > 0) send(address + end - run, {kept.last.data() + end - run, run});
    run = 0;
  };
  for (uint64_t at = 0; at < kept.range.bytes; at += kPage) {
    const uint64_t part = std::min(kPage, kept.range.bytes - at);
    if (memcmp(now + at, kept.last.data() + at, part) == 0) {
      send_run(at);
      continue;
    }
    memcpy(kept.last.data() + at, now + at, part);
    run += part;
  }
  send_run(kept.range.bytes);
}

void HostMemory::publish(const std::function<void(uint64_t, ByteSpan)>& send) {
  std::lock_guard lock(lock_);
  std::vector<std::byte> copy;
  for (auto& [address, kept] : ranges_) {
    if (!kept.range.is_watched) continue;
    const auto* now = reinterpret_cast<const std::byte*>(address);
    // The program may have given it back, and the graph with it that named it.
    if (kept.range.kind == HostKind::kImplicit) {
      copy.resize(kept.range.bytes);
      const iovec to{copy.data(), copy.size()};
      const iovec from{reinterpret_cast<void*>(address), copy.size()};
      if (process_vm_readv(getpid(), &to, 1, &from, 1, 0) != static_cast<ssize_t>(copy.size())) continue;
      now = copy.data();
    }
    publish_one(kept, now, send);
  }
}

std::span<std::byte> HostMemory::place_for(uint64_t address, uint64_t bytes) {
  std::lock_guard lock(lock_);
  Kept* kept = holder(address, bytes);
  if (kept == nullptr || kept->range.kind == HostKind::kImplicit) return {};
  return {reinterpret_cast<std::byte*>(address), bytes};
}

bool HostMemory::put_implicit(uint64_t address, ByteSpan bytes) {
  std::lock_guard lock(lock_);
  Kept* kept = holder(address, bytes.size());
  if (kept == nullptr || kept->range.kind != HostKind::kImplicit || !kept->range.is_watched) return false;
  memcpy(kept->last.data() + (address - kept->range.address), bytes.data(), bytes.size());
  const iovec from{const_cast<std::byte*>(bytes.data()), bytes.size()};
  const iovec to{reinterpret_cast<void*>(address), bytes.size()};
  return process_vm_writev(getpid(), &from, 1, &to, 1, 0) == static_cast<ssize_t>(bytes.size());
}

void HostMemory::arrived(uint64_t address, ByteSpan bytes) {
  std::lock_guard lock(lock_);
  Kept* kept = holder(address, bytes.size());
  if (kept == nullptr || !kept->range.is_watched) return;
  memcpy(kept->last.data() + (address - kept->range.address), bytes.data(), bytes.size());
}

}  // namespace tessera::remote
