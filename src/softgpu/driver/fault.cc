#include "softgpu/driver/fault.h"

#include "common/strings.h"

namespace tessera::softgpu {
namespace {

struct FaultText {
  CUresult result;
  const char* text;
};

FaultText look_up(exec::FaultKind kind) {
  switch (kind) {
    case exec::FaultKind::kIllegalAddress:
      return {CUDA_ERROR_ILLEGAL_ADDRESS, "touched an illegal address"};
    case exec::FaultKind::kMisalignedAddress:
      return {CUDA_ERROR_MISALIGNED_ADDRESS, "used a misaligned address"};
    case exec::FaultKind::kInvalidAddressSpace:
      return {CUDA_ERROR_INVALID_ADDRESS_SPACE, "used an address of the wrong space"};
    case exec::FaultKind::kInvalidPc:
      return {CUDA_ERROR_INVALID_PC, "jumped to where no code is"};
    case exec::FaultKind::kIllegalInstruction:
      return {CUDA_ERROR_ILLEGAL_INSTRUCTION, "came to an illegal instruction"};
    case exec::FaultKind::kTrap:
      return {CUDA_ERROR_LAUNCH_FAILED, "trapped"};
    case exec::FaultKind::kAssert:
      return {CUDA_ERROR_ASSERT, "failed an assertion"};
    case exec::FaultKind::kStackOverflow:
      return {CUDA_ERROR_LAUNCH_FAILED, "overflowed its stack"};
  }
  return {CUDA_ERROR_UNKNOWN, "failed"};
}

}  // namespace

CUresult result_of_fault(exec::FaultKind kind) { return look_up(kind).result; }

uint32_t xid_of_fault(exec::FaultKind kind) {
  switch (kind) {
    case exec::FaultKind::kIllegalAddress:
      return 31;
    case exec::FaultKind::kTrap:
    case exec::FaultKind::kAssert:
      return 43;
    default:
      return 13;
  }
}

std::string describe_fault(const std::string& kernel, const exec::Fault& fault) {
  return str_format("kernel %s %s: address %#llx, block (%u,%u,%u), thread (%u,%u,%u): %s", kernel.c_str(),
                    look_up(fault.kind).text, static_cast<unsigned long long>(fault.address), fault.block.x,
                    fault.block.y, fault.block.z, fault.thread.x, fault.thread.y, fault.thread.z,
                    fault.detail.c_str());
}

}  // namespace tessera::softgpu
