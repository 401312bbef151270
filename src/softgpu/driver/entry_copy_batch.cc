// Batches of copies: all of them are checked before the first one is made.
#include <vector>

#include "cuda/abi.h"
#include "cuda/box_copies.h"
#include "softgpu/driver/array.h"
#include "softgpu/driver/batch.h"
#include "softgpu/driver/copy.h"
#include "softgpu/driver/entry.h"
#include "softgpu/driver/stream.h"

using namespace tessera::softgpu;  // NOLINT: the C interface of that namespace

namespace {

constexpr size_t kNoneOfThem = SIZE_MAX;  // what an index answers where no single copy is to blame

struct Batch {
  std::vector<CopyRequest> copies;
  bool reads_now = false;  // a source may be gone when the call returns

  CUresult take(CUmemcpySrcAccessOrder order, unsigned flags) {
    const bool order_ok =
        order >= CU_MEMCPY_SRC_ACCESS_ORDER_STREAM && order <= CU_MEMCPY_SRC_ACCESS_ORDER_ANY;
    if (!order_ok || flags > CU_MEMCPY_FLAG_PREFER_OVERLAP_WITH_COMPUTE) return CUDA_ERROR_INVALID_VALUE;
    reads_now = reads_now || order == CU_MEMCPY_SRC_ACCESS_ORDER_DURING_API_CALL;
    return CUDA_SUCCESS;
  }
};

CUresult run(Stream& stream, const Batch& batch, size_t* failed) {
  for (size_t i = 0; i < batch.copies.size(); ++i) {
    *failed = i;
    SOFTGPU_RETURN_IF_ERROR(check_copy(stream.context(), batch.copies[i]));
  }
  for (size_t i = 0; i < batch.copies.size(); ++i) {
    *failed = i;
    SOFTGPU_RETURN_IF_ERROR(copy(stream, batch.copies[i], false));
  }
  *failed = kNoneOfThem;
  return batch.reads_now ? stream.synchronize() : CUDA_SUCCESS;
}

// `fill(Batch*, size_t* failed)` reads the program's lists.
template <typename Fill>
CUresult run_batch(CUstream hStream, size_t* failed, Fill&& fill) {
  size_t unused = 0;
  if (failed == nullptr) failed = &unused;
  *failed = kNoneOfThem;
  return guarded([&]() -> CUresult {
    std::shared_ptr<Stream> stream;
    SOFTGPU_RETURN_IF_ERROR(stream_of(hStream, &stream));
    if (stream->legacy()) return CUDA_ERROR_INVALID_VALUE;
    Batch batch;
    SOFTGPU_RETURN_IF_ERROR(fill(&batch, failed));
    return run(*stream, batch, failed);
  });
}

CUresult linear_batch(CUdeviceptr* dsts, CUdeviceptr* srcs, size_t* sizes, size_t count,
                      CUmemcpyAttributes* attrs, size_t* attrsIdxs, size_t numAttrs, size_t* failIdx,
                      CUstream hStream) {
  return run_batch(hStream, failIdx, [&](Batch* batch, size_t*) -> CUresult {
    const bool lists = dsts != nullptr && srcs != nullptr && sizes != nullptr && attrs != nullptr;
    if (!lists || !valid_runs(attrsIdxs, numAttrs, count)) return CUDA_ERROR_INVALID_VALUE;
    for (size_t i = 0; i < numAttrs; ++i)
      SOFTGPU_RETURN_IF_ERROR(batch->take(attrs[i].srcAccessOrder, attrs[i].flags));
    for (size_t i = 0; i < count; ++i)
      batch->copies.push_back(linear_request(dsts[i], Side::kUnified, srcs[i], Side::kUnified, sizes[i]));
    return CUDA_SUCCESS;
  });
}

// Bytes of a texel where the operand is an array; others take what the opposite side has.
CUresult texel_bytes(const CUmemcpy3DOperand& operand, size_t* bytes) {
  if (operand.type != CU_MEMCPY_OPERAND_TYPE_ARRAY) return CUDA_SUCCESS;
  std::shared_ptr<Array> array;
  SOFTGPU_RETURN_IF_ERROR(array_of(operand.op.array.array, &array));
  if (*bytes != 0 && *bytes != array->shape().texel_bytes) return CUDA_ERROR_INVALID_VALUE;
  *bytes = array->shape().texel_bytes;
  return CUDA_SUCCESS;
}

CUresult check_operand(const CUmemcpy3DOperand& operand, const CUextent3D& extent) {
  if (operand.type == CU_MEMCPY_OPERAND_TYPE_ARRAY) return CUDA_SUCCESS;
  if (operand.type != CU_MEMCPY_OPERAND_TYPE_POINTER) return CUDA_ERROR_INVALID_VALUE;
  const auto& pointer = operand.op.ptr;
  const bool row_ok = pointer.rowLength == 0 || pointer.rowLength >= extent.width;
  const bool layer_ok = pointer.layerHeight == 0 || pointer.layerHeight >= extent.height;
  return row_ok && layer_ok ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult request_of(const CUDA_MEMCPY3D_BATCH_OP& op, CopyRequest* request) {
  constexpr size_t kMaxElements = size_t{1} << 42;  // products with a texel's bytes stay in 64 bits
  const CUextent3D& extent = op.extent;
  const bool none = extent.width == 0 || extent.height == 0 || extent.depth == 0;
  if (none || extent.width > kMaxElements) return CUDA_ERROR_INVALID_VALUE;
  size_t texel = 0;
  for (const CUmemcpy3DOperand* operand : {&op.src, &op.dst}) {
    SOFTGPU_RETURN_IF_ERROR(check_operand(*operand, extent));
    SOFTGPU_RETURN_IF_ERROR(texel_bytes(*operand, &texel));
    const bool array = operand->type == CU_MEMCPY_OPERAND_TYPE_ARRAY;
    if ((array ? operand->op.array.offset.x : operand->op.ptr.rowLength) > kMaxElements)
      return CUDA_ERROR_INVALID_VALUE;
  }
  if (texel == 0) texel = 1;
  CUDA_MEMCPY3D copy{};
  tessera::cuda::put_source(op.src, texel, &copy);
  tessera::cuda::put_destination(op.dst, texel, &copy);
  copy.WidthInBytes = extent.width * texel;
  copy.Height = extent.height;
  copy.Depth = extent.depth;
  return tessera::softgpu::request_of(copy, request);
}

CUresult shaped_batch(size_t numOps, CUDA_MEMCPY3D_BATCH_OP* opList, size_t* failIdx,
                      unsigned long long flags, CUstream hStream) {
  return run_batch(hStream, failIdx, [&](Batch* batch, size_t* failed) -> CUresult {
    if (numOps == 0 || opList == nullptr || flags != 0) return CUDA_ERROR_INVALID_VALUE;
    for (size_t i = 0; i < numOps; ++i) {
      *failed = i;
      SOFTGPU_RETURN_IF_ERROR(batch->take(opList[i].srcAccessOrder, opList[i].flags));
      SOFTGPU_RETURN_IF_ERROR(request_of(opList[i], &batch->copies.emplace_back()));
    }
    return CUDA_SUCCESS;
  });
}

}  // namespace

extern "C" {

CUresult cuMemcpyBatchAsync(CUdeviceptr* dsts, CUdeviceptr* srcs, size_t* sizes, size_t count,
                            CUmemcpyAttributes* attrs, size_t* attrsIdxs, size_t numAttrs, size_t* failIdx,
                            CUstream hStream) {
  return linear_batch(dsts, srcs, sizes, count, attrs, attrsIdxs, numAttrs, failIdx, hStream);
}
CUresult cuMemcpyBatchAsync_v2(CUdeviceptr* dsts, CUdeviceptr* srcs, size_t* sizes, size_t count,
                               CUmemcpyAttributes* attrs, size_t* attrsIdxs, size_t numAttrs,
                               CUstream hStream) {
  return linear_batch(dsts, srcs, sizes, count, attrs, attrsIdxs, numAttrs, nullptr, hStream);
}

CUresult cuMemcpy3DBatchAsync(size_t numOps, CUDA_MEMCPY3D_BATCH_OP* opList, size_t* failIdx,
                              unsigned long long flags, CUstream hStream) {
  return shaped_batch(numOps, opList, failIdx, flags, hStream);
}
CUresult cuMemcpy3DBatchAsync_v2(size_t numOps, CUDA_MEMCPY3D_BATCH_OP* opList, unsigned long long flags,
                                 CUstream hStream) {
  return shaped_batch(numOps, opList, nullptr, flags, hStream);
}

}  // extern "C"
