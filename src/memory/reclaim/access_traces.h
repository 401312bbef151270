// Which pages programs use, in order: patterns of known programs, drawn from a seed. For tests and
// benchmarks.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "memory/reclaim/page_directory.h"

namespace tessera::memory {

struct AccessTrace {
  std::string name;
  bool loops = false;  // over more than fits
  std::vector<PageId> pages;
};

// Each trace uses `pages` different pages, or about as many.
std::vector<AccessTrace> access_traces(uint32_t pages, uint64_t seed);

}  // namespace tessera::memory
