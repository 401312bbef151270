// Modules, libraries, functions, launches.
#include <cstring>
#include <iterator>
#include <string>

#include "tests/fuzz/driver_calls/kernels.h"
#include "tests/fuzz/driver_calls/launches.h"

namespace tessera::fuzz {
namespace {

constexpr uint64_t kMostBlocks = 32;

// The kernels, or what is left of them when a character is another.
std::string image(World& w) {
  std::string text = kKernels;
  if (w.bytes.below(8) == 0) text[(size_t{w.bytes.byte()} * 256 + w.bytes.byte()) % text.size()] = '%';
  return text;
}

CUmodule module(World& w) { return w.get<CUmodule>(Kind::kModule); }
CUlibrary library(World& w) { return w.get<CUlibrary>(Kind::kLibrary); }
CUkernel kernel(World& w) { return w.get<CUkernel>(Kind::kKernel); }
// Where a launch takes a function it takes a kernel too.
CUfunction function(World& w) {
  return w.get<CUfunction>(w.bytes.below(4) == 0 ? Kind::kKernel : Kind::kFunction);
}

void load_module(World& w) {
  CUmodule made = nullptr;
  if (CALL(w, cuModuleLoadData, &made, image(w).c_str()) != CUDA_SUCCESS) return;
  w.add(Kind::kModule, made);
  for (const char* name : kHarmlessKernelNames) {
    CUfunction found = nullptr;
    if (CALL(w, cuModuleGetFunction, &found, made, name) == CUDA_SUCCESS) w.add(Kind::kFunction, found);
  }
}
// Its functions go with it: the program has no others then.
void unload_module(World& w) {
  const CUmodule old = module(w);
  if (CALL(w, cuModuleUnload, old) != CUDA_SUCCESS) return;
  w.gone(Kind::kModule, old);
  for (const uint64_t function : std::vector(w.living(Kind::kFunction))) w.gone(Kind::kFunction, function);
}

void ask_module(World& w) {
  CUfunction found[8]{};
  unsigned count = 0;
  CUdeviceptr address = 0;
  size_t size = 0;
  CALL(w, cuModuleGetFunctionCount, &count, module(w));
  CALL(w, cuModuleEnumerateFunctions, found, w.bytes.below(9), module(w));
  CALL(w, cuModuleGetFunction, found, module(w), w.bytes.one_of(kKernelNames));
  if (CALL(w, cuModuleGetGlobal_v2, &address, &size, module(w), w.bytes.coin() ? "total" : "factors") ==
      CUDA_SUCCESS)
    w.add(Kind::kDevicePointer, address);
}

void load_library(World& w) {
  CUlibrary made = nullptr;
  if (CALL(w, cuLibraryLoadData, &made, image(w).c_str(), nullptr, nullptr, 0, nullptr, nullptr, 0) !=
      CUDA_SUCCESS)
    return;
  w.add(Kind::kLibrary, made);
  for (const char* name : kHarmlessKernelNames) {
    CUkernel found = nullptr;
    if (CALL(w, cuLibraryGetKernel, &found, made, name) == CUDA_SUCCESS) w.add(Kind::kKernel, found);
  }
}
void unload_library(World& w) {
  const CUlibrary old = library(w);
  if (CALL(w, cuLibraryUnload, old) != CUDA_SUCCESS) return;
  w.gone(Kind::kLibrary, old);
  for (const uint64_t kernel : std::vector(w.living(Kind::kKernel))) w.gone(Kind::kKernel, kernel);
}

CUfunction_attribute any_attribute(World& w) {
  return static_cast<CUfunction_attribute>(w.bytes.below(w.bytes.rarely() ? CU_FUNC_ATTRIBUTE_MAX + 2 : 10));
}
// One that can be set, and what it can be set to.
CUfunction_attribute changed_attribute(World& w, int* value) {
  *value = w.bytes.rarely() ? w.bytes.byte() * 1024 - 1024 : w.bytes.below(48) * 1024;
  if (w.bytes.rarely()) return any_attribute(w);
  if (w.bytes.coin()) return CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
  *value = w.bytes.rarely() ? w.bytes.byte() - 10 : w.bytes.below(101);
  return CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT;
}

void ask_library(World& w) {
  CUmodule as_module = nullptr;
  CUfunction as_function = nullptr;
  CUdeviceptr address = 0;
  size_t size = 0;
  int value = 0;
  if (CALL(w, cuLibraryGetModule, &as_module, library(w)) == CUDA_SUCCESS) w.add(Kind::kModule, as_module);
  if (CALL(w, cuKernelGetFunction, &as_function, kernel(w)) == CUDA_SUCCESS)
    w.add(Kind::kFunction, as_function);
  if (CALL(w, cuLibraryGetGlobal, &address, &size, library(w), "total") == CUDA_SUCCESS)
    w.add(Kind::kDevicePointer, address);
  if (CALL(w, cuLibraryGetManaged, &address, &size, library(w), "managed") == CUDA_SUCCESS)
    w.add(Kind::kDevicePointer, address);
  CALL(w, cuKernelGetAttribute, &value, any_attribute(w), kernel(w), w.device());
  const CUfunction_attribute changed = changed_attribute(w, &value);
  CALL(w, cuKernelSetAttribute, changed, value, kernel(w), w.device());
}

void function_attributes(World& w) {
  int value = 0;
  size_t offset = 0, size = 0;
  const char* name = nullptr;
  CALL(w, cuFuncGetAttribute, &value, any_attribute(w), function(w));
  const CUfunction_attribute changed = changed_attribute(w, &value);
  CALL(w, cuFuncSetAttribute, function(w), changed, value);
  CALL(w, cuFuncGetParamInfo, function(w), w.bytes.rarely() ? 2 : w.bytes.below(2), &offset, &size);
  CALL(w, cuFuncGetName, &name, function(w));
}

void occupancy(World& w) {
  const Shape shape = launch_shape(w);
  int blocks = 0, threads = 0;
  CALL(w, cuOccupancyMaxActiveBlocksPerMultiprocessor, &blocks, function(w), static_cast<int>(shape.block[0]),
       w.size());
  CALL(w, cuOccupancyMaxPotentialBlockSize, &blocks, &threads, function(w), nullptr, w.size(),
       static_cast<int>(shape.block[1]));
}

void launch(World& w) {
  const CUfunction f = function(w);
  const Shape s = launch_shape(w);
  Arguments arguments(w);
  CALL(w, cuLaunchKernel, f, s.grid[0], s.grid[1], s.grid[2], s.block[0], s.block[1], s.block[2],
       s.shared_bytes, w.stream(), w.bytes.rarely() ? nullptr : arguments.list, nullptr);
}

// The parameters in one buffer, whose size may be said wrong. It has 16 bytes, the kernels want 12.
void launch_with_buffer(World& w) {
  const CUfunction f = function(w);
  const Shape s = launch_shape(w);
  struct {
    CUdeviceptr pointer;
    unsigned number, rest;
  } buffer{Arguments(w).pointer, 3, 0};
  size_t size = w.bytes.rarely() ? w.bytes.below(17) : 12;
  constexpr uintptr_t kEnd = 0, kBuffer = 1, kBufferSize = 2;  // CU_LAUNCH_PARAM_…
  void* extra[] = {reinterpret_cast<void*>(kBuffer),
                   &buffer,
                   reinterpret_cast<void*>(kBufferSize),
                   &size,
                   reinterpret_cast<void*>(w.bytes.rarely() ? 77 : kEnd),
                   nullptr};
  CALL(w, cuLaunchKernel, f, s.grid[0], s.grid[1], s.grid[2], s.block[0], s.block[1], s.block[2],
       s.shared_bytes, w.stream(), nullptr, extra);
}

void launch_cooperatively(World& w) {
  const CUfunction f = function(w);
  const Shape s = launch_shape(w);
  Arguments arguments(w);
  CALL(w, cuLaunchCooperativeKernel, f, s.grid[0], s.grid[1], s.grid[2], s.block[0], s.block[1], s.block[2],
       s.shared_bytes, w.stream(), arguments.list);
}

void launch_with_attributes(World& w) {
  const CUfunction f = function(w);
  const Shape s = launch_shape(w);
  Arguments arguments(w);
  CUlaunchAttribute attributes[2]{};
  for (CUlaunchAttribute& attribute : attributes) {
    constexpr CUlaunchAttributeID kIds[] = {
        CU_LAUNCH_ATTRIBUTE_IGNORE, CU_LAUNCH_ATTRIBUTE_PRIORITY, CU_LAUNCH_ATTRIBUTE_SYNCHRONIZATION_POLICY,
        CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_EVENT, CU_LAUNCH_ATTRIBUTE_LAUNCH_COMPLETION_EVENT};
    attribute.id = w.bytes.below(8) == 0
                       ? static_cast<CUlaunchAttributeID>(w.bytes.below(CU_LAUNCH_ATTRIBUTE_MAX + 1))
                       : w.bytes.one_of(kIds);
    if (attribute.id == CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION)
      attribute.value.clusterDim = {w.bytes.below(10), w.bytes.below(3), 1};
    else if (attribute.id == CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_EVENT ||
             attribute.id == CU_LAUNCH_ATTRIBUTE_LAUNCH_COMPLETION_EVENT)
      attribute.value.programmaticEvent = {w.get<CUevent>(Kind::kEvent), 0, 0};
    else
      attribute.value.priority = w.bytes.rarely() ? w.bytes.byte() : w.bytes.below(3);
  }
  const CUlaunchConfig config{s.grid[0],  s.grid[1],      s.grid[2],  s.block[0], s.block[1],
                              s.block[2], s.shared_bytes, w.stream(), attributes, w.bytes.below(3)};
  CALL(w, cuLaunchKernelEx, &config, f, arguments.list, nullptr);
}

}  // namespace

Shape launch_shape(World& w) {
  constexpr unsigned kGrid[] = {1, 1, 1, 2, 3, 8}, kWrongGrid[] = {0, 65536, 0x7fffffff, ~0u};
  constexpr unsigned kBlock[] = {1, 1, 31, 32, 33, 64, 256}, kWrongBlock[] = {1024, 1025, 0, ~0u};
  constexpr unsigned kDeep[] = {1, 1, 1, 2}, kShared[] = {0, 0, 4, 1024, 48 << 10};
  constexpr unsigned kWrongShared[] = {64 << 10, 227 << 10, ~0u};
  Shape shape{};
  uint64_t blocks = 1;
  bool allowed = true;  // all of them in range
  for (int i = 0; i < 3; ++i) {
    shape.grid[i] = i == 0 ? w.bytes.one_of(kGrid, kWrongGrid) : w.bytes.one_of(kDeep, kWrongGrid);
    shape.block[i] = i == 0 ? w.bytes.one_of(kBlock, kWrongBlock) : w.bytes.one_of(kDeep, kWrongBlock);
    blocks *= shape.grid[i] > kMostBlocks ? kMostBlocks + 1 : shape.grid[i];
    allowed = allowed && shape.grid[i] != 0 && shape.grid[i] <= (i == 0 ? 0x7fffffffu : 65535u);
  }
  if (allowed && blocks > kMostBlocks) shape.grid[0] = shape.grid[1] = shape.grid[2] = 2;
  shape.shared_bytes = w.bytes.one_of(kShared, kWrongShared);
  return shape;
}

std::span<const Call> code_calls() {
  static constexpr Call kCalls[] = {load_module,
                                    load_module,
                                    unload_module,
                                    ask_module,
                                    load_library,
                                    unload_library,
                                    ask_library,
                                    function_attributes,
                                    occupancy,
                                    launch,
                                    launch,
                                    launch,
                                    launch_with_buffer,
                                    launch_cooperatively,
                                    launch_with_attributes};
  return kCalls;
}

}  // namespace tessera::fuzz
