// LIRS (Jiang and Zhang, 2002): pages whose last two uses lie close together stay, whatever is used once in
// between. So part of a loop that is too long for memory stays in it, where the least recently used page of
// all would go just before it is used again.
//
// "Warm" pages (their LIR) have most of the room. "Cold" ones (HIR) pass through the rest, in order of
// arrival; one that is used again while it is in the recency stack becomes warm in place of the warm page
// used longest ago. The stack remembers some pages that are gone.
#pragma once

#include <list>
#include <unordered_map>

#include "memory/reclaim/page_directory.h"

namespace tessera::memory {

class LirsDirectory : public PageDirectory {
 public:
  explicit LirsDirectory(size_t pages);

  Access access(PageId page) override;
  bool contains(PageId page) const override;
  void forget(PageId page) override;
  std::vector<PageId> resize(size_t pages) override;

 private:
  enum class Kind : uint8_t { kWarm, kCold, kGone };
  using Order = std::list<PageId>;
  struct Entry {
    Kind kind = Kind::kCold;
    bool in_stack = false;
    Order::iterator stack;  // where in_stack
    Order::iterator queue;  // of cold pages and of those that are gone
  };

  size_t warm_room() const { return room_ - cold_room(); }
  size_t cold_room() const { return room_ / 100 > 1 ? room_ / 100 : 1; }
  size_t resident() const { return warm_ + cold_.size(); }

  void to_top(PageId page, Entry& entry);
  void warm(PageId page, Entry& entry);
  void cool_one();
  void prune();
  PageId evict();

  size_t room_;
  size_t warm_ = 0;
  Order stack_;  // the one used last is the last one; the first one is warm
  Order cold_;   // the first one goes next
  Order gone_;   // all in the stack; the first one went first
  std::unordered_map<PageId, Entry> entries_;
};

}  // namespace tessera::memory
