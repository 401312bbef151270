// Conditional nodes: a value that kernels set, and the graphs that run as it says.
#pragma once

#include <memory>
#include <vector>

#include "cuda/abi.h"
#include "softgpu/driver/context.h"
#include "softgpu/driver/graph/exec.h"
#include "softgpu/driver/graph/graph.h"

namespace tessera::softgpu {

// The value lies in device memory, where kernels of the graph write it; its handle is its address.
class Condition {
 public:
  static CUresult create(Context& context, unsigned initial, unsigned flags,
                         std::shared_ptr<Condition>* condition);
  ~Condition();
  Condition(const Condition&) = delete;
  Condition& operator=(const Condition&) = delete;

  CUgraphConditionalHandle handle() const { return address_; }
  unsigned value() const;
  // At the beginning of a launch, where the program asked for that.
  void apply_default();
  // A node waits for it; each condition decides one node.
  bool used = false;

 private:
  Condition(int device, uint64_t address, unsigned initial, bool reset)
      : device_(device), address_(address), default_(initial), reset_(reset) {}
  const int device_;  // its ordinal
  const uint64_t address_;
  const unsigned default_;
  const bool reset_;
};

class ConditionalWork : public NodeWork {
 public:
  ConditionalWork(std::shared_ptr<Condition> condition, CUgraphConditionalNodeType kind,
                  std::vector<std::shared_ptr<Graph>> bodies);
  ~ConditionalWork() override;
  CUgraphNodeType type() const override { return CU_GRAPH_NODE_TYPE_CONDITIONAL; }
  std::span<const std::shared_ptr<Graph>> inner() const override { return bodies_; }
  const std::shared_ptr<Condition>& condition() const { return condition_; }
  CUgraphConditionalNodeType kind() const { return kind_; }
  // cuGraphAddNode hands out a list of the bodies; it lives as long as the node.
  CUgraph* body_handles() const { return handles_.get(); }

 private:
  const std::shared_ptr<Condition> condition_;
  const CUgraphConditionalNodeType kind_;
  const std::vector<std::shared_ptr<Graph>> bodies_;
  const std::unique_ptr<CUgraph[]> handles_;
};

// What a conditional node is in one launch.
OpRef make_conditional(const std::shared_ptr<const Plan>& root, const Plan::Node& node,
                       const std::shared_ptr<Context>& site);

}  // namespace tessera::softgpu
