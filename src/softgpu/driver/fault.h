// What a fault of a kernel means to the program, and what the log says about it.
#pragma once

#include <cstdint>
#include <string>

#include "cuda/abi/result.h"
#include "softgpu/exec/executor.h"

namespace tessera::softgpu {

CUresult result_of_fault(exec::FaultKind kind);
// As NVIDIA's driver reports it to the machine: 31, a memory page fault; 43, stopped by the program itself;
// 13, any other exception.
uint32_t xid_of_fault(exec::FaultKind kind);
std::string describe_fault(const std::string& kernel, const exec::Fault& fault);

}  // namespace tessera::softgpu
