// Nodes of graphs whose parameters hold addresses of the program, and what captures tell.
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <string>

#include "common/fd.h"
#include "remote/wire/launch.h"
#include "remote/worker/own_calls.h"
#include "remote/worker/worker.h"

namespace tessera::remote {
namespace {

constexpr uint32_t kMostOps = 4096;

// A launch as a node's parameters; pointers are into the message.
struct KernelNode {
  CUDA_KERNEL_NODE_PARAMS params{};
  void* pointers[kMaxParameters];

  bool read(Serving& s) {
    const auto fields = s.in.value<LaunchFields>();
    if (fields.parameter_bytes > kMaxParameterBytes || fields.attributes != 0) return false;
    const ByteSpan values = s.in.raw(fields.parameter_bytes);
    if (s.in.failed()) return false;
    params.func = s.handle<CUfunction>(HandleKind::kCUfunction, fields.function);
    const FunctionInfo* info = s.worker.code().info(fields.function);
    if (s.failed == CUDA_SUCCESS && (info == nullptr || info->parameter_bytes() != fields.parameter_bytes))
      return false;
    for (size_t i = 0; info != nullptr && i < info->parameters.size(); ++i) {
      pointers[i] = const_cast<std::byte*>(values.data() + info->parameters[i].offset);
    }
    params.gridDimX = fields.grid[0];
    params.gridDimY = fields.grid[1];
    params.gridDimZ = fields.grid[2];
    params.blockDimX = fields.block[0];
    params.blockDimY = fields.block[1];
    params.blockDimZ = fields.block[2];
    params.sharedMemBytes = fields.shared_bytes;
    params.kernelParams = pointers;
    return true;
  }
};

// A function of the client's.
struct HostNode {
  CUDA_HOST_NODE_PARAMS params{};
  uint64_t callback = 0;

  bool read(Serving& s) {
    callback = s.in.value<uint64_t>();
    return true;
  }
  CUresult prepare(Serving& s) {
    params = s.worker.callbacks().node(callback);
    return params.fn == nullptr ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_SUCCESS;
  }
};

struct BatchNode {
  CUDA_BATCH_MEM_OP_NODE_PARAMS params{};

  bool read(Serving& s) {
    params.ctx = s.handle<CUcontext>(HandleKind::kCUcontext, s.in.value<uint64_t>());
    uint64_t count = 0;
    params.paramArray = s.in.array<CUstreamBatchMemOpParams>(&count);
    params.count = static_cast<unsigned>(count);
    params.flags = s.in.value<uint32_t>();
    return !s.in.failed() && count <= kMostOps;
  }
};

struct NewNode {
  uint64_t graph_id = 0;
  CUgraph graph = nullptr;
  CUgraphNode* dependencies = nullptr;
  uint64_t count = 0;

