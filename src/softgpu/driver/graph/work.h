// What the nodes of a graph do: one class for each type of node.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "cuda/abi.h"
#include "softgpu/driver/context.h"
#include "softgpu/driver/copy.h"
#include "softgpu/driver/event.h"
#include "softgpu/driver/graph/graph.h"
#include "softgpu/driver/launch.h"

namespace tessera::softgpu {

// Work that is one operation of each launch. `site` is the context of the stream that the graph is launched
// into.
class OpWork : public NodeWork {
 public:
  // A null operation: there is nothing to do. An error: the node cannot do any more what it was made for,
  // memory it uses is gone.
  virtual CUresult make(const std::shared_ptr<Context>& site, OpRef* op) const = 0;
  // The context it was made for; null where any will do.
  virtual Context* context() const { return nullptr; }
  // What has to finish elsewhere first.
  virtual OpRef external() const { return nullptr; }
};

class EmptyWork : public OpWork {
 public:
  CUgraphNodeType type() const override { return CU_GRAPH_NODE_TYPE_EMPTY; }
  CUresult make(const std::shared_ptr<Context>& site, OpRef* op) const override;
};

class KernelWork : public OpWork {
 public:
  // Keeps the parameters' values; CUDA_ERROR_INVALID_VALUE and launch errors as a launch answers them.
  static CUresult create(const CUDA_KERNEL_NODE_PARAMS& params, const LaunchRequest& request,
                         std::shared_ptr<KernelWork>* work);

  CUgraphNodeType type() const override { return CU_GRAPH_NODE_TYPE_KERNEL; }
  CUresult make(const std::shared_ptr<Context>& site, OpRef* op) const override;
  Context* context() const override { return context_.get(); }
  // The pointers in it lead into this object.
  CUDA_KERNEL_NODE_PARAMS params() const;
  const std::string& function_name() const { return function_->name(); }

  // CUDA_ERROR_INVALID_VALUE for attributes that kernel nodes do not have.
  CUresult attribute(CUlaunchAttributeID id, CUlaunchAttributeValue* value) const;
  // The same work with one attribute changed, or with all attributes of another.
  CUresult with_attribute(CUlaunchAttributeID id, const CUlaunchAttributeValue& value,
                          std::shared_ptr<KernelWork>* work) const;
  std::shared_ptr<KernelWork> with_attributes_of(const KernelWork& other) const;

 private:
  KernelWork() = default;
  std::shared_ptr<KernelWork> copy() const;
  void point_at_parameters();

  std::shared_ptr<Function> function_;
  std::shared_ptr<Context> context_;
  CUDA_KERNEL_NODE_PARAMS params_{};
  GridLaunch launch_;
  int priority_ = 0;
  std::vector<void*> pointers_;  // to each parameter in launch_
  std::vector<CUlaunchAttribute> attributes_;
};

class CopyWork : public OpWork {
 public:
  // Checks the description and the memory it names.
  static CUresult create(const CUDA_MEMCPY3D& params, std::shared_ptr<Context> context, WorkRef* work);
  // A captured copy that has been checked.
  CopyWork(const CopyRequest& request, std::shared_ptr<Context> context);

  CUgraphNodeType type() const override { return CU_GRAPH_NODE_TYPE_MEMCPY; }
  CUresult make(const std::shared_ptr<Context>& site, OpRef* op) const override;
  Context* context() const override { return context_.get(); }
  const CUDA_MEMCPY3D& params() const { return params_; }

 private:
  CopyWork() = default;
  std::shared_ptr<Context> context_;
  CUDA_MEMCPY3D params_{};
  CopyRequest request_;
};

class SetWork : public OpWork {
 public:
  static CUresult create(const CUDA_MEMSET_NODE_PARAMS& params, std::shared_ptr<Context> context,
                         WorkRef* work);

  CUgraphNodeType type() const override { return CU_GRAPH_NODE_TYPE_MEMSET; }
  CUresult make(const std::shared_ptr<Context>& site, OpRef* op) const override;
  Context* context() const override { return context_.get(); }
  const CUDA_MEMSET_NODE_PARAMS& params() const { return params_; }

 private:
  SetWork() = default;
  std::shared_ptr<Context> context_;
  CUDA_MEMSET_NODE_PARAMS params_{};
  SetBox box_;
};

class HostWork : public OpWork {
 public:
  explicit HostWork(const CUDA_HOST_NODE_PARAMS& params) : params_(params) {}
  CUgraphNodeType type() const override { return CU_GRAPH_NODE_TYPE_HOST; }
  CUresult make(const std::shared_ptr<Context>& site, OpRef* op) const override;
  const CUDA_HOST_NODE_PARAMS& params() const { return params_; }

 private:
  const CUDA_HOST_NODE_PARAMS params_;
};

// Records an event at each launch, or waits for what it has recorded last when the graph is launched.
class EventWork : public OpWork {
 public:
  EventWork(bool record, std::shared_ptr<Event> event) : record_(record), event_(std::move(event)) {}
  CUgraphNodeType type() const override {
    return record_ ? CU_GRAPH_NODE_TYPE_EVENT_RECORD : CU_GRAPH_NODE_TYPE_WAIT_EVENT;
  }
  CUresult make(const std::shared_ptr<Context>& site, OpRef* op) const override;
  OpRef external() const override { return record_ ? nullptr : event_->recorded(); }
  const Event& event() const { return *event_; }

 private:
  const bool record_;
  const std::shared_ptr<Event> event_;
};

class ChildWork : public NodeWork {
 public:
  explicit ChildWork(std::shared_ptr<Graph> graph);
  ~ChildWork() override;
  CUgraphNodeType type() const override { return CU_GRAPH_NODE_TYPE_GRAPH; }
  std::span<const std::shared_ptr<Graph>> inner() const override { return {&graph_, 1}; }
  std::shared_ptr<const NodeWork> cloned() const override;

 private:
  const std::shared_ptr<Graph> graph_;
};

// Whether an executable graph may go from one work to the other in the same node.
CUgraphExecUpdateResult check_update(const NodeWork& from, const NodeWork& to);

}  // namespace tessera::softgpu
