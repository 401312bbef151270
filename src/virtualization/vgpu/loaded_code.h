// Which kernels the driver has loaded already, so that launches after the first need not ask; which library a
// kernel is of.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <set>
#include <unordered_map>
#include <utility>

#include "cuda/abi.h"

namespace tessera::vgpu {

class LoadedCode {
 public:
  // Changes whenever loads are forgotten: what a thread remembers of an older epoch is worthless.
  uint64_t epoch() const { return epoch_.load(std::memory_order_acquire); }
  bool loaded(CUfunction function, CUcontext context);
  void set_loaded(CUfunction function, CUcontext context);
  // A context, module or library has ended: handles may be used again.
  void forget_loads();

  void add_kernel(CUkernel kernel, CUlibrary library);
  // Null where `function` is no kernel of a library.
  CUlibrary library_of(CUfunction function);
  void forget_library(CUlibrary library);

 private:
  std::atomic<uint64_t> epoch_{1};
  std::mutex mutex_;
  std::set<std::pair<CUfunction, CUcontext>> loads_;
  std::unordered_map<CUkernel, CUlibrary> kernels_;
};

}  // namespace tessera::vgpu
