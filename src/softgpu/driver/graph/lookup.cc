#include "softgpu/driver/graph/lookup.h"

namespace tessera::softgpu {

CUresult nodes_of(const CUgraphNode* nodes, size_t count, std::vector<GraphNode*>* out) {
  if (count != 0 && nodes == nullptr) return CUDA_ERROR_INVALID_VALUE;
  for (size_t i = 0; i < count; ++i) {
    // Owned by its graph, which nobody can destroy while the lock is held.
    GraphNode* node = live<GraphNode>().find(nodes[i]).get();
    if (node == nullptr) return CUDA_ERROR_INVALID_VALUE;
    out->push_back(node);
  }
  return CUDA_SUCCESS;
}

CUresult edges_of(const CUgraphNode* nodes, const CUgraphEdgeData* edges, size_t count,
                  std::vector<GraphNode::Edge>* out) {
  std::vector<GraphNode*> found;
  const CUresult result = nodes_of(nodes, count, &found);
  if (result != CUDA_SUCCESS) return result;
  for (size_t i = 0; i < count; ++i) out->push_back({found[i], edges != nullptr ? edges[i] : kPlainEdge});
  return CUDA_SUCCESS;
}

}  // namespace tessera::softgpu
