// Batches of two- and three-dimensional copies: one after the other in the stream. What is wrong with one is
// said before the first of them is made, as far as it can be told here.
#include <algorithm>
#include <vector>

#include "cuda/box_copies.h"
#include "remote/client/boxes.h"
#include "remote/client/connection.h"
#include "remote/client/host_ranges.h"
#include "remote/client/installs.h"
#include "remote/client/request.h"
#include "remote/rpc.h"
#include "virtualization/vgpu/array_size.h"

namespace tessera::remote {
namespace {

constexpr size_t kNoneOfThem = SIZE_MAX;           // what an index answers where no single copy is to blame
constexpr size_t kMostElements = size_t{1} << 42;  // products with a texel's bytes stay in 64 bits

bool fits(size_t offset, size_t extent, size_t size) {
  size = std::max<size_t>(size, 1);  // a dimension that an array does not have
  return offset <= size && extent <= size - offset;
}

// Bytes of a texel where the operand is an array, which has to hold what is copied; memory has what the other
// side has.
CUresult texel_bytes(const CUmemcpy3DOperand& operand, const CUextent3D& extent, size_t* bytes) {
  if (operand.type != CU_MEMCPY_OPERAND_TYPE_ARRAY) return CUDA_SUCCESS;
  CUDA_ARRAY3D_DESCRIPTOR array{};
  const CUresult result = rpc::cuArray3DGetDescriptor_v2(false, &array, operand.op.array.array);
  if (result != CUDA_SUCCESS) return result;
  const CUoffset3D& offset = operand.op.array.offset;
  if (!fits(offset.x, extent.width, array.Width) || !fits(offset.y, extent.height, array.Height) ||
      !fits(offset.z, extent.depth, array.Depth)) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  const uint64_t bits = vgpu::texel_bits(array);
  if (bits == 0 || bits % 8 != 0) return CUDA_ERROR_INVALID_VALUE;  // of blocks: they have no rows of texels
  const size_t texel = bits / 8;
  if (*bytes != 0 && *bytes != texel) return CUDA_ERROR_INVALID_VALUE;
  *bytes = texel;
  return CUDA_SUCCESS;
}

bool is_sound(const CUmemcpy3DOperand& operand, const CUextent3D& extent) {
  if (operand.type == CU_MEMCPY_OPERAND_TYPE_ARRAY) return operand.op.array.offset.x <= kMostElements;
  if (operand.type != CU_MEMCPY_OPERAND_TYPE_POINTER) return false;
  const auto& pointer = operand.op.ptr;
  return (pointer.rowLength == 0 || pointer.rowLength >= extent.width) &&
         pointer.rowLength <= kMostElements &&
         (pointer.layerHeight == 0 || pointer.layerHeight >= extent.height);
}

CUresult copy_of(const CUDA_MEMCPY3D_BATCH_OP& op, CUDA_MEMCPY3D* copy) {
  const bool is_ordered = op.srcAccessOrder >= CU_MEMCPY_SRC_ACCESS_ORDER_STREAM &&
                          op.srcAccessOrder <= CU_MEMCPY_SRC_ACCESS_ORDER_ANY;
  const CUextent3D& extent = op.extent;
  const bool has_size = extent.width != 0 && extent.height != 0 && extent.depth != 0;
  if (!is_ordered || op.flags > CU_MEMCPY_FLAG_PREFER_OVERLAP_WITH_COMPUTE || !has_size ||
      extent.width > kMostElements || !is_sound(op.src, extent) || !is_sound(op.dst, extent)) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  size_t texel = 0;
  for (const CUmemcpy3DOperand* operand : {&op.src, &op.dst}) {
    if (const CUresult result = texel_bytes(*operand, extent, &texel); result != CUDA_SUCCESS) return result;
  }
  if (texel == 0) texel = 1;
  *copy = {};
  cuda::put_source(op.src, texel, copy);
  cuda::put_destination(op.dst, texel, copy);
  copy->WidthInBytes = extent.width * texel;
  copy->Height = extent.height;
  copy->Depth = extent.depth;
  return CUDA_SUCCESS;
}

template <bool kPerThread>
CUresult copy_batch(size_t count, CUDA_MEMCPY3D_BATCH_OP* ops, size_t* failed, unsigned long long flags,
                    CUstream stream) {
  if (!is_initialised()) return CUDA_ERROR_NOT_INITIALIZED;
  size_t unused = 0;
  if (failed == nullptr) failed = &unused;
  *failed = kNoneOfThem;
  const bool is_legacy = stream == CU_STREAM_LEGACY || (stream == nullptr && !kPerThread);
  if (is_legacy || count == 0 || ops == nullptr || flags != 0) return CUDA_ERROR_INVALID_VALUE;
  std::vector<CUDA_MEMCPY3D> copies(count);
  for (size_t i = 0; i < count; ++i) {
    *failed = i;
    if (const CUresult result = copy_of(ops[i], &copies[i]); result != CUDA_SUCCESS) return result;
  }
  for (size_t i = 0; i < count; ++i) {
    *failed = i;
    if (const CUresult result = copy_box_async(copies[i], stream, kPerThread); result != CUDA_SUCCESS)
      return result;
  }
  *failed = kNoneOfThem;
  return CUDA_SUCCESS;
}

template <bool kPerThread>
CUresult copy_batch_v2(size_t count, CUDA_MEMCPY3D_BATCH_OP* ops, unsigned long long flags, CUstream stream) {
  return copy_batch<kPerThread>(count, ops, nullptr, flags, stream);
}

}  // namespace

void install_box_batches(cuda::DriverTable& table) {
  table.cuMemcpy3DBatchAsync = copy_batch<false>;
  table.cuMemcpy3DBatchAsync_ptsz = copy_batch<true>;
  table.cuMemcpy3DBatchAsync_v2 = copy_batch_v2<false>;
  table.cuMemcpy3DBatchAsync_v2_ptsz = copy_batch_v2<true>;
}

}  // namespace tessera::remote
