// CUDA arrays and mipmapped arrays.
#include "virtualization/vgpu/array_size.h"
#include "virtualization/vgpu/calls.h"

namespace tessera::vgpu {
namespace {

using cuda::DriverTable;

template <typename Descriptor>
CUDA_ARRAY3D_DESCRIPTOR shape_of(const Descriptor& array) {
  CUDA_ARRAY3D_DESCRIPTOR shape{};
  shape.Width = array.Width;
  shape.Height = array.Height;
  shape.Format = array.Format;
  shape.NumChannels = array.NumChannels;
  if constexpr (requires { array.Depth; }) {
    shape.Depth = array.Depth;
    shape.Flags = array.Flags;
  }
  return shape;
}

ChargeKey array_key(CUarray array) { return {ChargeKind::kArray, reinterpret_cast<uintptr_t>(array)}; }
ChargeKey array_key(CUmipmappedArray array) {
  return {ChargeKind::kMipmappedArray, reinterpret_cast<uintptr_t>(array)};
}

template <auto Entry, typename Descriptor>
CUresult create(CUarray* array, const Descriptor* descriptor) {
  if (array == nullptr || descriptor == nullptr) return (lower().*Entry)(array, descriptor);
  return allocate_here(charged_bytes(array_bytes(shape_of(*descriptor))), [&](ChargeKey& key) {
    CUresult result = (lower().*Entry)(array, descriptor);
    if (result == CUDA_SUCCESS) key = array_key(*array);
    return result;
  });
}

CUresult create_mipmapped(CUmipmappedArray* array, const CUDA_ARRAY3D_DESCRIPTOR* descriptor,
                          unsigned int levels) {
  if (array == nullptr || descriptor == nullptr) {
    return lower().cuMipmappedArrayCreate(array, descriptor, levels);
  }
  return allocate_here(charged_bytes(mipmapped_array_bytes(*descriptor, levels)), [&](ChargeKey& key) {
    CUresult result = lower().cuMipmappedArrayCreate(array, descriptor, levels);
    if (result == CUDA_SUCCESS) key = array_key(*array);
    return result;
  });
}

CUresult destroy(CUarray array) {
  return free_charged(array_key(array), [&] { return lower().cuArrayDestroy(array); });
}

CUresult destroy_mipmapped(CUmipmappedArray array) {
  return free_charged(array_key(array), [&] { return lower().cuMipmappedArrayDestroy(array); });
}

}  // namespace

void install_array_calls(DriverTable& upper, const DriverTable& lower) {
  replace<&DriverTable::cuArrayCreate_v2, &create<&DriverTable::cuArrayCreate_v2, CUDA_ARRAY_DESCRIPTOR>>(
      upper, lower);
  replace<&DriverTable::cuArrayCreate, &create<&DriverTable::cuArrayCreate, CUDA_ARRAY_DESCRIPTOR_v1>>(upper,
                                                                                                       lower);
  replace<&DriverTable::cuArray3DCreate_v2,
          &create<&DriverTable::cuArray3DCreate_v2, CUDA_ARRAY3D_DESCRIPTOR>>(upper, lower);
  replace<&DriverTable::cuArray3DCreate, &create<&DriverTable::cuArray3DCreate, CUDA_ARRAY3D_DESCRIPTOR_v1>>(
      upper, lower);
  replace<&DriverTable::cuMipmappedArrayCreate, &create_mipmapped>(upper, lower);
  replace<&DriverTable::cuArrayDestroy, &destroy>(upper, lower);
  replace<&DriverTable::cuMipmappedArrayDestroy, &destroy_mipmapped>(upper, lower);
}

}  // namespace tessera::vgpu