  void read(Serving& s) {
    graph_id = s.in.value<uint64_t>();
    graph = s.handle<CUgraph>(HandleKind::kCUgraph, graph_id);
    dependencies = s.in.array<CUgraphNode>(&count);
    s.translate(HandleKind::kCUgraphNode, dependencies, count);
  }
  CUresult give(Serving& s, CUresult result, CUgraphNode node) const {
    s.give_handles(HandleKind::kCUgraphNode, &node, 1, graph_id);
    return result;
  }
};

// What a message says of a node, and what can only be had for one that is whole.
template <typename Node>
CUresult read_node(Serving& s, Node& node) {
  if (!node.read(s) || !s.in.whole()) return s.malformed();
  if (s.failed != CUDA_SUCCESS) return s.failed;
  if constexpr (requires { node.prepare(s); }) return node.prepare(s);
  return CUDA_SUCCESS;
}

template <typename Node, auto Add>
CUresult add_node(Serving& s) {
  NewNode place;
  place.read(s);
  Node said;
  if (const CUresult result = read_node(s, said); result != CUDA_SUCCESS) return result;
  CUgraphNode node = nullptr;
  const CUresult result = (s.table.*Add)(&node, place.graph, place.dependencies, place.count, &said.params);
  return place.give(s, result, node);
}

template <typename Node, auto Set>
CUresult set_node(Serving& s) {
  const auto node = s.handle<CUgraphNode>(HandleKind::kCUgraphNode, s.in.value<uint64_t>());
  Node said;
  const CUresult result = read_node(s, said);
  return result != CUDA_SUCCESS ? result : (s.table.*Set)(node, &said.params);
}

template <typename Node, auto Set>
CUresult set_exec_node(Serving& s) {
  const auto exec = s.handle<CUgraphExec>(HandleKind::kCUgraphExec, s.in.value<uint64_t>());
  const auto node = s.handle<CUgraphNode>(HandleKind::kCUgraphNode, s.in.value<uint64_t>());
  Node said;
  const CUresult result = read_node(s, said);
  return result != CUDA_SUCCESS ? result : (s.table.*Set)(exec, node, &said.params);
}

CUresult get_kernel_node(Serving& s) {
  const auto node = s.handle<CUgraphNode>(HandleKind::kCUgraphNode, s.in.value<uint64_t>());
  if (!s.in.whole()) return s.malformed();
  if (s.failed != CUDA_SUCCESS) return s.failed;
  CUDA_KERNEL_NODE_PARAMS params{};
  const CUresult result = s.table.cuGraphKernelNodeGetParams_v2(node, &params);
  if (result != CUDA_SUCCESS) return result;
  const bool is_kernel = params.func == nullptr;
  void* handle = is_kernel ? static_cast<void*>(params.kern) : static_cast<void*>(params.func);
  uint64_t id = s.id_of(is_kernel ? HandleKind::kCUkernel : HandleKind::kCUfunction, (uint64_t)handle, 0);
  const FunctionInfo* info = s.worker.code().learn(id, handle, is_kernel);
  LaunchFields fields;
  fields.function = id;
  fields.grid[0] = params.gridDimX;
  fields.grid[1] = params.gridDimY;
  fields.grid[2] = params.gridDimZ;
  fields.block[0] = params.blockDimX;
  fields.block[1] = params.blockDimY;
  fields.block[2] = params.blockDimZ;
  fields.shared_bytes = params.sharedMemBytes;
  fields.parameter_bytes = info->parameter_bytes();
  std::vector<std::byte> values(fields.parameter_bytes);
  for (size_t i = 0; params.kernelParams != nullptr && i < info->parameters.size(); ++i) {
    memcpy(values.data() + info->parameters[i].offset, params.kernelParams[i], info->parameters[i].bytes);
  }
  s.out.value(fields);
  s.out.array(values.data(), values.size());
  s.out.array(info->parameters.data(), info->parameters.size());
  return result;
}

// Which of the client's functions a node calls.
CUresult get_host_node(Serving& s) {
  const auto node = s.handle<CUgraphNode>(HandleKind::kCUgraphNode, s.in.value<uint64_t>());
  if (!s.in.whole()) return s.malformed();
  if (s.failed != CUDA_SUCCESS) return s.failed;
  CUDA_HOST_NODE_PARAMS params{};
  const CUresult result = s.table.cuGraphHostNodeGetParams(node, &params);
  if (result == CUDA_SUCCESS) s.out.value(s.worker.callbacks().number_of(params));
  return result;
}

CUresult get_batch_node(Serving& s) {
  const auto node = s.handle<CUgraphNode>(HandleKind::kCUgraphNode, s.in.value<uint64_t>());
  if (!s.in.whole()) return s.malformed();
  if (s.failed != CUDA_SUCCESS) return s.failed;
  CUDA_BATCH_MEM_OP_NODE_PARAMS params{};
  const CUresult result = s.table.cuGraphBatchMemOpNodeGetParams(node, &params);
  if (result != CUDA_SUCCESS) return result;
  s.out.value(s.id_of(HandleKind::kCUcontext, (uint64_t)params.ctx, 0));
  s.out.array(params.paramArray, params.count);
  s.out.value(params.flags);
  return result;
}

CUresult add_alloc_node(Serving& s) {
  NewNode place;
  place.read(s);
  auto params = s.in.value<CUDA_MEM_ALLOC_NODE_PARAMS>();
  uint64_t count = 0;
  auto* access = s.in.array<CUmemAccessDesc>(&count);
  if (!s.in.whole() || count > kMostOps) return s.malformed();
  if (s.failed != CUDA_SUCCESS) return s.failed;
  params.accessDescs = access;
  params.accessDescCount = count;
  CUgraphNode node = nullptr;
  const CUresult result =
      s.table.cuGraphAddMemAllocNode(&node, place.graph, place.dependencies, place.count, &params);
  place.give(s, result, node);
  s.out.value(params.dptr);
  return result;
}

CUresult get_alloc_node(Serving& s) {
  const auto node = s.handle<CUgraphNode>(HandleKind::kCUgraphNode, s.in.value<uint64_t>());
  if (!s.in.whole()) return s.malformed();
  if (s.failed != CUDA_SUCCESS) return s.failed;
  CUDA_MEM_ALLOC_NODE_PARAMS params{};
  const CUresult result = s.table.cuGraphMemAllocNodeGetParams(node, &params);
  if (result != CUDA_SUCCESS) return result;
  s.out.value(params);
  s.out.array(params.accessDescs, params.accessDescCount);
  return result;
}

// A node that has graphs in it: their handles come back with it.
CUresult add_conditional_node(Serving& s) {
  NewNode place;
  place.read(s);
  CUgraphNodeParams params{};
  params.type = CU_GRAPH_NODE_TYPE_CONDITIONAL;
  params.conditional.handle = s.in.value<CUgraphConditionalHandle>();
  params.conditional.type = s.in.value<CUgraphConditionalNodeType>();
  params.conditional.size = s.in.value<uint32_t>();
  params.conditional.ctx = s.handle<CUcontext>(HandleKind::kCUcontext, s.in.value<uint64_t>());
  if (!s.in.whole() || params.conditional.size > kMostOps) return s.malformed();
  if (s.failed != CUDA_SUCCESS) return s.failed;
  if (s.table.cuGraphAddNode == nullptr) return CUDA_ERROR_NOT_SUPPORTED;
  CUgraphNode node = nullptr;
  const CUresult result =
      s.table.cuGraphAddNode(&node, place.graph, place.dependencies, place.count, &params);
  place.give(s, result, node);
  auto* graphs = s.arena.array<CUgraph>(params.conditional.size);
  if (graphs == nullptr) return s.too_large();
  if (result == CUDA_SUCCESS && params.conditional.phGraph_out != nullptr) {
    memcpy(graphs, params.conditional.phGraph_out, params.conditional.size * sizeof(CUgraph));
  }
  s.give_handles(HandleKind::kCUgraph, graphs, params.conditional.size, place.graph_id);
  return result;
}

CUresult give_child_graph(Serving& s) {
  NewNode place;
  place.read(s);
  const auto child_id = s.in.value<uint64_t>();
  CUgraphNodeParams params{};
  params.type = CU_GRAPH_NODE_TYPE_GRAPH;
  params.graph.graph = s.handle<CUgraph>(HandleKind::kCUgraph, child_id);
  params.graph.ownership = s.in.value<CUgraphChildGraphNodeOwnership>();
  if (!s.in.whole()) return s.malformed();
  if (s.failed != CUDA_SUCCESS) return s.failed;
  if (s.table.cuGraphAddNode == nullptr) return CUDA_ERROR_NOT_SUPPORTED;
  CUgraphNode node = nullptr;
  const CUresult result =
      s.table.cuGraphAddNode(&node, place.graph, place.dependencies, place.count, &params);
  if (result == CUDA_SUCCESS && params.graph.ownership == CU_GRAPH_CHILD_GRAPH_OWNERSHIP_MOVE)
    s.handles.move_below(child_id, place.graph_id);
  return place.give(s, result, node);
}

// Into a file of ours, whose text the client gets.
CUresult debug_dot_print(Serving& s) {
  constexpr off_t kMostText = 64 << 20;
  const auto graph = s.handle<CUgraph>(HandleKind::kCUgraph, s.in.value<uint64_t>());
  const bool has_path = s.in.wanted();
  const auto flags = s.in.value<unsigned int>();
  if (!s.in.whole()) return s.malformed();
  if (s.failed != CUDA_SUCCESS) return s.failed;
  if (s.table.cuGraphDebugDotPrint == nullptr) return CUDA_ERROR_NOT_SUPPORTED;
  const UniqueFd file(memfd_create("tessera-graph", MFD_CLOEXEC));
  if (!file) return CUDA_ERROR_OPERATING_SYSTEM;
  const std::string path = "/proc/self/fd/" + std::to_string(file.get());
  const CUresult result = s.table.cuGraphDebugDotPrint(graph, has_path ? path.c_str() : nullptr, flags);
  const off_t bytes = lseek(file.get(), 0, SEEK_END);
  if (result != CUDA_SUCCESS) return result;
  if (bytes < 0 || bytes > kMostText) return CUDA_ERROR_OUT_OF_MEMORY;
  std::vector<char> text(static_cast<size_t>(bytes));
  if (pread(file.get(), text.data(), text.size(), 0) != bytes) return CUDA_ERROR_OPERATING_SYSTEM;
  s.out.array(text.data(), text.size());
  return result;
}

// The stream comes first, the mode last; the oldest form has none.
template <Op kOp>
CUresult begin_capture(Serving& s) {
  const auto stream = read_at<uint64_t>(s.body, 0).value_or(0);
  auto mode = CU_STREAM_CAPTURE_MODE_GLOBAL;
  if (kOp != Op::cuStreamBeginCapture && s.body.size() >= 8) {
    mode = static_cast<CUstreamCaptureMode>(*read_at<uint32_t>(s.body, s.body.size() - 8));
  }
  const CUresult result = kServes[static_cast<size_t>(kOp)](s);
  if (result == CUDA_SUCCESS) s.worker.capture_began(stream, *s.thread, mode);
  return result;
}

CUresult end_capture(Serving& s) {
  const auto stream = read_at<uint64_t>(s.body, 0).value_or(0);
  // Our threads are not the client's: which of those began it is known here.
  if (!s.worker.may_end_capture(stream, *s.thread)) return CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD;
  const CUresult result = kServes[static_cast<size_t>(Op::cuStreamEndCapture)](s);
  s.worker.capture_ended(stream);
  return result;
}

// Its end is told to the client when the driver comes to it; nobody waits for that.
CUresult create_user_object(Serving& s) {
  const auto callback = s.in.value<uint64_t>();
  const auto references = s.in.value<uint32_t>(), flags = s.in.value<uint32_t>();
  if (!s.in.whole()) return s.malformed();
  CUuserObject object = nullptr;
  const CUresult result = s.worker.callbacks().create_object(&object, callback, references, flags);
  s.give_handles(HandleKind::kCUuserObject, &object, 1, 0);
  return result;
}

CUresult exchange_mode(Serving& s) {
  auto* mode = s.in.structure<CUstreamCaptureMode>();
  if (!s.in.whole() || mode == nullptr || *mode > CU_STREAM_CAPTURE_MODE_RELAXED) return s.malformed();
  std::swap(*mode, s.thread->capture_mode);
  s.out.array(mode, 1);
  return CUDA_SUCCESS;
}

CUresult capture_info(Serving& s) {
  const auto stream = s.handle<CUstream>(HandleKind::kCUstream, s.in.value<uint64_t>());
  if (!s.in.whole()) return s.malformed();
  if (s.failed != CUDA_SUCCESS) return s.failed;
  CUstreamCaptureStatus status{};
  cuuint64_t id = 0;
  CUgraph graph = nullptr;
  const CUgraphNode* dependencies = nullptr;
  const CUgraphEdgeData* edges = nullptr;
  size_t count = 0;
  CUresult result = CUDA_ERROR_NOT_SUPPORTED;
  if (s.table.cuStreamGetCaptureInfo_v3 != nullptr) {
    result = s.table.cuStreamGetCaptureInfo_v3(stream, &status, &id, &graph, &dependencies, &edges, &count);
  } else if (s.table.cuStreamGetCaptureInfo_v2 != nullptr) {
    result = s.table.cuStreamGetCaptureInfo_v2(stream, &status, &id, &graph, &dependencies, &count);
  }
  if (result != CUDA_SUCCESS) return result;
  s.out.value(status);
  s.out.value(id);
  const uint64_t graph_id = s.id_of(HandleKind::kCUgraph, (uint64_t)graph, 0);
  s.out.value(graph_id);
  std::vector<CUgraphNode> nodes(dependencies, dependencies + (dependencies == nullptr ? 0 : count));
  s.give_handles(HandleKind::kCUgraphNode, nodes.data(), nodes.size(), graph_id);
  s.out.array(edges, edges == nullptr ? 0 : count);
  return result;
}

}  // namespace

std::span<const OwnCall> graph_calls() {
  using Table = cuda::DriverTable;
  static constexpr OwnCall kCallsHere[] = {
      own(Op::cuGraphAddKernelNode_v2, add_node<KernelNode, &Table::cuGraphAddKernelNode_v2>),
      own(Op::cuGraphKernelNodeSetParams_v2, set_node<KernelNode, &Table::cuGraphKernelNodeSetParams_v2>),
      own(Op::cuGraphExecKernelNodeSetParams_v2,
          set_exec_node<KernelNode, &Table::cuGraphExecKernelNodeSetParams_v2>),
      own(Op::cuGraphKernelNodeGetParams_v2, get_kernel_node),
      own(Op::cuGraphAddHostNode, add_node<HostNode, &Table::cuGraphAddHostNode>),
      own(Op::cuGraphHostNodeSetParams, set_node<HostNode, &Table::cuGraphHostNodeSetParams>),
      own(Op::cuGraphExecHostNodeSetParams, set_exec_node<HostNode, &Table::cuGraphExecHostNodeSetParams>),
      own(Op::cuGraphHostNodeGetParams, get_host_node),
      own(Op::cuGraphAddBatchMemOpNode, add_node<BatchNode, &Table::cuGraphAddBatchMemOpNode>),
      own(Op::cuGraphBatchMemOpNodeSetParams, set_node<BatchNode, &Table::cuGraphBatchMemOpNodeSetParams>),
      own(Op::cuGraphExecBatchMemOpNodeSetParams,
          set_exec_node<BatchNode, &Table::cuGraphExecBatchMemOpNodeSetParams>),
      own(Op::cuGraphBatchMemOpNodeGetParams, get_batch_node),
      own(Op::cuGraphAddMemAllocNode, add_alloc_node),
      own(Op::cuGraphMemAllocNodeGetParams, get_alloc_node),
      own(Op::cuGraphAddNode, add_conditional_node),
      own(Op::cuGraphAddNode_v2, give_child_graph),
      own(Op::cuGraphDebugDotPrint, debug_dot_print),
      own(Op::cuStreamGetCaptureInfo_v3, capture_info),
      own(Op::cuStreamBeginCapture, begin_capture<Op::cuStreamBeginCapture>),
      own(Op::cuStreamBeginCapture_v2, begin_capture<Op::cuStreamBeginCapture_v2>),
      own(Op::cuStreamBeginCaptureToGraph, begin_capture<Op::cuStreamBeginCaptureToGraph>),
      own(Op::cuStreamEndCapture, end_capture),
      own(Op::cuUserObjectCreate, create_user_object),
      own(Op::cuThreadExchangeStreamCaptureMode, exchange_mode),
  };
  return kCallsHere;
}

}  // namespace tessera::remote
