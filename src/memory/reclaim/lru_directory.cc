#include "memory/reclaim/lru_directory.h"

#include <algorithm>

namespace tessera::memory {

PageDirectory::Access LruDirectory::access(PageId page) {
  const auto known = places_.find(page);
  if (known != places_.end()) {
    order_.splice(order_.end(), order_, known->second);
    return {};
  }
  Access access{.fault = true, .evicted = {}};
  if (places_.size() >= room_) access.evicted = evict();
  places_[page] = order_.insert(order_.end(), page);
  return access;
}

PageId LruDirectory::evict() {
  const PageId page = order_.front();
  places_.erase(page);
  order_.pop_front();
  return page;
}

void LruDirectory::forget(PageId page) {
  const auto known = places_.find(page);
  if (known == places_.end()) return;
  order_.erase(known->second);
  places_.erase(known);
}

std::vector<PageId> LruDirectory::resize(size_t pages) {
  room_ = std::max<size_t>(pages, 2);
  std::vector<PageId> evicted;
  while (places_.size() > room_) evicted.push_back(evict());
  return evicted;
}

}  // namespace tessera::memory
