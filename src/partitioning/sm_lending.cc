#include "partitioning/sm_lending.h"

#include <algorithm>

namespace tessera::partitioning {
namespace {

// The idle SMs, by what borrowers own; what does not divide goes to the first.
void part_among(IndexSet idle, std::span<const SmHolder> holders, std::vector<IndexSet>& sets) {
  uint32_t owned = 0;
  auto borrows = [](const SmHolder& holder) {
    return !holder.own.empty() && holder.busy && holder.may_borrow;
  };
  for (const SmHolder& holder : holders) owned += borrows(holder) ? holder.own.count() : 0;
  for (size_t i = 0; i < holders.size() && !idle.empty(); ++i) {
    if (!borrows(holders[i])) continue;
    const uint32_t own = holders[i].own.count();
    // Of what is left for it and those behind it, rounded up: the last one takes all.
    const IndexSet lent = idle.lowest((idle.count() * own + owned - 1) / owned);
    sets[i] |= lent;
    idle -= lent;
    owned -= own;
  }
}

}  // namespace

std::vector<IndexSet> lend_sms(const IndexSet& all, std::span<const SmHolder> holders) {
  IndexSet shared = all, idle;
  bool time_is_busy = false;
  for (const SmHolder& holder : holders) {
    shared -= holder.own;
    if (holder.own.empty()) {
      time_is_busy |= holder.busy;
    } else if (!holder.busy) {
      idle |= holder.own & all;
    }
  }
  std::vector<IndexSet> sets;
  for (const SmHolder& holder : holders) {
    sets.push_back(!holder.own.empty() ? holder.own & all : time_is_busy ? shared | idle : shared);
  }
  if (!time_is_busy) part_among(shared | idle, holders, sets);
  return sets;
}

}  // namespace tessera::partitioning
