// Where the values of conditions lie: words of device memory, in blocks that are kept for the conditions to
// come until the process ends. A condition outlives contexts, and so do they.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <vector>

#include "cuda/abi.h"

namespace tessera::softgpu {

class Context;

class ConditionValues {
 public:
  static ConditionValues& instance();

  // A word of zero on the context's device. CUDA_ERROR_OUT_OF_MEMORY.
  CUresult take(Context& context, uint64_t* address);
  // Nothing reads or writes it any more.
  void give_back(int device, uint64_t address);

 private:
  std::mutex mutex_;
  std::map<int, std::vector<uint64_t>> free_;  // by the device's ordinal
};

}  // namespace tessera::softgpu
