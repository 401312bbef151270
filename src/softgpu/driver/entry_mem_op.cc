// Stream memory operations, in streams and as nodes of graphs.
#include <vector>

#include "cuda/abi.h"
#include "softgpu/driver/entry.h"
#include "softgpu/driver/graph/capture.h"
#include "softgpu/driver/graph/lookup.h"
#include "softgpu/driver/graph/mem_op_work.h"
#include "softgpu/driver/graph/node_params.h"
#include "softgpu/driver/stream.h"

using namespace tessera::softgpu;  // NOLINT: the C interface of that namespace

namespace {

CUresult submit(CUstream hStream, const CUstreamBatchMemOpParams* ops, unsigned count, unsigned flags) {
  return guarded([&]() -> CUresult {
    std::shared_ptr<Stream> stream;
    SOFTGPU_RETURN_IF_ERROR(stream_of(hStream, &stream));
    if (flags != 0 || count > kMaxMemOps || (count != 0 && ops == nullptr)) return CUDA_ERROR_INVALID_VALUE;
    std::vector<CUstreamBatchMemOpParams> list(ops, ops + count);
    SOFTGPU_RETURN_IF_ERROR(check_mem_ops(list));
    bool captured = false;
    SOFTGPU_RETURN_IF_ERROR(enter_stream(*stream, &captured));
    if (captured) {
      return capture_work(*stream, std::make_shared<MemOpWork>(stream->context_ref(), std::move(list)));
    }
    stream->submit(make_mem_ops(stream->context_ref(), std::move(list)));
    return CUDA_SUCCESS;
  });
}

template <typename Value>
CUresult wait_value(CUstream stream, CUdeviceptr address, Value value, unsigned flags) {
  CUstreamBatchMemOpParams op{};
  op.waitValue.operation =
      sizeof(Value) == 4 ? CU_STREAM_MEM_OP_WAIT_VALUE_32 : CU_STREAM_MEM_OP_WAIT_VALUE_64;
  op.waitValue.address = address;
  op.waitValue.value64 = value;  // the 32-bit value is its lower half
  op.waitValue.flags = flags;
  return submit(stream, &op, 1, 0);
}

template <typename Value>
CUresult write_value(CUstream stream, CUdeviceptr address, Value value, unsigned flags) {
  CUstreamBatchMemOpParams op{};
  op.writeValue.operation =
      sizeof(Value) == 4 ? CU_STREAM_MEM_OP_WRITE_VALUE_32 : CU_STREAM_MEM_OP_WRITE_VALUE_64;
  op.writeValue.address = address;
  op.writeValue.value64 = value;
  op.writeValue.flags = flags;
  return submit(stream, &op, 1, 0);
}

CUgraphNodeParams node_params(const CUDA_BATCH_MEM_OP_NODE_PARAMS& params) {
  CUgraphNodeParams node{};
  node.type = CU_GRAPH_NODE_TYPE_BATCH_MEM_OP;
  node.memOp = {params.ctx, params.count, params.paramArray, params.flags};
  return node;
}

}  // namespace

extern "C" {

CUresult cuStreamWaitValue32(CUstream stream, CUdeviceptr addr, cuuint32_t value, unsigned int flags) {
  return wait_value(stream, addr, value, flags);
}
CUresult cuStreamWaitValue32_v2(CUstream stream, CUdeviceptr addr, cuuint32_t value, unsigned int flags) {
  return wait_value(stream, addr, value, flags);
}
CUresult cuStreamWaitValue64(CUstream stream, CUdeviceptr addr, cuuint64_t value, unsigned int flags) {
  return wait_value(stream, addr, value, flags);
}
CUresult cuStreamWaitValue64_v2(CUstream stream, CUdeviceptr addr, cuuint64_t value, unsigned int flags) {
  return wait_value(stream, addr, value, flags);
}
CUresult cuStreamWriteValue32(CUstream stream, CUdeviceptr addr, cuuint32_t value, unsigned int flags) {
  return write_value(stream, addr, value, flags);
}
CUresult cuStreamWriteValue32_v2(CUstream stream, CUdeviceptr addr, cuuint32_t value, unsigned int flags) {
  return write_value(stream, addr, value, flags);
}
CUresult cuStreamWriteValue64(CUstream stream, CUdeviceptr addr, cuuint64_t value, unsigned int flags) {
  return write_value(stream, addr, value, flags);
}
CUresult cuStreamWriteValue64_v2(CUstream stream, CUdeviceptr addr, cuuint64_t value, unsigned int flags) {
  return write_value(stream, addr, value, flags);
}
CUresult cuStreamBatchMemOp(CUstream stream, unsigned int count, CUstreamBatchMemOpParams* paramArray,
                            unsigned int flags) {
  return submit(stream, paramArray, count, flags);
}
CUresult cuStreamBatchMemOp_v2(CUstream stream, unsigned int count, CUstreamBatchMemOpParams* paramArray,
                               unsigned int flags) {
  return submit(stream, paramArray, count, flags);
}

CUresult cuGraphAddBatchMemOpNode(CUgraphNode* phGraphNode, CUgraph hGraph, const CUgraphNode* dependencies,
                                  size_t numDependencies, const CUDA_BATCH_MEM_OP_NODE_PARAMS* nodeParams) {
  if (nodeParams == nullptr) return CUDA_ERROR_INVALID_VALUE;
  CUgraphNodeParams params = node_params(*nodeParams);
  return cuGraphAddNode_v2(phGraphNode, hGraph, dependencies, nullptr, numDependencies, &params);
}
// The list belongs to the node.
CUresult cuGraphBatchMemOpNodeGetParams(CUgraphNode hNode, CUDA_BATCH_MEM_OP_NODE_PARAMS* nodeParams_out) {
  return on_node(hNode, [&](GraphNode& node) -> CUresult {
    const auto* work = work_as<MemOpWork>(*node.work());
    if (work == nullptr || nodeParams_out == nullptr) return CUDA_ERROR_INVALID_VALUE;
    auto* list = const_cast<CUstreamBatchMemOpParams*>(work->ops().data());
    *nodeParams_out = {work->context()->handle(), static_cast<unsigned>(work->ops().size()), list, 0};
    return CUDA_SUCCESS;
  });
}
CUresult cuGraphBatchMemOpNodeSetParams(CUgraphNode hNode, const CUDA_BATCH_MEM_OP_NODE_PARAMS* nodeParams) {
  if (nodeParams == nullptr) return CUDA_ERROR_INVALID_VALUE;
  CUgraphNodeParams params = node_params(*nodeParams);
  return cuGraphNodeSetParams(hNode, &params);
}
CUresult cuGraphExecBatchMemOpNodeSetParams(CUgraphExec hGraphExec, CUgraphNode hNode,
                                            const CUDA_BATCH_MEM_OP_NODE_PARAMS* nodeParams) {
  if (nodeParams == nullptr) return CUDA_ERROR_INVALID_VALUE;
  CUgraphNodeParams params = node_params(*nodeParams);
  return cuGraphExecNodeSetParams(hGraphExec, hNode, &params);
}

}  // extern "C"
