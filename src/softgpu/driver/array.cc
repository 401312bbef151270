#include "softgpu/driver/array.h"

#include <algorithm>

#include "softgpu/driver/context.h"
#include "softgpu/driver/handle_registry.h"
#include "softgpu/driver/memory.h"
#include "softgpu/memory/arena.h"

namespace tessera::softgpu {
namespace {

CUresult reserve(Context& context, uint64_t bytes, uint64_t* address) {
  return allocate_device(context, bytes, MemoryKind::kDevice, 0, Arena::kGranularity, MemoryOwner::kArray,
                         address);
}

void forget_levels(const MipmappedArray& array) {
  for (const auto& level : array.levels()) live<Array>().remove(level->handle());
}

}  // namespace

Array::Array(std::shared_ptr<Context> context, const ArrayShape& shape, uint64_t address, bool level)
    : context_(std::move(context)), handle_(next_handle()), shape_(shape), address_(address), level_(level) {}

MipmappedArray::MipmappedArray(std::shared_ptr<Context> context, const ArrayShape& shape, unsigned levels,
                               uint64_t address)
    : context_(std::move(context)), handle_(next_handle()), shape_(shape), address_(address) {
  ArrayShape level = shape;
  for (unsigned i = 0; i < levels; ++i) {
    levels_.push_back(std::make_shared<Array>(context_, level, address, true));
    address += level.bytes();
    level = level.next_level();
  }
}

CUresult create_array(Context& context, const CUDA_ARRAY3D_DESCRIPTOR& descriptor, CUarray* handle) {
  ArrayShape shape;
  CUresult result = array_shape(descriptor, false, &shape);
  if (result != CUDA_SUCCESS) return result;
  uint64_t address = 0;
  result = reserve(context, shape.bytes(), &address);
  if (result != CUDA_SUCCESS) return result;
  auto array = std::make_shared<Array>(context.shared_from_this(), shape, address, false);
  live<Array>().add(reinterpret_cast<uintptr_t>(array->handle()), array);
  *handle = array->handle();
  return CUDA_SUCCESS;
}

CUresult create_mipmapped_array(Context& context, const CUDA_ARRAY3D_DESCRIPTOR& descriptor, unsigned levels,
                                CUmipmappedArray* handle) {
  ArrayShape shape;
  CUresult result = array_shape(descriptor, true, &shape);
  if (result != CUDA_SUCCESS) return result;
  levels = std::clamp(levels, 1u, mipmap_levels(shape));
  uint64_t bytes = 0, address = 0;
  ArrayShape level = shape;
  for (unsigned i = 0; i < levels; ++i, level = level.next_level()) bytes += level.bytes();
  result = reserve(context, bytes, &address);
  if (result != CUDA_SUCCESS) return result;
  auto array = std::make_shared<MipmappedArray>(context.shared_from_this(), shape, levels, address);
  for (const auto& each : array->levels())
    live<Array>().add(reinterpret_cast<uintptr_t>(each->handle()), each);
  live<MipmappedArray>().add(reinterpret_cast<uintptr_t>(array->handle()), array);
  *handle = array->handle();
  return CUDA_SUCCESS;
}

CUresult destroy_array(CUarray handle) {
  std::shared_ptr<Array> array;
  CUresult result = array_of(handle, &array);
  if (result != CUDA_SUCCESS) return result;
  if (array->is_level() || live<Array>().remove(handle) == nullptr) return CUDA_ERROR_INVALID_HANDLE;
  return free_device(array->address(), MemoryOwner::kArray);
}

CUresult destroy_mipmapped_array(CUmipmappedArray handle) {
  const auto array = live<MipmappedArray>().remove(handle);
  if (array == nullptr) return CUDA_ERROR_INVALID_HANDLE;
  forget_levels(*array);
  return free_device(array->address(), MemoryOwner::kArray);
}

CUresult array_of(CUarray handle, std::shared_ptr<Array>* array) {
  *array = live<Array>().find(handle);
  return *array != nullptr ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

CUresult mipmapped_array_of(CUmipmappedArray handle, std::shared_ptr<MipmappedArray>* array) {
  *array = live<MipmappedArray>().find(handle);
  return *array != nullptr ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

}  // namespace tessera::softgpu
