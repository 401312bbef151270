#include "tests/fuzz/remote/touching_driver.h"

#include <mutex>

namespace tessera::remote::fuzz {
namespace {

constexpr size_t kMostHostFunctions = 8;

struct Shared {
  std::mutex lock;
  std::vector<std::thread> host_functions;
};
Shared& shared() {
  static auto* found = new Shared;
  return *found;
}

// --- Code: each function has three parameters of 8 bytes

constexpr size_t kParameters = 3;

CUresult parameter(size_t index, size_t* offset, size_t* bytes) {
  if (index >= kParameters) return CUDA_ERROR_INVALID_VALUE;
  if (offset != nullptr) *offset = 8 * index;
  if (bytes != nullptr) *bytes = 8;
  return CUDA_SUCCESS;
}
CUresult function_parameter(CUfunction, size_t index, size_t* offset, size_t* bytes) {
  return parameter(index, offset, bytes);
}
CUresult kernel_parameter(CUkernel, size_t index, size_t* offset, size_t* bytes) {
  return parameter(index, offset, bytes);
}

void read_parameters(void** parameters) {
  for (size_t i = 0; i < kParameters; ++i) read_bytes(parameters[i], 8);
}
CUresult launch(CUfunction, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, CUstream,
                void** parameters, void**) {
  read_parameters(parameters);
  return next_result();
}
CUresult launch_together(CUfunction, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned,
                         CUstream, void** parameters) {
  read_parameters(parameters);
  return next_result();
}
CUresult launch_on_several(CUDA_LAUNCH_PARAMS* launches, unsigned count, unsigned) {
  for (unsigned i = 0; i < count; ++i) read_parameters(launches[i].kernelParams);
  return next_result();
}
CUresult launch_ex(const CUlaunchConfig* config, CUfunction, void** parameters, void**) {
  read(config->attrs, config->numAttrs);
  read_parameters(parameters);
  return next_result();
}
CUresult ask_of_clusters(int* count, CUfunction, const CUlaunchConfig* config) {
  read(config->attrs, config->numAttrs);
  *count = 1;
  return next_result();
}

// Logs are written to their ends.
CUresult use_options(unsigned count, const CUjit_option* options, void* const* values) {
  read(options, count);
  read(values, count);
  const auto fill = [&](CUjit_option buffer, CUjit_option size) {
    void* log = nullptr;
    uint64_t bytes = 0;
    for (unsigned i = 0; i < count; ++i) {
      if (options[i] == buffer) log = values[i];
      if (options[i] == size) bytes = reinterpret_cast<uint64_t>(values[i]) & 0xffffffff;
    }
    if (log != nullptr && bytes > 0) write_bytes(log, bytes);
  };
  fill(CU_JIT_INFO_LOG_BUFFER, CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES);
  fill(CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES);
  return next_result();
}
CUresult module_load(CUmodule* module, const void* image, unsigned count, CUjit_option* options,
                     void** values) {
  read_bytes(image, 8);
  *module = (CUmodule)next_handle();
  return use_options(count, options, values);
}
CUresult library_load(CUlibrary* library, const void* image, CUjit_option* options, void** values,
                      unsigned count, CUlibraryOption*, void**, unsigned) {
  read_bytes(image, 8);
  *library = (CUlibrary)next_handle();
  return use_options(count, options, values);
}
CUresult link_create(unsigned count, CUjit_option* options, void** values, CUlinkState* linker) {
  *linker = (CUlinkState)next_handle();
  return use_options(count, options, values);
}
CUresult link_add(CUlinkState, CUjitInputType, void* data, size_t bytes, const char* name, unsigned,
                  CUjit_option*, void**) {
  read_bytes(data, bytes);
  read_text(name);
  return next_result();
}
CUresult link_complete(CUlinkState, void** image, size_t* bytes) {
  static char linked[256];
  *image = linked;
  *bytes = next_number() % sizeof linked;
  return next_result();
}
CUresult name_of(const char** name) {
  *name = "a_function";
  return next_result();
}
CUresult function_name(const char** name, CUfunction) { return name_of(name); }
CUresult kernel_name(const char** name, CUkernel) { return name_of(name); }

// --- Functions of the program

CUresult run_soon(CUhostFn function, void* data) {
  std::lock_guard lock(shared().lock);
  if (shared().host_functions.size() >= kMostHostFunctions) return CUDA_ERROR_OUT_OF_MEMORY;
  shared().host_functions.emplace_back(function, data);
  return CUDA_SUCCESS;
}
CUresult launch_host(CUstream, CUhostFn function, void* data) { return run_soon(function, data); }
CUresult add_callback(CUstream stream, CUstreamCallback function, void* data, unsigned) {
  std::lock_guard lock(shared().lock);
  if (shared().host_functions.size() >= kMostHostFunctions) return CUDA_ERROR_OUT_OF_MEMORY;
  shared().host_functions.emplace_back([=] { function(stream, CUDA_SUCCESS, data); });
  return CUDA_SUCCESS;
}
CUresult user_object(CUuserObject* object, void* data, CUhostFn destroy, unsigned, unsigned) {
  *object = (CUuserObject)next_handle();
  const CUresult result = next_result();
  return result == CUDA_SUCCESS ? run_soon(destroy, data) : result;
}
// The node's parameters, as they were given.
thread_local CUDA_HOST_NODE_PARAMS host_node{};
CUresult add_host_node(CUgraphNode* node, CUgraph, const CUgraphNode* dependencies, size_t count,
                       const CUDA_HOST_NODE_PARAMS* params) {
  read(dependencies, count);
  host_node = *params;
  *node = (CUgraphNode)next_handle();
  return next_number() % 2 == 0 ? run_soon(params->fn, params->userData) : next_result();
}
CUresult get_host_node(CUgraphNode, CUDA_HOST_NODE_PARAMS* params) {
  *params = host_node;
  return next_result();
}

// --- Graphs: parameters that point to the driver's memory

CUresult get_kernel_node(CUgraphNode, CUDA_KERNEL_NODE_PARAMS* params) {
  static thread_local uint64_t values[kParameters];
  static thread_local void* pointers[kParameters] = {&values[0], &values[1], &values[2]};
  *params = {};
  if (next_number() % 2 == 0) {
    params->kern = (CUkernel)next_handle();
  } else {
    params->func = (CUfunction)next_handle();
  }
  params->kernelParams = next_number() % 4 == 0 ? nullptr : pointers;
  return next_result();
}
CUresult get_copy_node(CUgraphNode, CUDA_MEMCPY3D* copy) {
  static std::byte memory[64];
  *copy = {};
  copy->srcMemoryType = static_cast<CUmemorytype>(1 + next_number() % 4);
  copy->dstMemoryType = static_cast<CUmemorytype>(1 + next_number() % 4);
  copy->srcHost = memory;
  copy->dstHost = memory;
  copy->srcArray = (CUarray)next_handle();
  return next_result();
}
CUresult get_batch_node(CUgraphNode, CUDA_BATCH_MEM_OP_NODE_PARAMS* params) {
  static CUstreamBatchMemOpParams ops[4];
  *params = {(CUcontext)next_handle(), static_cast<unsigned>(next_number() % 5), ops, 0};
  return next_result();
}
CUresult get_alloc_node(CUgraphNode, CUDA_MEM_ALLOC_NODE_PARAMS* params) {
  static CUmemAccessDesc access[4];
  *params = {};
  params->accessDescs = access;
  params->accessDescCount = next_number() % 5;
  return next_result();
}
CUresult add_node(CUgraphNode* node, CUgraph, const CUgraphNode* dependencies, size_t count,
                  CUgraphNodeParams* params) {
  static CUgraph graphs[4096];
  read(dependencies, count);
  *node = (CUgraphNode)next_handle();
  if (params->type == CU_GRAPH_NODE_TYPE_CONDITIONAL) {
    give_handles(graphs, params->conditional.size);
    params->conditional.phGraph_out = graphs;
  }
  return next_result();
}
CUresult capture_info(CUstream, CUstreamCaptureStatus* status, cuuint64_t* id, CUgraph* graph,
                      const CUgraphNode** dependencies, const CUgraphEdgeData** edges, size_t* count) {
  static CUgraphNode nodes[4];
  static CUgraphEdgeData data[4];
  give_handles(nodes, 4);
  *status = CU_STREAM_CAPTURE_STATUS_ACTIVE;
  *id = next_number();
  *graph = (CUgraph)next_handle();
  *dependencies = next_number() % 4 == 0 ? nullptr : nodes;
  *edges = next_number() % 2 == 0 ? nullptr : data;
  *count = next_number() % 5;
  return next_result();
}

CUresult no_export_table(const void** table, const CUuuid* id) {
  using Find = CUresult (*)(CUcontext*, CUdevice);
  static const Find kFind = [](CUcontext* context, CUdevice) {
    *context = (CUcontext)next_handle();
    return next_result();
  };
  static const void* const kTable[] = {nullptr, nullptr, reinterpret_cast<const void*>(kFind)};
  read(id, 1);
  *table = kTable;
  return next_result();
}
CUresult device_count(int* count) {
  *count = next_number() % 8 == 0 ? -1 : static_cast<int>(next_number() % 3);
  return next_result();
}
// Waits end: what is not ready now is soon.
CUresult event_query(CUevent) { return next_number() % 4 == 0 ? CUDA_ERROR_NOT_READY : next_result(); }
CUresult stream_query(CUstream) { return next_number() % 4 == 0 ? CUDA_ERROR_NOT_READY : next_result(); }
CUresult exchange_mode(CUstreamCaptureMode*) { return CUDA_SUCCESS; }

void install_code(cuda::DriverTable& table) {
  table.cuFuncGetParamInfo = function_parameter;
  table.cuKernelGetParamInfo = kernel_parameter;
  table.cuLaunchKernel = launch;
  table.cuLaunchCooperativeKernel = launch_together;
  table.cuLaunchCooperativeKernelMultiDevice = launch_on_several;
  table.cuLaunchKernelEx = launch_ex;
  table.cuOccupancyMaxActiveClusters = ask_of_clusters;
  table.cuOccupancyMaxPotentialClusterSize = ask_of_clusters;
  table.cuModuleLoadDataEx = module_load;
  table.cuLibraryLoadData = library_load;
  table.cuLinkCreate_v2 = link_create;
  table.cuLinkAddData_v2 = link_add;
  table.cuLinkComplete = link_complete;
  table.cuFuncGetName = function_name;
  table.cuKernelGetName = kernel_name;
}

void install_rest(cuda::DriverTable& table) {
  table.cuGetExportTable = no_export_table;
  table.cuDeviceGetCount = device_count;
  table.cuEventQuery = event_query;
  table.cuStreamQuery = stream_query;
  table.cuThreadExchangeStreamCaptureMode = exchange_mode;
  table.cuLaunchHostFunc = launch_host;
  table.cuStreamAddCallback = add_callback;
  table.cuUserObjectCreate = user_object;
  table.cuGraphAddHostNode = add_host_node;
  table.cuGraphHostNodeGetParams = get_host_node;
  table.cuGraphKernelNodeGetParams_v2 = get_kernel_node;
  table.cuGraphMemcpyNodeGetParams = get_copy_node;
  table.cuGraphBatchMemOpNodeGetParams = get_batch_node;
  table.cuGraphMemAllocNodeGetParams = get_alloc_node;
  table.cuGraphAddNode = add_node;
  table.cuStreamGetCaptureInfo_v3 = capture_info;
  // Of structures that the tables know no more of than their type.
  table.cuGraphAddKernelNode_v2 = [](CUgraphNode* node, CUgraph, const CUgraphNode* dependencies,
                                     size_t count, const CUDA_KERNEL_NODE_PARAMS* params) {
    read(dependencies, count);
    read_parameters(params->kernelParams);
    *node = (CUgraphNode)next_handle();
    return next_result();
  };
  table.cuGraphKernelNodeSetParams_v2 = [](CUgraphNode, const CUDA_KERNEL_NODE_PARAMS* params) {
    read_parameters(params->kernelParams);
    return next_result();
  };
  table.cuGraphExecKernelNodeSetParams_v2 = [](CUgraphExec, CUgraphNode,
                                               const CUDA_KERNEL_NODE_PARAMS* params) {
    read_parameters(params->kernelParams);
    return next_result();
  };
  table.cuGraphHostNodeSetParams = [](CUgraphNode, const CUDA_HOST_NODE_PARAMS* params) {
    host_node = *params;
    return next_result();
  };
  table.cuGraphExecHostNodeSetParams = [](CUgraphExec, CUgraphNode, const CUDA_HOST_NODE_PARAMS* params) {
    host_node = *params;
    return next_result();
  };
  table.cuGraphAddBatchMemOpNode = [](CUgraphNode* node, CUgraph, const CUgraphNode* dependencies,
                                      size_t count, const CUDA_BATCH_MEM_OP_NODE_PARAMS* params) {
    read(dependencies, count);
    read(params->paramArray, params->count);
    *node = (CUgraphNode)next_handle();
    return next_result();
  };
  table.cuGraphBatchMemOpNodeSetParams = [](CUgraphNode, const CUDA_BATCH_MEM_OP_NODE_PARAMS* params) {
    read(params->paramArray, params->count);
    return next_result();
  };
  table.cuGraphExecBatchMemOpNodeSetParams = [](CUgraphExec, CUgraphNode,
                                                const CUDA_BATCH_MEM_OP_NODE_PARAMS* params) {
    read(params->paramArray, params->count);
    return next_result();
  };
  table.cuGraphAddMemAllocNode = [](CUgraphNode* node, CUgraph, const CUgraphNode* dependencies, size_t count,
                                    CUDA_MEM_ALLOC_NODE_PARAMS* params) {
    read(dependencies, count);
    read(params->accessDescs, params->accessDescCount);
    params->dptr = next_handle();
    *node = (CUgraphNode)next_handle();
    return next_result();
  };
  table.cuGraphAddMemcpyNode = [](CUgraphNode* node, CUgraph, const CUgraphNode* dependencies, size_t count,
                                  const CUDA_MEMCPY3D* copy, CUcontext) {
    read(dependencies, count);
    *node = (CUgraphNode)next_handle();
    return touch_box(copy);
  };
  table.cuGraphMemcpyNodeSetParams = [](CUgraphNode, const CUDA_MEMCPY3D* copy) { return touch_box(copy); };
  table.cuGraphExecMemcpyNodeSetParams = [](CUgraphExec, CUgraphNode, const CUDA_MEMCPY3D* copy, CUcontext) {
    return touch_box(copy);
  };
}

}  // namespace

void join_host_functions() {
  std::vector<std::thread> running;
  {
    std::lock_guard lock(shared().lock);
    running.swap(shared().host_functions);
  }
  for (std::thread& thread : running) thread.join();
}

const cuda::DriverTable& touching_driver() {
  static const cuda::DriverTable* const driver = [] {
    auto* table = new cuda::DriverTable;
    install_touching(*table);
    install_code(*table);
    install_memory(*table);
    install_rest(*table);
    return table;
  }();
  return *driver;
}

}  // namespace tessera::remote::fuzz
