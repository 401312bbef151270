// Which SMs each slice of a GPU may use at the moment. What is a slice's own it has whenever it has work;
// what of it lies idle is lent, and goes back when its owner has work again.
//
//   - slices in time: the SMs that are nobody's own, and all that idle;
//   - where none of them has work, what idles is parted among the slices in space that have, by what they
//   own.
#pragma once

#include <span>
#include <vector>

#include "common/index_set.h"

namespace tessera::partitioning {

struct SmHolder {
  IndexSet own;             // empty: in time
  bool busy = false;        // has work, or had some a moment ago
  bool may_borrow = false;  // in space: no ceiling keeps it to its own
};

// As `holders`. Disjoint, except for the slices in time, which all get the same; empty for those only where
// no SM is left for them.
std::vector<IndexSet> lend_sms(const IndexSet& all, std::span<const SmHolder> holders);

}  // namespace tessera::partitioning
