// Stream memory operations as a node of a graph.
#pragma once

#include <vector>

#include "softgpu/driver/graph/work.h"
#include "softgpu/driver/mem_op.h"

namespace tessera::softgpu {

class MemOpWork : public OpWork {
 public:
  MemOpWork(std::shared_ptr<Context> context, std::vector<CUstreamBatchMemOpParams> ops)
      : context_(std::move(context)), ops_(std::move(ops)) {}
  CUgraphNodeType type() const override { return CU_GRAPH_NODE_TYPE_BATCH_MEM_OP; }
  CUresult make(const std::shared_ptr<Context>&, OpRef* op) const override {
    const CUresult result = check_mem_ops(ops_);
    if (result == CUDA_SUCCESS) *op = make_mem_ops(context_, ops_);
    return result;
  }
  Context* context() const override { return context_.get(); }
  const std::vector<CUstreamBatchMemOpParams>& ops() const { return ops_; }

 private:
  const std::shared_ptr<Context> context_;
  const std::vector<CUstreamBatchMemOpParams> ops_;
};

}  // namespace tessera::softgpu
