// Goes over all slices a few at a time: the daemon's loop does other work in between, and slices may come and
// go.
#pragma once

#include <cstddef>
#include <map>

#include "node/ledger.h"

namespace tessera::node {

class SliceWalk {
 public:
  // Visits at most `most` slices that it has not been at, by their number; true once no other is left.
  template <typename Visit>
  bool step(const std::map<SliceId, Slice>& slices, size_t most, Visit visit) {
    auto next = slices.upper_bound(latest_);
    for (; next != slices.end() && most > 0; ++next, --most) {
      latest_ = next->first;
      visit(next->second);
    }
    return next == slices.end();
  }

 private:
  SliceId latest_ = 0;  // numbers begin at 1
};

}  // namespace tessera::node
