// Copies with pitches and of arrays in the forms of CUDA 2, with addresses and sizes of 32 bits: as today's.
#include "cuda/box_copies.h"
#include "remote/client/boxes.h"
#include "remote/client/installs.h"

namespace tessera::remote {
namespace {

// Today's forms, as they stand in the table.
const cuda::DriverTable* todays = nullptr;

template <auto Entry, typename Narrow, typename... Stream>
CUresult boxed(const Narrow* copy, Stream... stream) {
  if (copy == nullptr) return CUDA_ERROR_INVALID_VALUE;
  const auto wide = cuda::widened(*copy);
  return (todays->*Entry)(&wide, stream...);
}

CUresult htoa(CUarray target, unsigned int offset, const void* source, unsigned int bytes) {
  return todays->cuMemcpyHtoA_v2(target, offset, source, bytes);
}
CUresult atoh(void* target, CUarray source, unsigned int offset, unsigned int bytes) {
  return todays->cuMemcpyAtoH_v2(target, source, offset, bytes);
}
CUresult htoa_async(CUarray target, unsigned int offset, const void* source, unsigned int bytes,
                    CUstream stream) {
  return todays->cuMemcpyHtoAAsync_v2(target, offset, source, bytes, stream);
}
CUresult atoh_async(void* target, CUarray source, unsigned int offset, unsigned int bytes, CUstream stream) {
  return todays->cuMemcpyAtoHAsync_v2(target, source, offset, bytes, stream);
}

}  // namespace

void install_early_boxes(cuda::DriverTable& table) {
  using Table = cuda::DriverTable;
  todays = &table;
  table.cuMemcpy2D = boxed<&Table::cuMemcpy2D_v2, CUDA_MEMCPY2D_v1>;
  table.cuMemcpy2DUnaligned = boxed<&Table::cuMemcpy2DUnaligned_v2, CUDA_MEMCPY2D_v1>;
  table.cuMemcpy3D = boxed<&Table::cuMemcpy3D_v2, CUDA_MEMCPY3D_v1>;
  table.cuMemcpy2DAsync = boxed<&Table::cuMemcpy2DAsync_v2, CUDA_MEMCPY2D_v1, CUstream>;
  table.cuMemcpy3DAsync = boxed<&Table::cuMemcpy3DAsync_v2, CUDA_MEMCPY3D_v1, CUstream>;
  table.cuMemcpyHtoA = htoa;
  table.cuMemcpyAtoH = atoh;
  table.cuMemcpyHtoAAsync = htoa_async;
  table.cuMemcpyAtoHAsync = atoh_async;
}

}  // namespace tessera::remote
