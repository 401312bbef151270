// Least recently used goes first.
#pragma once

#include <list>
#include <unordered_map>

#include "memory/reclaim/page_directory.h"

namespace tessera::memory {

class LruDirectory : public PageDirectory {
 public:
  explicit LruDirectory(size_t pages) : room_(pages) {}

  Access access(PageId page) override;
  bool contains(PageId page) const override { return places_.contains(page); }
  void forget(PageId page) override;
  std::vector<PageId> resize(size_t pages) override;

 private:
  PageId evict();

  size_t room_;
  std::list<PageId> order_;  // the one used last is the last one
  std::unordered_map<PageId, std::list<PageId>::iterator> places_;
};

}  // namespace tessera::memory
