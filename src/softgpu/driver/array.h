// CUDA arrays: texels in device memory that programs know by handle only.
#pragma once

#include <memory>
#include <vector>

#include "cuda/abi.h"
#include "softgpu/driver/array_shape.h"

namespace tessera::softgpu {

class Context;

class Array {
 public:
  // `level`: belongs to a mipmapped array and goes with it.
  Array(std::shared_ptr<Context> context, const ArrayShape& shape, uint64_t address, bool level);

  CUarray handle() const { return reinterpret_cast<CUarray>(handle_); }
  Context& context() const { return *context_; }
  const ArrayShape& shape() const { return shape_; }
  uint64_t address() const { return address_; }
  bool is_level() const { return level_; }

 private:
  const std::shared_ptr<Context> context_;
  const uintptr_t handle_;
  const ArrayShape shape_;
  const uint64_t address_;
  const bool level_;
};

class MipmappedArray {
 public:
  MipmappedArray(std::shared_ptr<Context> context, const ArrayShape& shape, unsigned levels,
                 uint64_t address);

  CUmipmappedArray handle() const { return reinterpret_cast<CUmipmappedArray>(handle_); }
  Context& context() const { return *context_; }
  const ArrayShape& shape() const { return shape_; }
  uint64_t address() const { return address_; }
  // The largest first.
  const std::vector<std::shared_ptr<Array>>& levels() const { return levels_; }

 private:
  const std::shared_ptr<Context> context_;
  const uintptr_t handle_;
  const ArrayShape shape_;
  const uint64_t address_;
  std::vector<std::shared_ptr<Array>> levels_;
};

CUresult create_array(Context& context, const CUDA_ARRAY3D_DESCRIPTOR& descriptor, CUarray* handle);
CUresult create_mipmapped_array(Context& context, const CUDA_ARRAY3D_DESCRIPTOR& descriptor, unsigned levels,
                                CUmipmappedArray* handle);
// Wait until nothing runs that could use them.
CUresult destroy_array(CUarray handle);
CUresult destroy_mipmapped_array(CUmipmappedArray handle);

// CUDA_ERROR_INVALID_HANDLE where there is none of that handle.
CUresult array_of(CUarray handle, std::shared_ptr<Array>* array);
CUresult mipmapped_array_of(CUmipmappedArray handle, std::shared_ptr<MipmappedArray>* array);

}  // namespace tessera::softgpu
