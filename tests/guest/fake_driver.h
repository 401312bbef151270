// A test double of the CUDA driver: a shared library with a few functions whose results tests set and whose
// calls they count. Used by tests only.
#pragma once

#include <atomic>
#include <cstdint>

#include "cuda/abi.h"

struct FakeDriver {
  std::atomic<CUresult> alloc_result{CUDA_SUCCESS};
  std::atomic<CUresult> free_result{CUDA_SUCCESS};
  std::atomic<CUresult> context_result{CUDA_SUCCESS};
  std::atomic<int> driver_version{13000};
  std::atomic<uint64_t> real_free_bytes{64ull << 30};
  std::atomic<uint64_t> real_total_bytes{80ull << 30};
  std::atomic<size_t> pitch_unit{512};
  std::atomic<uint64_t> live_bytes{0};  // of linear memory
  std::atomic<uint64_t> init_calls{0};
  std::atomic<uint64_t> launches{0};
  std::atomic<uint64_t> ptsz_launches{0};
  std::atomic<uint64_t> ptsz_allocs{0};
  std::atomic<CUcontext> current{nullptr};
  std::atomic<int> primary_references{0};
  std::atomic<uint64_t> graph_node_bytes{0};  // of the one allocation node that every graph has
  std::atomic<uint64_t> graph_takes{0};       // reserved by each launch from now on
  std::atomic<uint64_t> graph_reserved{0};
};

// Exported by the library.
extern "C" FakeDriver* fake_driver();
