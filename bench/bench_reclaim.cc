// How many faults the reclaim policy has where pages are 125 % of what fits, beside LRU, LIRS, and the least
// that can be, for which the future must be known (Belady's MIN); and what a decision costs.
//
//   bench_reclaim [ROOM]     pages that fit; 8192 if not said
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <unordered_map>

#include "memory/reclaim/access_traces.h"
#include "memory/reclaim/page_reclaim.h"

namespace {

using namespace tessera::memory;

uint64_t faults_of(PageDirectory&& directory, const std::vector<PageId>& trace) {
  uint64_t faults = 0;
  for (const PageId page : trace) faults += directory.access(page).fault ? 1 : 0;
  return faults;
}

// The page goes whose next use is furthest away.
uint64_t least_faults(const std::vector<PageId>& trace, size_t room) {
  std::vector<size_t> next_use(trace.size());
  std::unordered_map<PageId, size_t> seen;
  for (size_t at = trace.size(); at-- > 0;) {
    const auto found = seen.find(trace[at]);
    next_use[at] = found == seen.end() ? trace.size() + at : found->second;
    seen[trace[at]] = at;
  }
  std::map<size_t, PageId> by_next_use;
  std::unordered_map<PageId, size_t> resident;
  uint64_t faults = 0;
  for (size_t at = 0; at < trace.size(); ++at) {
    const auto found = resident.find(trace[at]);
    if (found != resident.end()) {
      by_next_use.erase(found->second);
    } else {
      ++faults;
      if (resident.size() == room) {
        const auto last = std::prev(by_next_use.end());
        resident.erase(last->second);
        by_next_use.erase(last);
      }
    }
    resident[trace[at]] = next_use[at];
    by_next_use[next_use[at]] = trace[at];
  }
  return faults;
}

}  // namespace

int main(int argc, char** argv) {
  const auto room = static_cast<uint32_t>(argc > 1 ? std::max(std::atoi(argv[1]), 8) : 8192);
  std::printf("%-18s %10s %10s %10s %10s  policy / LRU   of a decision\n", "trace", "LRU", "LIRS", "policy",
              "least");
  for (const AccessTrace& trace : access_traces(room * 5 / 4, 1)) {
    const uint64_t lru = faults_of(LruDirectory(room), trace.pages),
                   lirs = faults_of(LirsDirectory(room), trace.pages);
    PageReclaim reclaim(room);
    uint64_t faults = 0;
    const auto begin = std::chrono::steady_clock::now();
    for (const PageId page : trace.pages) faults += reclaim.used(page).fault ? 1 : 0;
    const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - begin;
    std::printf("%-18s %10llu %10llu %10llu %10llu  %11.3f %9.0f ns\n", trace.name.c_str(),
                static_cast<unsigned long long>(lru), static_cast<unsigned long long>(lirs),
                static_cast<unsigned long long>(faults),
                static_cast<unsigned long long>(least_faults(trace.pages, room)),
                static_cast<double>(faults) / static_cast<double>(lru),
                took.count() / static_cast<double>(trace.pages.size()));
  }
}
