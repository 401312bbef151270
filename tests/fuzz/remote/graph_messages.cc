// Calls with fields of their own: launches, and nodes of graphs.
#include "cuda/abi.h"
#include "remote/wire/launch.h"
#include "tests/fuzz/remote/composer.h"

namespace tessera::remote::fuzz {

void Composer::new_node() {
  out_.value(handle(HandleKind::kCUgraph));
  const uint64_t count = small();
  out_.count(count);
  for (uint64_t i = 0; i < count; ++i) out_.value(handle(HandleKind::kCUgraphNode));
}

// Parameters as the functions of touching_driver.h have them, more often than not.
void Composer::launch_fields(bool with_attributes) {
  LaunchFields fields;
  fields.function = handle(byte() < 128 ? HandleKind::kCUfunction : HandleKind::kCUkernel);
  fields.stream = handle(HandleKind::kCUstream);
  for (unsigned i = 0; i < 3; ++i) fields.grid[i] = fields.block[i] = static_cast<uint32_t>(small());
  static constexpr uint32_t kSizes[] = {24, 24, 24, 24, 16, 8, 0, 40000};
  fields.parameter_bytes = kSizes[byte() % 8];
  fields.attributes = with_attributes ? byte() % 4 : 0;
  if (byte() >= 250) fields.attributes = static_cast<uint32_t>(number());
  out_.value(fields);
  for (uint32_t i = 0; i < std::min<uint32_t>(fields.attributes, 4); ++i) {
    CUlaunchAttribute attribute{};
    in_->fill(std::as_writable_bytes(std::span(&attribute, 1)));
    attribute.id = static_cast<CUlaunchAttributeID>(byte() % 16);
    if (byte() < 128) attribute.value.programmaticEvent.event = (CUevent)handle(HandleKind::kCUevent);
    out_.value(attribute);
  }
  bytes(fields.parameter_bytes);
}

bool Composer::launches(uint16_t op) {
  switch (static_cast<Op>(op)) {
    case Op::cuLaunchKernel:
    case Op::cuLaunchCooperativeKernel:
      launch_fields(false);
      return true;
    case Op::cuLaunchCooperativeKernelMultiDevice: {
      const uint32_t count = byte() < 240 ? byte() % 4 : static_cast<uint32_t>(number());
      out_.value(count);
      out_.value<uint32_t>(byte() % 4);
      for (uint32_t i = 0; i < std::min<uint32_t>(count, 4); ++i) launch_fields(false);
      return true;
    }
    case Op::cuLaunchKernelEx:
    case Op::cuOccupancyMaxPotentialClusterSize:
    case Op::cuOccupancyMaxActiveClusters:
      launch_fields(true);
      return true;
    case Op::cuLaunchHostFunc:
    case Op::cuStreamAddCallback:
      out_.value(handle(HandleKind::kCUstream));
      out_.value(small());
      return true;
    case Op::cuUserObjectCreate:
      out_.value(small());
      out_.value<uint32_t>(byte());
      out_.value<uint32_t>(byte());
      return true;
    case Op::cuThreadExchangeStreamCaptureMode:
      out_.count(byte() < 240 ? 1 : kAbsent);
      out_.value<uint32_t>(byte() % 4);
      return true;
    default:
      return false;
  }
}

// Of nodes and streams: some have handles in them.
bool Composer::attributes(uint16_t op) {
  const bool is_set = op == static_cast<uint16_t>(Op::cuGraphKernelNodeSetAttribute) ||
                      op == static_cast<uint16_t>(Op::cuStreamSetAttribute);
  if (!is_set && op != static_cast<uint16_t>(Op::cuGraphKernelNodeGetAttribute)) return false;
  out_.value(handle(op == static_cast<uint16_t>(Op::cuStreamSetAttribute) ? HandleKind::kCUstream
                                                                          : HandleKind::kCUgraphNode));
  out_.value(static_cast<CUlaunchAttributeID>(byte() % 20));
  if (!is_set) {
    out_.value<uint64_t>(byte() < 224 ? 1 : 0);
    return true;
  }
  CUlaunchAttributeValue value{};
  if (byte() >= 64) value.programmaticEvent.event = (CUevent)handle(HandleKind::kCUevent);
  out_.structure(byte() < 224 ? &value : nullptr);
  return true;
}

bool Composer::graphs(uint16_t op) {
  switch (static_cast<Op>(op)) {
    case Op::cuGraphAddKernelNode_v2:
      new_node();
      launch_fields(false);
      return true;
    case Op::cuGraphExecKernelNodeSetParams_v2:
      out_.value(handle(HandleKind::kCUgraphExec));
      [[fallthrough]];
    case Op::cuGraphKernelNodeSetParams_v2:
      out_.value(handle(HandleKind::kCUgraphNode));
      launch_fields(false);
      return true;
    case Op::cuGraphAddHostNode:
      new_node();
      out_.value(small());
      return true;
    case Op::cuGraphExecHostNodeSetParams:
      out_.value(handle(HandleKind::kCUgraphExec));
      [[fallthrough]];
    case Op::cuGraphHostNodeSetParams:
      out_.value(handle(HandleKind::kCUgraphNode));
      out_.value(small());
      return true;
    case Op::cuGraphAddBatchMemOpNode:
      new_node();
      break;
    case Op::cuGraphExecBatchMemOpNodeSetParams:
      out_.value(handle(HandleKind::kCUgraphExec));
      [[fallthrough]];
    case Op::cuGraphBatchMemOpNodeSetParams:
      out_.value(handle(HandleKind::kCUgraphNode));
      break;
    case Op::cuGraphAddMemAllocNode: {
      new_node();
      bytes(sizeof(CUDA_MEM_ALLOC_NODE_PARAMS));
      const uint64_t count = small();
      out_.count(count);
      bytes(count * sizeof(CUmemAccessDesc));
      return true;
    }
    case Op::cuGraphAddNode:
      new_node();
      out_.value(number());
      out_.value<uint32_t>(byte() % 4);
      out_.value<uint32_t>(byte() < 240 ? byte() % 4 : static_cast<uint32_t>(number()));
      out_.value(handle(HandleKind::kCUcontext));
      return true;
    case Op::cuGraphAddNode_v2:
      new_node();
      out_.value(handle(HandleKind::kCUgraph));
      out_.value<uint32_t>(byte() % 3);
      return true;
    case Op::cuGraphDebugDotPrint:
      out_.value(handle(HandleKind::kCUgraph));
      out_.value<uint64_t>(byte() < 224 ? 1 : 0);
      out_.value<uint32_t>(byte());
      return true;
    case Op::cuGraphKernelNodeGetParams_v2:
    case Op::cuGraphHostNodeGetParams:
    case Op::cuGraphMemcpyNodeGetParams:
    case Op::cuGraphBatchMemOpNodeGetParams:
    case Op::cuGraphMemAllocNodeGetParams:
      out_.value(handle(HandleKind::kCUgraphNode));
      return true;
    case Op::cuStreamGetCaptureInfo_v3:
      out_.value(handle(HandleKind::kCUstream));
      return true;
    default:
      return false;
  }
  out_.value(handle(HandleKind::kCUcontext));
  const uint64_t count = small();
  out_.count(count);
  bytes(count * sizeof(CUstreamBatchMemOpParams));
  out_.value<uint32_t>(byte());
  return true;
}

}  // namespace tessera::remote::fuzz
