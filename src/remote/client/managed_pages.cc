#include "remote/client/managed_pages.h"

#include <sys/mman.h>

#include <algorithm>
#include <vector>

namespace tessera::remote {
namespace {

constexpr uint64_t kPage = 4096;
constexpr uint64_t kMostAddress = uint64_t{1} << 57;  // beyond what any processor's programs have

uint64_t page_of(uint64_t address) { return address / kPage * kPage; }
uint64_t page_after(uint64_t address) { return page_of(address + kPage - 1); }

}  // namespace

template <typename Each>
bool ManagedPages::each_gap(uint64_t begin, uint64_t end, Each each) const {
  auto part = parts_.upper_bound(begin);
  if (part != parts_.begin()) --part;
  for (; part != parts_.end() && page_of(part->first) < end; ++part) {
    const uint64_t before = page_of(part->first);
    if (before > begin && !each(begin, before)) return false;
    begin = std::max(begin, page_after(part->second));
  }
  return begin >= end || each(begin, end);
}

bool ManagedPages::add(uint64_t address, uint64_t bytes) {
  if (address < kPage || address >= kMostAddress) return false;  // null is nobody's memory
  if (bytes == 0 || bytes > kMostAddress - address) return false;
  const uint64_t end = address + bytes;
  std::lock_guard lock(lock_);
  const auto after = parts_.lower_bound(address);
  if (after != parts_.end() && after->first < end) return false;
  if (after != parts_.begin() && std::prev(after)->second > address) return false;
  std::vector<Gap> mapped;
  const bool is_free = each_gap(page_of(address), page_after(end), [&](uint64_t from, uint64_t to) {
    void* const wanted = reinterpret_cast<void*>(from);
    void* const got = mmap(wanted, to - from, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (got != MAP_FAILED && got != wanted) munmap(got, to - from);  // of a kernel that knows no such flag
    if (got != wanted) return false;
    mapped.push_back({from, to});
    return true;
  });
  if (is_free) {
    parts_.emplace(address, end);
  } else {
    for (const Gap& gap : mapped) munmap(reinterpret_cast<void*>(gap.begin), gap.end - gap.begin);
  }
  return is_free;
}

void ManagedPages::remove(uint64_t address) {
  std::lock_guard lock(lock_);
  const auto found = parts_.find(address);
  if (found == parts_.end()) return;
  const uint64_t end = found->second;
  parts_.erase(found);
  each_gap(page_of(address), page_after(end), [](uint64_t from, uint64_t to) {
    munmap(reinterpret_cast<void*>(from), to - from);
    return true;
  });
}

ManagedPages& managed_pages() {
  static auto* pages = new ManagedPages;
  return *pages;
}

}  // namespace tessera::remote
