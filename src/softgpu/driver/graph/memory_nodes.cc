#include "softgpu/driver/graph/memory_nodes.h"

#include <algorithm>
#include <unordered_set>

#include "softgpu/driver/device.h"
#include "softgpu/driver/state.h"

namespace tessera::softgpu {
namespace {

CUresult check_access(const CUmemAccessDesc& access) {
  Device* device = nullptr;
  const bool flags_ok =
      access.flags == CU_MEM_ACCESS_FLAGS_PROT_READ || access.flags == CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
  return flags_ok && access.location.type == CU_MEM_LOCATION_TYPE_DEVICE &&
                 find_device(access.location.id, &device) == CUDA_SUCCESS
             ? CUDA_SUCCESS
             : CUDA_ERROR_INVALID_VALUE;
}

// The device, and which others see the memory.
CUresult place_of(const CUDA_MEM_ALLOC_NODE_PARAMS& params, Device** device,
                  std::vector<CUmemAccessDesc>* access) {
  if (params.bytesize == 0 || params.accessDescCount > devices().size() ||
      (params.accessDescCount != 0 && params.accessDescs == nullptr))
    return CUDA_ERROR_INVALID_VALUE;
  const CUmemPoolProps& pool = params.poolProps;
  if (pool.location.type != CU_MEM_LOCATION_TYPE_DEVICE) return CUDA_ERROR_NOT_SUPPORTED;
  const bool plain =
      pool.allocType == CU_MEM_ALLOCATION_TYPE_PINNED && pool.handleTypes == CU_MEM_HANDLE_TYPE_NONE;
  if (!plain || find_device(pool.location.id, device) != CUDA_SUCCESS) return CUDA_ERROR_INVALID_VALUE;
  for (size_t i = 0; i < params.accessDescCount; ++i) {
    const CUmemAccessDesc& wanted = params.accessDescs[i];
    const CUresult result = check_access(wanted);
    if (result != CUDA_SUCCESS) return result;
    const bool again = std::any_of(access->begin(), access->end(), [&](const CUmemAccessDesc& other) {
      return other.location.id == wanted.location.id;
    });
    if (again) return CUDA_ERROR_INVALID_VALUE;
    if (wanted.location.id != (*device)->ordinal()) access->push_back(wanted);
  }
  return CUDA_SUCCESS;
}

// A block whose memory the graph has freed by the time that all of `dependencies` are done.
GraphBlockRef freed_before(std::span<const GraphNode::Edge> dependencies, const Device& device,
                           uint64_t size) {
  std::unordered_set<const GraphNode*> seen;
  std::vector<const GraphNode*> open;
  for (const GraphNode::Edge& edge : dependencies) open.push_back(edge.from);
  while (!open.empty()) {
    const GraphNode* node = open.back();
    open.pop_back();
    if (!seen.insert(node).second) continue;
    const auto* work = dynamic_cast<const FreeWork*>(node->work().get());
    const bool ours = work != nullptr && &work->block()->device() == &device &&
                      work->block()->size() >= size && work->block()->access().empty();
    if (ours && GraphMemory::instance().freed_by(*work->block(), *work)) return work->block();
    for (const GraphNode::Edge& edge : node->dependencies()) open.push_back(edge.from);
  }
  return nullptr;
}

}  // namespace

MemoryWork::MemoryWork(GraphBlockRef block) : block_(std::move(block)) {
  GraphMemory::instance().hold(*block_);
}
MemoryWork::~MemoryWork() { GraphMemory::instance().let_go(*block_); }

CUresult MemoryWork::make(const std::shared_ptr<Context>&, OpRef* op) const {
  op->reset();
  return CUDA_SUCCESS;
}

AllocWork::AllocWork(GraphBlockRef block, const CUDA_MEM_ALLOC_NODE_PARAMS& params)
    : MemoryWork(std::move(block)),
      access_(params.accessDescs, params.accessDescs + params.accessDescCount),
      params_(params) {}

CUDA_MEM_ALLOC_NODE_PARAMS AllocWork::params() const {
  CUDA_MEM_ALLOC_NODE_PARAMS params = params_;
  params.accessDescs = access_.empty() ? nullptr : access_.data();
  params.dptr = block()->begin();
  return params;
}

CUresult FreeWork::create(const Graph& graph, CUdeviceptr address, WorkRef* work) {
  GraphBlockRef block = GraphMemory::instance().find(address);
  if (!block) return CUDA_ERROR_INVALID_VALUE;
  // Only its own graph may free it several times, each time after another allocation.
  const bool foreign = !GraphMemory::instance().owned_by(*block, graph.handle());
  const bool again = std::any_of(graph.nodes().begin(), graph.nodes().end(), [&](const auto& node) {
    const auto* other = dynamic_cast<const FreeWork*>(node->work().get());
    return other != nullptr && other->block() == block;
  });
  if (foreign && again) return CUDA_ERROR_INVALID_VALUE;
  std::shared_ptr<FreeWork> made(new FreeWork(block, graph.handle()));
  const CUresult result = GraphMemory::instance().add_free(*block, graph.handle(), *made);
  if (result != CUDA_SUCCESS) return result;
  made->counted_ = true;
  *work = std::move(made);
  return CUDA_SUCCESS;
}

FreeWork::~FreeWork() {
  if (counted_) GraphMemory::instance().remove_free(*block(), graph_, *this);
}

CUresult add_alloc_node(Graph& graph, std::span<const GraphNode::Edge> dependencies,
                        const CUDA_MEM_ALLOC_NODE_PARAMS& params, GraphNode** node) {
  if (graph.owned()) return CUDA_ERROR_NOT_SUPPORTED;
  Device* device = nullptr;
  std::vector<CUmemAccessDesc> access;
  CUresult result = place_of(params, &device, &access);
  if (result != CUDA_SUCCESS) return result;
  auto& memory = GraphMemory::instance();
  GraphBlockRef block;
  if (access.empty()) block = freed_before(dependencies, *device, params.bytesize);
  const bool reused = block != nullptr;
  if (!reused) result = memory.take(graph.handle(), *device, params.bytesize, std::move(access), &block);
  if (result != CUDA_SUCCESS) return result;
  result = graph.add(std::make_shared<AllocWork>(block, params), dependencies, node);
  if (result == CUDA_SUCCESS && reused) memory.reuse(*block, params.bytesize);
  return result;
}

CUresult add_free_node(Graph& graph, std::span<const GraphNode::Edge> dependencies, CUdeviceptr address,
                       GraphNode** node) {
  if (graph.owned()) return CUDA_ERROR_NOT_SUPPORTED;
  WorkRef work;
  const CUresult result = FreeWork::create(graph, address, &work);
  return result == CUDA_SUCCESS ? graph.add(std::move(work), dependencies, node) : result;
}

bool holds_memory(const Graph& graph) {
  return graph.contains(CU_GRAPH_NODE_TYPE_MEM_ALLOC) || graph.contains(CU_GRAPH_NODE_TYPE_MEM_FREE);
}

}  // namespace tessera::softgpu
