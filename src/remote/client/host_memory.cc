#include "remote/client/host_memory.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "remote/client/own_memory.h"

namespace tessera::remote {

void HostMemory::add(const HostRange& range, const std::byte* last_known) {
  std::lock_guard lock(lock_);
  Kept kept;
  kept.range = range;
  if (range.is_watched) {
    const auto* start =
        last_known != nullptr ? last_known : reinterpret_cast<const std::byte*>(range.address);
    kept.last.assign(start, start + range.bytes);
    watched_.fetch_add(1);
  }
  if (range.kind == HostKind::kImplicit) take_place_of_covered(kept);
  ranges_.insert_or_assign(range.address, std::move(kept));
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

std::vector<uint64_t> HostMemory::of(HostKind kind) {
  std::lock_guard lock(lock_);
  std::vector<uint64_t> found;
  for (const auto& [address, kept] : ranges_) {
    if (kept.range.kind == kind) found.push_back(address);
  }
  return found;
}

bool HostMemory::join_implicit(uint64_t* address, uint64_t* bytes) {
  std::lock_guard lock(lock_);
  uint64_t begin = *address, end = *address + *bytes;
  for (const auto& [at, kept] : ranges_) {
    if (!kept.touches(begin, end)) continue;
    if (kept.range.kind != HostKind::kImplicit) return false;
    begin = std::min(begin, at);
    end = std::max(end, at + kept.range.bytes);
  }
  *address = begin;
  *bytes = end - begin;
  return true;
}

// Of `kept`, which is not among them yet. The server does the same with what it has. The lock is held.
void HostMemory::take_place_of_covered(Kept& kept) {
  const uint64_t begin = kept.range.address, end = begin + kept.range.bytes;
  std::erase_if(ranges_, [&](const auto& entry) {
    const auto& [at, old] = entry;
    if (old.range.kind != HostKind::kImplicit || !old.touches(begin, end)) return false;
    if (old.range.is_watched) {
      begin_watching(kept);
      memcpy(kept.last.data() + (at - begin), old.last.data(), old.last.size());
      watched_.fetch_sub(1);
    }
    count_.fetch_sub(1);
    return true;
  });
}

// The server has zeros where the program has not told it anything. The lock is held.
void HostMemory::begin_watching(Kept& kept) {
  if (kept.range.is_watched) return;
  kept.range.is_watched = true;
  kept.last.assign(kept.range.bytes, std::byte{0});
  watched_.fetch_add(1);
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
  begin_watching(*kept);
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

void HostMemory::publish(const std::function<void(const Changes&)>& send) {
  std::lock_guard lock(lock_);
  std::vector<std::byte> copy;
  for (auto& [address, kept] : ranges_) {
    if (!kept.range.is_watched) continue;
    ByteSpan now(reinterpret_cast<const std::byte*>(address), kept.range.bytes);
    // The program may have given it back, and the graph with it that named it.
    if (kept.range.kind == HostKind::kImplicit) {
      copy.resize(kept.range.bytes);
      if (!read_own(address, copy)) continue;
      now = copy;
    }
    find_changes(address, now, kept.last, send);
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
  return write_own(address, bytes);
}

// While the server has made one range of several, it may tell of them in one before we have.
void HostMemory::put_changes(const Changes& changes) {
  std::lock_guard lock(lock_);
  each_change(changes, [&](uint64_t offset, ByteSpan bytes) {
    uint64_t address = changes.address + offset;
    for (Kept* kept = holder(address, 1); kept != nullptr && !bytes.empty(); kept = holder(address, 1)) {
      const ByteSpan part =
          bytes.first(std::min(bytes.size(), kept->range.address + kept->range.bytes - address));
      put_run(*kept, address, part);
      address += part.size();
      bytes = bytes.subspan(part.size());
    }
  });
}

void HostMemory::put_run(Kept& kept, uint64_t address, ByteSpan bytes) {
  if (!kept.range.is_watched) return;
  memcpy(kept.last.data() + (address - kept.range.address), bytes.data(), bytes.size());
  if (kept.range.kind == HostKind::kImplicit) {
    (void)write_own(address, bytes);  // the program may have given it back
  } else {
    memcpy(reinterpret_cast<void*>(address), bytes.data(), bytes.size());
  }
}

void HostMemory::arrived(uint64_t address, ByteSpan bytes) {
  std::lock_guard lock(lock_);
  Kept* kept = holder(address, bytes.size());
  if (kept == nullptr || !kept->range.is_watched) return;
  memcpy(kept->last.data() + (address - kept->range.address), bytes.data(), bytes.size());
}

}  // namespace tessera::remote
