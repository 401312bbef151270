#include "memory/reclaim/page_reclaim.h"

#include <algorithm>
#include <cassert>

namespace tessera::memory {
namespace {

constexpr double kClear = 0.98;  // who has so few of the other's faults is better; LRU is where neither is
constexpr double kMemory = 4;    // of the faults: so many times the room, in uses

}  // namespace

PageReclaim::PageReclaim(size_t pages) : room_(std::max<size_t>(pages, 2)), lru_(room_), lirs_(room_) {}

void PageReclaim::leave(size_t which, PageId page) {
  const auto found = resident_.find(page);
  if (found == resident_.end() || found->second.outside[which]) return;
  found->second.outside[which] = true;
  found->second.place[which] = outside_[which].insert(outside_[which].end(), page);
}

void PageReclaim::enter(size_t which, PageId page) {
  const auto found = resident_.find(page);
  if (found == resident_.end() || !found->second.outside[which]) return;
  found->second.outside[which] = false;
  outside_[which].erase(found->second.place[which]);
}

void PageReclaim::note(size_t which, const PageDirectory::Access& access) {
  faults_[which] *= 1 - 1 / (kMemory * static_cast<double>(room_));
  if (access.fault) faults_[which] += 1;
  if (access.evicted) leave(which, *access.evicted);
}

size_t PageReclaim::leader() const { return faults_[kLirs] < kClear * faults_[kLru] ? kLirs : kLru; }

// A page that the better one would not hold: there is one, as it holds no more than there is room for.
PageId PageReclaim::evict() {
  const size_t best = leader();
  assert(!outside_[best].empty());
  const PageId page = outside_[best].front();
  drop(page);
  return page;
}

void PageReclaim::drop(PageId page) {
  const auto found = resident_.find(page);
  for (size_t which = 0; which < directories_.size(); ++which) {
    if (found->second.outside[which]) outside_[which].erase(found->second.place[which]);
  }
  resident_.erase(found);
}

// Whether it was in memory.
bool PageReclaim::touch(PageId page) {
  for (size_t which = 0; which < directories_.size(); ++which) {
    note(which, directories_[which]->access(page));
    enter(which, page);
  }
  return resident_.contains(page);
}

PageReclaim::Outcome PageReclaim::used(PageId page) {
  Outcome outcome{.fault = !touch(page), .evict = {}};
  if (!outcome.fault) return outcome;
  // Each directory holds the page now, and no more than there is room for: of what is in memory, which is as
  // much, one page at least is not in it.
  if (resident_.size() >= room_) outcome.evict = evict();
  resident_[page] = {};
  return outcome;
}

void PageReclaim::came(PageId page) {
  if (!touch(page)) resident_[page] = {};
}

void PageReclaim::went(PageId page) {
  if (resident_.contains(page)) drop(page);
}

void PageReclaim::forget(PageId page) {
  for (PageDirectory* directory : directories_) directory->forget(page);
  if (resident_.contains(page)) drop(page);
}

std::vector<PageId> PageReclaim::resize(size_t pages) {
  room_ = std::max<size_t>(pages, 2);
  for (size_t which = 0; which < directories_.size(); ++which) {
    for (const PageId page : directories_[which]->resize(room_)) leave(which, page);
  }
  std::vector<PageId> evicted;
  while (resident_.size() > room_) evicted.push_back(evict());
  return evicted;
}

}  // namespace tessera::memory
