#include "partitioning/sm_parting.h"

namespace tessera::partitioning {

std::vector<IndexSet> part_sms(const IndexSet& all, std::span<const SmWant> wants) {
  std::vector<IndexSet> sets(wants.size());
  IndexSet left = all;
  for (size_t i = 0; i < wants.size(); ++i) {
    const SmWant& want = wants[i];
    if (want.now.count() != want.count || !(want.now - left).empty()) continue;
    sets[i] = want.now;
    left -= want.now;
  }
  for (size_t i = 0; i < wants.size(); ++i) {
    if (!sets[i].empty()) continue;
    sets[i] = left.lowest(wants[i].count);
    left -= sets[i];
  }
  return sets;
}

}  // namespace tessera::partitioning
