// The middle of several measurements: one disturbed run does not move it.
#pragma once

#include <algorithm>
#include <vector>

namespace tessera::bench {

// Of at least one figure.
inline double median(std::vector<double> figures) {
  std::sort(figures.begin(), figures.end());
  return figures[figures.size() / 2];
}

}  // namespace tessera::bench
