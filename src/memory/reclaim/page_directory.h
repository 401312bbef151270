// Which pages would be in memory if one policy ruled: numbers only, no pages. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace tessera::memory {

using PageId = uint64_t;

class PageDirectory {
 public:
  struct Access {
    bool fault = false;
    std::optional<PageId> evicted;  // to make room
  };

  virtual ~PageDirectory() = default;
  // The page is used: it is in memory after that.
  virtual Access access(PageId page) = 0;
  virtual bool contains(PageId page) const = 0;
  // The page is no more.
  virtual void forget(PageId page) = 0;
  // Room for so many pages, at least 2; what does not fit any more.
  virtual std::vector<PageId> resize(size_t pages) = 0;
};

}  // namespace tessera::memory
