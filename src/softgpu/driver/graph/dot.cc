#include "softgpu/driver/graph/dot.h"

#include <cstdarg>
#include <cstdio>
#include <unordered_map>

#include "softgpu/driver/graph/condition.h"
#include "softgpu/driver/graph/mem_op_work.h"
#include "softgpu/driver/graph/memory_nodes.h"
#include "softgpu/driver/graph/work.h"

namespace tessera::softgpu {
namespace {

__attribute__((format(printf, 1, 2))) std::string line(const char* format, ...) {
  char text[256];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof(text), format, arguments);
  va_end(arguments);
  return text;
}

// Names of kernels are the program's.
std::string quoted(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += static_cast<unsigned char>(c) < ' ' ? ' ' : c;
  }
  return out;
}

const char* name_of(CUgraphNodeType type) {
  switch (type) {
    case CU_GRAPH_NODE_TYPE_KERNEL:
      return "KERNEL";
    case CU_GRAPH_NODE_TYPE_MEMCPY:
      return "MEMCPY";
    case CU_GRAPH_NODE_TYPE_MEMSET:
      return "MEMSET";
    case CU_GRAPH_NODE_TYPE_HOST:
      return "HOST";
    case CU_GRAPH_NODE_TYPE_GRAPH:
      return "CHILD_GRAPH";
    case CU_GRAPH_NODE_TYPE_EMPTY:
      return "EMPTY";
    case CU_GRAPH_NODE_TYPE_WAIT_EVENT:
      return "EVENT_WAIT";
    case CU_GRAPH_NODE_TYPE_EVENT_RECORD:
      return "EVENT_RECORD";
    case CU_GRAPH_NODE_TYPE_MEM_ALLOC:
      return "MEM_ALLOC";
    case CU_GRAPH_NODE_TYPE_MEM_FREE:
      return "MEM_FREE";
    case CU_GRAPH_NODE_TYPE_BATCH_MEM_OP:
      return "BATCH_MEM_OP";
    case CU_GRAPH_NODE_TYPE_CONDITIONAL:
      return "CONDITIONAL";
    default:
      return "OTHER";
  }
}

const char* name_of(CUmemorytype type) {
  switch (type) {
    case CU_MEMORYTYPE_HOST:
      return "HOST";
    case CU_MEMORYTYPE_DEVICE:
      return "DEVICE";
    case CU_MEMORYTYPE_ARRAY:
      return "ARRAY";
    default:
      return "UNIFIED";
  }
}

const char* name_of(CUgraphConditionalNodeType type) {
  return type == CU_GRAPH_COND_TYPE_IF ? "IF" : type == CU_GRAPH_COND_TYPE_WHILE ? "WHILE" : "SWITCH";
}

unsigned long long number(uint64_t value) { return value; }
unsigned long long number(const void* pointer) { return reinterpret_cast<uintptr_t>(pointer); }

std::string describe(const KernelWork& work, unsigned flags) {
  const CUDA_KERNEL_NODE_PARAMS params = work.params();
  std::string text = "\\n" + quoted(work.function_name());
  text += line("\\n<<<(%u, %u, %u), (%u, %u, %u), %u>>>", params.gridDimX, params.gridDimY, params.gridDimZ,
               params.blockDimX, params.blockDimY, params.blockDimZ, params.sharedMemBytes);
  if ((flags & CU_GRAPH_DEBUG_DOT_FLAGS_HANDLES) != 0) text += line("\\nfunc 0x%llx", number(params.func));
  if ((flags & CU_GRAPH_DEBUG_DOT_FLAGS_KERNEL_NODE_ATTRIBUTES) != 0) {
    CUlaunchAttributeValue value{};
    if (work.attribute(CU_LAUNCH_ATTRIBUTE_PRIORITY, &value) == CUDA_SUCCESS)
      text += line("\\npriority %d", value.priority);
  }
  return text;
}

std::string describe(const CopyWork& work, unsigned flags) {
  const CUDA_MEMCPY3D& copy = work.params();
  std::string text = line("\\n%s to %s", name_of(copy.srcMemoryType), name_of(copy.dstMemoryType));
  if ((flags & CU_GRAPH_DEBUG_DOT_FLAGS_MEMCPY_NODE_PARAMS) != 0) {
    text += line("\\nsrc 0x%llx pitch %zu, dst 0x%llx pitch %zu",
                 copy.srcHost != nullptr ? number(copy.srcHost) : number(copy.srcDevice), copy.srcPitch,
                 copy.dstHost != nullptr ? number(copy.dstHost) : number(copy.dstDevice), copy.dstPitch);
    text += line("\\n%zu x %zu x %zu bytes", copy.WidthInBytes, copy.Height, copy.Depth);
  }
  return text;
}

std::string describe(const SetWork& work) {
  const CUDA_MEMSET_NODE_PARAMS& set = work.params();
  return line("\\ndst 0x%llx pitch %zu, value %u of %u bytes, %zu x %zu", number(set.dst), set.pitch,
              set.value, set.elementSize, set.width, set.height);
}

