// What a program makes because a call wants it.
#include "tests/fuzz/driver_calls/kernels.h"
#include "tests/fuzz/driver_calls/world.h"

namespace tessera::fuzz {
namespace {

constexpr size_t kMemoryBytes = 1 << 20;
constexpr size_t kGranule = 2 << 20;
constexpr size_t kReservedGranules = 4;
constexpr size_t kSide = 64;  // of arrays
constexpr CUhostFn kNothing = [](void*) {};

template <typename Handle, typename Function, typename... Arguments>
void add_made(World& w, Kind kind, const char* name, Function function, Arguments... arguments) {
  Handle made{};
  if (w.note(name, function(&made, arguments...)) == CUDA_SUCCESS) w.add(kind, made);
}

void make_context(World& w) {
  add_made<CUcontext>(w, Kind::kContext, "cuCtxCreate_v2", cuCtxCreate_v2, 0u, w.bytes.below(8) == 0 ? 1 : 0);
}

void make_stream(World& w) {
  if (w.bytes.below(4) == 0) return w.add(Kind::kStream, CUstream{});
  const unsigned flags = w.bytes.coin() ? CU_STREAM_NON_BLOCKING : CU_STREAM_DEFAULT;
  add_made<CUstream>(w, Kind::kStream, "cuStreamCreate", cuStreamCreate, flags);
}

void make_module(World& w) {
  CUmodule made = nullptr;
  if (CALL(w, cuModuleLoadData, &made, kKernels) != CUDA_SUCCESS) return;
  w.add(Kind::kModule, made);
  for (const char* name : kHarmlessKernelNames) {
    CUfunction found = nullptr;
    if (CALL(w, cuModuleGetFunction, &found, made, name) == CUDA_SUCCESS) w.add(Kind::kFunction, found);
  }
}

void make_library(World& w) {
  CUlibrary made = nullptr;
  if (CALL(w, cuLibraryLoadData, &made, kKernels, nullptr, nullptr, 0, nullptr, nullptr, 0) != CUDA_SUCCESS)
    return;
  w.add(Kind::kLibrary, made);
  for (const char* name : kHarmlessKernelNames) {
    CUkernel found = nullptr;
    if (CALL(w, cuLibraryGetKernel, &found, made, name) == CUDA_SUCCESS) w.add(Kind::kKernel, found);
  }
}

void make_memory(World& w) {
  CUdeviceptr made = 0;
  if (CALL(w, cuMemAlloc_v2, &made, kMemoryBytes) == CUDA_SUCCESS) w.allocated(made, kMemoryBytes);
}

void make_reservation(World& w) {
  CUdeviceptr made = 0;
  const size_t size = kReservedGranules * kGranule;
  if (CALL(w, cuMemAddressReserve, &made, size, 0, 0, 0) != CUDA_SUCCESS) return;
  w.add(Kind::kVirtualPointer, made);
  w.reservations.push_back({made, size});
}

void make_physical(World& w) {
  CUmemAllocationProp wanted{};
  wanted.type = CU_MEM_ALLOCATION_TYPE_PINNED;
  wanted.requestedHandleTypes =
      w.bytes.coin() ? CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR : CU_MEM_HANDLE_TYPE_NONE;
  wanted.location = {CU_MEM_LOCATION_TYPE_DEVICE, 0};
  CUmemGenericAllocationHandle made = 0;
  if (CALL(w, cuMemCreate, &made, kGranule, &wanted, 0) != CUDA_SUCCESS) return;
  w.add(Kind::kPhysical, made);
  w.physical_sizes[made] = kGranule;
}

void make_pool(World& w) {
  CUmemPoolProps properties{};
  properties.allocType = CU_MEM_ALLOCATION_TYPE_PINNED;
  properties.location = {CU_MEM_LOCATION_TYPE_DEVICE, w.bytes.below(4) == 0 ? 1 : 0};
  CUmemoryPool made = nullptr;
  if (CALL(w, cuMemPoolCreate, &made, &properties) == CUDA_SUCCESS) w.add(Kind::kPool, made);
}

CUDA_ARRAY3D_DESCRIPTOR plain_shape() {
  CUDA_ARRAY3D_DESCRIPTOR shape{};
  shape.Width = shape.Height = kSide;
  shape.Format = CU_AD_FORMAT_FLOAT;
  shape.NumChannels = 1;
  shape.Flags = CUDA_ARRAY3D_SURFACE_LDST;
  return shape;
}

void make_array(World& w) {
  const CUDA_ARRAY3D_DESCRIPTOR shape = plain_shape();
  add_made<CUarray>(w, Kind::kArray, "cuArray3DCreate_v2", cuArray3DCreate_v2, &shape);
}

void make_mipmap(World& w) {
  const CUDA_ARRAY3D_DESCRIPTOR shape = plain_shape();
  add_made<CUmipmappedArray>(w, Kind::kMipmap, "cuMipmappedArrayCreate", cuMipmappedArrayCreate, &shape, 3u);
}

CUDA_RESOURCE_DESC an_array(World& w) {
  CUDA_RESOURCE_DESC of{};
  of.resType = CU_RESOURCE_TYPE_ARRAY;
  of.res.array.hArray = w.get<CUarray>(Kind::kArray);
  return of;
}

void make_texture(World& w) {
  const CUDA_RESOURCE_DESC of = an_array(w);
  const CUDA_TEXTURE_DESC how{};
  CUtexObject made = 0;
  if (CALL(w, cuTexObjectCreate, &made, &of, &how, nullptr) == CUDA_SUCCESS) w.add(Kind::kTexture, made);
}

void make_surface(World& w) {
  const CUDA_RESOURCE_DESC of = an_array(w);
  add_made<CUsurfObject>(w, Kind::kSurface, "cuSurfObjectCreate", cuSurfObjectCreate, &of);
}

void make_node(World& w) {
  const CUgraph in = w.get<CUgraph>(Kind::kGraph);
  CUgraphNode made = nullptr;
  if (CALL(w, cuGraphAddEmptyNode, &made, in, nullptr, 0) != CUDA_SUCCESS) return;
  w.add(Kind::kNode, made);
  w.nodes[in].push_back(made);
}

void make_exec(World& w) {
  const CUgraph of = w.get<CUgraph>(Kind::kGraph);
  CUgraphExec made = nullptr;
  if (CALL(w, cuGraphInstantiateWithFlags, &made, of, 0) != CUDA_SUCCESS) return;
  w.add(Kind::kGraphExec, made);
  w.instantiated[made] = of;
}

void make_user_object(World& w) {
  CUuserObject made = nullptr;
  if (CALL(w, cuUserObjectCreate, &made, nullptr, kNothing, 2, CU_USER_OBJECT_NO_DESTRUCTOR_SYNC) ==
      CUDA_SUCCESS)
    w.add(Kind::kUserObject, made);
}

}  // namespace

void make_mapping(World& w) {
  make_reservation(w);
  make_physical(w);
  if (w.reservations.empty() || w.living(Kind::kPhysical).empty()) return;
  const CUdeviceptr begin = w.reservations.back().begin;
  const CUmemGenericAllocationHandle physical = w.living(Kind::kPhysical).back();
  const CUmemAccessDesc access{{CU_MEM_LOCATION_TYPE_DEVICE, 0}, CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
  if (CALL(w, cuMemMap, begin, kGranule, 0, physical, 0) != CUDA_SUCCESS) return;
  w.mappings.push_back({begin, kGranule});
  CALL(w, cuMemSetAccess, begin, kGranule, &access, 1);
}

void make(World& w, Kind kind) {
  switch (kind) {
    case Kind::kContext:
      return make_context(w);
    case Kind::kStream:
      return make_stream(w);
    case Kind::kEvent:
      return add_made<CUevent>(w, kind, "cuEventCreate", cuEventCreate, 0u);
    case Kind::kModule:
    case Kind::kFunction:
      return make_module(w);
    case Kind::kLibrary:
    case Kind::kKernel:
      return make_library(w);
    case Kind::kDevicePointer:
      return make_memory(w);
    case Kind::kVirtualPointer:
      return make_reservation(w);
    case Kind::kPhysical:
      return make_physical(w);
    case Kind::kPool:
      return make_pool(w);
    case Kind::kArray:
      return make_array(w);
    case Kind::kMipmap:
      return make_mipmap(w);
    case Kind::kTexture:
      return make_texture(w);
    case Kind::kSurface:
      return make_surface(w);
    case Kind::kGraph:
      return add_made<CUgraph>(w, kind, "cuGraphCreate", cuGraphCreate, 0u);
    case Kind::kNode:
      return make_node(w);
    case Kind::kGraphExec:
      return make_exec(w);
    case Kind::kUserObject:
      return make_user_object(w);
    case Kind::kCount:
      break;
  }
}

}  // namespace tessera::fuzz
