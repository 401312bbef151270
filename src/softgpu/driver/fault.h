// What a fault of a kernel means to the program, and what the log says about it.
#pragma once

#include <string>

#include "cuda/abi/result.h"
#include "softgpu/exec/executor.h"

namespace tessera::softgpu {

CUresult result_of_fault(exec::FaultKind kind);
std::string describe_fault(const std::string& kernel, const exec::Fault& fault);

}  // namespace tessera::softgpu
