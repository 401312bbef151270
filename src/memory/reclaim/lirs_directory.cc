#include "memory/reclaim/lirs_directory.h"

#include <algorithm>
#include <cassert>

namespace tessera::memory {
namespace {

constexpr size_t kRemembered = 2;  // times the room: pages that are gone

}  // namespace

LirsDirectory::LirsDirectory(size_t pages) : room_(std::max<size_t>(pages, 2)) {}

bool LirsDirectory::contains(PageId page) const {
  const auto known = entries_.find(page);
  return known != entries_.end() && known->second.kind != Kind::kGone;
}

void LirsDirectory::to_top(PageId page, Entry& entry) {
  if (entry.in_stack) {
    stack_.splice(stack_.end(), stack_, entry.stack);
  } else {
    entry.stack = stack_.insert(stack_.end(), page);
    entry.in_stack = true;
  }
}

// Below the lowest warm page the stack says nothing of use.
void LirsDirectory::prune() {
  while (!stack_.empty()) {
    const PageId page = stack_.front();
    Entry& entry = entries_.at(page);
    if (entry.kind == Kind::kWarm) return;
    stack_.pop_front();
    entry.in_stack = false;
    if (entry.kind == Kind::kGone) {
      gone_.erase(entry.queue);
      entries_.erase(page);
    }
  }
}

void LirsDirectory::cool_one() {
  const PageId page = stack_.front();
  Entry& entry = entries_.at(page);
  assert(entry.kind == Kind::kWarm);
  stack_.pop_front();
  entry.in_stack = false;
  entry.kind = Kind::kCold;
  entry.queue = cold_.insert(cold_.end(), page);
  --warm_;
  prune();
}

void LirsDirectory::warm(PageId page, Entry& entry) {
  entry.kind = Kind::kWarm;
  ++warm_;
  to_top(page, entry);
  if (warm_ > warm_room()) {
    cool_one();
  } else {
    prune();
  }
}

PageId LirsDirectory::evict() {
  if (cold_.empty()) cool_one();
  const PageId page = cold_.front();
  cold_.pop_front();
  Entry& entry = entries_.at(page);
  if (!entry.in_stack) {
    entries_.erase(page);
    return page;
  }
  entry.kind = Kind::kGone;
  entry.queue = gone_.insert(gone_.end(), page);
  if (gone_.size() > kRemembered * room_) forget(gone_.front());
  return page;
}

PageDirectory::Access LirsDirectory::access(PageId page) {
  if (const auto known = entries_.find(page); known != entries_.end() && known->second.kind != Kind::kGone) {
    Entry& entry = known->second;
    if (entry.kind == Kind::kWarm) {
      to_top(page, entry);
      prune();
    } else if (entry.in_stack) {
      cold_.erase(entry.queue);
      warm(page, entry);
    } else {
      to_top(page, entry);
      cold_.splice(cold_.end(), cold_, entry.queue);
    }
    return {};
  }
  Access access{.fault = true, .evicted = {}};
  if (resident() >= room_) access.evicted = evict();
  Entry& entry = entries_[page];  // may be one that is gone, and remembered
  const bool remembered = entry.in_stack;
  if (remembered) gone_.erase(entry.queue);
  if (remembered || warm_ < warm_room()) {
    warm(page, entry);
  } else {
    entry.kind = Kind::kCold;
    to_top(page, entry);
    entry.queue = cold_.insert(cold_.end(), page);
  }
  return access;
}

void LirsDirectory::forget(PageId page) {
  const auto known = entries_.find(page);
  if (known == entries_.end()) return;
  const Entry entry = known->second;
  entries_.erase(known);
  if (entry.in_stack) stack_.erase(entry.stack);
  if (entry.kind == Kind::kWarm) {
    --warm_;
    prune();
  } else {
    (entry.kind == Kind::kCold ? cold_ : gone_).erase(entry.queue);
  }
}

std::vector<PageId> LirsDirectory::resize(size_t pages) {
  room_ = std::max<size_t>(pages, 2);
  std::vector<PageId> evicted;
  while (warm_ > warm_room()) cool_one();
  while (resident() > room_) evicted.push_back(evict());
  while (gone_.size() > kRemembered * room_) forget(gone_.front());
  return evicted;
}

}  // namespace tessera::memory