// What a node does beside its type.
std::string details(const NodeWork& work, unsigned flags) {
  const auto wants = [flags](CUgraphDebugDot_flags flag) { return (flags & flag) != 0; };
  if (const auto* kernel = dynamic_cast<const KernelWork*>(&work)) return describe(*kernel, flags);
  if (const auto* copy = dynamic_cast<const CopyWork*>(&work)) return describe(*copy, flags);
  const auto* set = dynamic_cast<const SetWork*>(&work);
  if (set != nullptr && wants(CU_GRAPH_DEBUG_DOT_FLAGS_MEMSET_NODE_PARAMS)) return describe(*set);
  const auto* host = dynamic_cast<const HostWork*>(&work);
  if (host != nullptr && wants(CU_GRAPH_DEBUG_DOT_FLAGS_HOST_NODE_PARAMS)) {
    return line("\\nfn 0x%llx, userData 0x%llx", number(reinterpret_cast<const void*>(host->params().fn)),
                number(host->params().userData));
  }
  const auto* event = dynamic_cast<const EventWork*>(&work);
  if (event != nullptr && wants(CU_GRAPH_DEBUG_DOT_FLAGS_EVENT_NODE_PARAMS))
    return line("\\nevent 0x%llx", number(event->event().handle()));
  const auto* alloc = dynamic_cast<const AllocWork*>(&work);
  if (alloc != nullptr && wants(CU_GRAPH_DEBUG_DOT_FLAGS_MEM_ALLOC_NODE_PARAMS)) {
    const CUDA_MEM_ALLOC_NODE_PARAMS params = alloc->params();
    return line("\\n%zu bytes at 0x%llx on device %d", params.bytesize, number(params.dptr),
                params.poolProps.location.id);
  }
  const auto* free = dynamic_cast<const FreeWork*>(&work);
  if (free != nullptr && wants(CU_GRAPH_DEBUG_DOT_FLAGS_MEM_FREE_NODE_PARAMS))
    return line("\\ndptr 0x%llx", number(free->address()));
  const auto* ops = dynamic_cast<const MemOpWork*>(&work);
  if (ops != nullptr && wants(CU_GRAPH_DEBUG_DOT_FLAGS_BATCH_MEM_OP_NODE_PARAMS))
    return line("\\n%zu operations", ops->ops().size());
  const auto* conditional = dynamic_cast<const ConditionalWork*>(&work);
  if (conditional != nullptr && wants(CU_GRAPH_DEBUG_DOT_FLAGS_CONDITIONAL_NODE_PARAMS)) {
    return line("\\n%s of %zu, handle 0x%llx", name_of(conditional->kind()), conditional->inner().size(),
                number(conditional->condition()->handle()));
  }
  return "";
}

class Drawing {
 public:
  explicit Drawing(unsigned flags) : flags_((flags & CU_GRAPH_DEBUG_DOT_FLAGS_VERBOSE) != 0 ? ~0u : flags) {}

  void add(const Graph& graph) {
    const unsigned index = graphs_++;
    text_ += line("subgraph cluster_%u {\nlabel=\"graph_%u\"\n", index, index);
    std::unordered_map<const GraphNode*, size_t> ids;
    for (const auto& node : graph.nodes()) ids.emplace(node.get(), ids.size());
    for (const auto& node : graph.nodes()) {
      text_ += line("\"graph_%u_node_%zu\"[shape=\"rectangle\" label=\"%zu\\n%s", index, ids[node.get()],
                    ids[node.get()], name_of(node->work()->type()));
      if ((flags_ & CU_GRAPH_DEBUG_DOT_FLAGS_HANDLES) != 0)
        text_ += line("\\nnode 0x%llx", number(node->handle()));
      text_ += details(*node->work(), flags_) + "\"];\n";
    }
    for (const auto& node : graph.nodes()) {
      size_t number_of_edge = 0;
      for (const GraphNode::Edge& edge : node->dependencies()) {
        text_ += line("\"graph_%u_node_%zu\" -> \"graph_%u_node_%zu\"", index, ids[edge.from], index,
                      ids[node.get()]);
        if ((flags_ & CU_GRAPH_DEBUG_DOT_FLAGS_EXTRA_TOPO_INFO) != 0)
          text_ += line("[headlabel=%zu]", number_of_edge);
        text_ += ";\n";
        ++number_of_edge;
      }
    }
    text_ += "}\n";
    for (const auto& node : graph.nodes()) {
      for (const auto& inner : node->work()->inner()) add(*inner);
    }
  }
  std::string text() const { return "digraph dot {\n" + text_ + "}\n"; }

 private:
  const unsigned flags_;
  unsigned graphs_ = 0;
  std::string text_;
};

}  // namespace

std::string dot_of(const Graph& graph, unsigned flags) {
  Drawing drawing(flags);
  drawing.add(graph);
  return drawing.text();
}

}  // namespace tessera::softgpu
