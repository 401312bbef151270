#include "memory/reclaim/access_traces.h"

#include <algorithm>
#include <cmath>
#include <random>

namespace tessera::memory {
namespace {

using Random = std::mt19937_64;
using Pages = std::vector<PageId>;

constexpr uint32_t kUses = 40;  // of a page, on average

// Inference, or an iterative solver: all of it, again and again.
Pages loop(uint32_t pages) {
  Pages trace;
  for (uint32_t turn = 0; turn < kUses; ++turn) {
    for (uint32_t page = 0; page < pages; ++page) trace.push_back(page);
  }
  return trace;
}

// Training: the layers forward, then backward.
Pages there_and_back(uint32_t pages) {
  Pages trace;
  for (uint32_t turn = 0; turn < kUses / 2; ++turn) {
    for (uint32_t page = 0; page < pages; ++page) trace.push_back(page);
    for (uint32_t page = pages; page-- > 0;) trace.push_back(page);
  }
  return trace;
}

// A matrix product by rows of tiles: a tenth of the pages stay in use while the others pass by.
Pages matrix_product(uint32_t pages) {
  Pages trace;
  const uint32_t tile = std::max(pages / 10, 1u);
  for (uint32_t turn = 0; turn < kUses; ++turn) {
    for (uint32_t page = tile; page < pages; ++page) {
      trace.push_back(page);
      if (page % 8 == 0) trace.push_back((page / 8 + turn) % tile);
    }
  }
  return trace;
}

// Two loops of different lengths, one after the other.
Pages two_loops(uint32_t pages) {
  Pages trace;
  for (uint32_t turn = 0; turn < kUses; ++turn) {
    const uint32_t end = turn / 5 % 2 == 0 ? pages : pages * 9 / 10;
    for (uint32_t page = 0; page < end; ++page) trace.push_back(page);
  }
  return trace;
}

// Look-ups of very different frequency.
Pages skewed(uint32_t pages, Random& random) {
  Pages trace;
  std::uniform_real_distribution<> share(0, 1);
  for (uint32_t use = 0; use < pages * kUses; ++use) {
    trace.push_back(static_cast<PageId>(std::pow(share(random), 3) * pages));
  }
  return trace;
}

Pages uniform(uint32_t pages, Random& random) {
  Pages trace;
  for (uint32_t use = 0; use < pages * kUses; ++use) trace.push_back(random() % pages);
  return trace;
}

// Work on one part of the data, then on the next one: what was used last is used next.
Pages moving_window(uint32_t pages, Random& random) {
  Pages trace;
  const uint32_t window = std::max(pages / 4, 1u);
  for (uint32_t use = 0; use < pages * kUses; ++use) {
    trace.push_back((use / 16 + random() % window) % pages);
  }
  return trace;
}

// How far back the next use lies is drawn, near more often than far: what LRU is made for.
Pages stack_distances(uint32_t pages, Random& random) {
  Pages recent(pages), trace;
  for (uint32_t page = 0; page < pages; ++page) recent[page] = page;
  std::uniform_real_distribution<> share(0, 1);
  for (uint32_t use = 0; use < pages * kUses; ++use) {
    const auto back = static_cast<ptrdiff_t>(std::pow(share(random), 4) * pages);
    const PageId page = recent[static_cast<size_t>(back)];
    std::move_backward(recent.begin(), recent.begin() + back, recent.begin() + back + 1);
    recent[0] = page;
    trace.push_back(page);
  }
  return trace;
}

// Hot pages, and a scan over all others now and then.
Pages scans(uint32_t pages, Random& random) {
  Pages trace;
  const uint32_t hot = std::max(pages / 2, 1u);
  while (trace.size() < static_cast<size_t>(pages) * kUses) {
    for (uint32_t use = 0; use < pages * 3; ++use) trace.push_back(random() % hot);
    for (uint32_t page = hot; page < pages; ++page) trace.push_back(page);
  }
  return trace;
}

// A chain of pointers through all pages, the same way each time.
Pages pointer_chain(uint32_t pages, Random& random) {
  Pages order(pages), trace;
  for (uint32_t page = 0; page < pages; ++page) order[page] = page;
  std::shuffle(order.begin(), order.end(), random);
  for (uint32_t turn = 0; turn < kUses; ++turn) trace.insert(trace.end(), order.begin(), order.end());
  return trace;
}

// Merge passes of a sort: two runs are read and one is written, runs twice as long each time.
Pages merge_sort(uint32_t pages) {
  Pages trace;
  const uint32_t half = std::max(pages / 2, 1u);
  for (uint32_t round = 0; round < kUses / 8; ++round) {
    for (uint32_t run = 1; run < half; run *= 2) {
      const uint32_t from = round % 2 == 0 ? 0 : half, to = half - from;
      for (uint32_t page = 0; page < half; ++page) {
        trace.push_back(from + page);
        trace.push_back(to + page);
      }
    }
  }
  return trace;
}

// First one, then the other.
Pages phases(const Pages& first, const Pages& second) {
  Pages trace;
  for (int turn = 0; turn < 2; ++turn) {
    trace.insert(trace.end(), first.begin(), first.begin() + static_cast<ptrdiff_t>(first.size() / 2));
    trace.insert(trace.end(), second.begin(), second.begin() + static_cast<ptrdiff_t>(second.size() / 2));
  }
  return trace;
}

}  // namespace

std::vector<AccessTrace> access_traces(uint32_t pages, uint64_t seed) {
  Random random(seed);
  return {
      {"loop", true, loop(pages)},
      {"two loops", true, two_loops(pages)},
      {"matrix product", true, matrix_product(pages)},
      {"pointer chain", true, pointer_chain(pages, random)},
      {"there and back", false, there_and_back(pages)},
      {"merge sort", false, merge_sort(pages)},
      {"skewed", false, skewed(pages, random)},
      {"uniform", false, uniform(pages, random)},
      {"moving window", false, moving_window(pages, random)},
      {"stack distances", false, stack_distances(pages, random)},
      {"scans", false, scans(pages, random)},
      {"loop, then window", false, phases(loop(pages), moving_window(pages, random))},
      {"stack, then chain", false, phases(stack_distances(pages, random), pointer_chain(pages, random))},
  };
}

}  // namespace tessera::memory
