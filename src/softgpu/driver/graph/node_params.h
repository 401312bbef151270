// Between CUDA's descriptions of nodes and the work they stand for.
#pragma once

#include "cuda/abi.h"
#include "softgpu/driver/graph/graph.h"
#include "softgpu/driver/graph/work.h"

namespace tessera::softgpu {

// Checks a description and makes the work. `graph` is where the node is, or will be. Callers hold
// graph_mutex().
CUresult make_work(Graph& graph, CUgraphNodeParams* params, WorkRef* work);
CUresult make_kernel_work(const CUDA_KERNEL_NODE_PARAMS& params, WorkRef* work);
// Other parameters leave a node its attributes.
CUresult make_kernel_work(const CUDA_KERNEL_NODE_PARAMS& params, const NodeWork& before, WorkRef* work);
CUresult make_copy_work(const CUDA_MEMCPY3D* params, CUcontext context, WorkRef* work);
CUresult make_set_work(const CUDA_MEMSET_NODE_PARAMS* params, CUcontext context, WorkRef* work);
CUresult make_host_work(const CUDA_HOST_NODE_PARAMS* params, WorkRef* work);
CUresult make_event_work(bool record, CUevent event, WorkRef* work);
CUresult make_child_work(const Graph& parent, CUgraph child, CUgraphChildGraphNodeOwnership ownership,
                         WorkRef* work);

CUDA_KERNEL_NODE_PARAMS widened(const CUDA_KERNEL_NODE_PARAMS_v1& params);
CUDA_KERNEL_NODE_PARAMS_v1 narrowed(const CUDA_KERNEL_NODE_PARAMS& params);

// The work of a node as its type's class; null where it is of another type.
template <typename Work>
const Work* work_as(const NodeWork& work) {
  return dynamic_cast<const Work*>(&work);
}

}  // namespace tessera::softgpu
