// CU_FUNC_ATTRIBUTE_*: what a function needs and what a program may set for it.
#pragma once

#include "cuda/abi.h"
#include "softgpu/device/occupancy.h"

namespace tessera::softgpu {

class Function;

CUresult get_function_attribute(Function& function, CUfunction_attribute attribute, int* value);
CUresult set_function_attribute(Function& function, CUfunction_attribute attribute, int value);

// What launches and occupancy are checked against.
struct FunctionLimits {
  BlockNeeds needs;  // without threads and dynamic shared memory
  uint32_t max_threads = 0;
  uint32_t max_dynamic_shared_bytes = 0;
};
CUresult function_limits(Function& function, FunctionLimits* limits);

}  // namespace tessera::softgpu
