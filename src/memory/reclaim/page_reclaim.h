// Which page goes when another one must come, within one tenant.
//
// No rule is best for all programs: loops want LIRS, most others LRU. So what each of the two would hold is
// kept in a directory, and who would have had fewer faults of late is followed: a page leaves that the better
// one does not hold (the adaptive caches of Subramanian, Smaragdakis and Loh, 2006). Such a cache cannot do
// much worse than the better of the two. Pure; a page costs some hundred bytes of records.
//
// Who decides himself when something has to go, as some pages cannot, says what comes and goes (came(),
// went()) and asks for a victim.
#pragma once

#include <array>
#include <cstdint>
#include <list>
#include <optional>
#include <unordered_map>
#include <vector>

#include "memory/reclaim/lirs_directory.h"
#include "memory/reclaim/lru_directory.h"

namespace tessera::memory {

class PageReclaim {
 public:
  // Room in memory, at least 2 pages.
  explicit PageReclaim(size_t pages);

  struct Outcome {
    bool fault = false;           // the page was not in memory: it is to be brought in,
    std::optional<PageId> evict;  // after this one has gone
  };
  Outcome used(PageId page);
  // The same where what goes is decided elsewhere.
  void came(PageId page);
  void went(PageId page);
  // Which of those in memory that may go should; none: the better policy would hold each of them, or all are
  // alike.
  template <typename MayGo>
  std::optional<PageId> victim(MayGo may_go) const {
    for (const PageId page : outside_[leader()]) {
      if (may_go(page)) return page;
    }
    return std::nullopt;
  }
  // The page is no more, wherever it was.
  void forget(PageId page);
  // More or less room; what has to go.
  std::vector<PageId> resize(size_t pages);

  size_t room() const { return room_; }
  size_t resident() const { return resident_.size(); }
  bool contains(PageId page) const { return resident_.contains(page); }

 private:
  // Of the two directories.
  static constexpr size_t kLru = 0, kLirs = 1;
  struct Resident {
    // Among the pages in memory that a directory does not hold, where `outside` says so.
    std::array<std::list<PageId>::iterator, 2> place;
    std::array<bool, 2> outside{};
  };

  void note(size_t which, const PageDirectory::Access& access);
  void leave(size_t which, PageId page);
  void enter(size_t which, PageId page);
  size_t leader() const;
  bool touch(PageId page);
  PageId evict();
  void drop(PageId page);

  size_t room_;
  LruDirectory lru_;
  LirsDirectory lirs_;
  std::array<PageDirectory*, 2> directories_{&lru_, &lirs_};
  std::array<double, 2> faults_{};            // of late
  std::array<std::list<PageId>, 2> outside_;  // in memory, and not in the directory; the first one longest so
  std::unordered_map<PageId, Resident> resident_;
};

}  // namespace tessera::memory
