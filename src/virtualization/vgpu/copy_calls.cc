// Copies and sets of memory that nobody counts: passed on as they are, once they may begin.
#include "virtualization/vgpu/gated_copies.h"

namespace tessera::vgpu {
namespace {

using T = cuda::DriverTable;

template <bool PerThread, auto Entry>
struct Gated;
template <bool PerThread, typename... Args, CUresult (*T::*Entry)(Args...)>
struct Gated<PerThread, Entry> {
  static CUresult call(Args... args) {
    const Vgpu::Touching touching(*active_vgpu);
    if (touching.refused != CUDA_SUCCESS) return touching.refused;
    wait_to_copy<PerThread>(args...);
    const CUresult result = (lower().*Entry)(args...);
    note_fault(result);
    return result;
  }
};

template <bool PerThread, auto... Entries>
void gate(T& upper, const T& lower) {
  (replace<Entries, &Gated<PerThread, Entries>::call>(upper, lower), ...);
}

}  // namespace

void install_copy_calls(T& upper, const T& lower) {
  gate<false, &T::cuMemcpyDtoD, &T::cuMemcpyDtoA, &T::cuMemcpyAtoD, &T::cuMemcpyHtoA, &T::cuMemcpyAtoH,
       &T::cuMemcpyAtoA, &T::cuMemcpyHtoAAsync, &T::cuMemcpyAtoHAsync, &T::cuMemcpy2D,
       &T::cuMemcpy2DUnaligned, &T::cuMemcpy3D, &T::cuMemcpyDtoDAsync, &T::cuMemcpy2DAsync,
       &T::cuMemcpy3DAsync, &T::cuMemsetD8, &T::cuMemsetD16, &T::cuMemsetD32, &T::cuMemsetD2D8,
       &T::cuMemsetD2D16, &T::cuMemsetD2D32, &T::cuMemcpyDtoD_v2, &T::cuMemcpyDtoA_v2, &T::cuMemcpyAtoD_v2,
       &T::cuMemcpyHtoA_v2, &T::cuMemcpyAtoH_v2, &T::cuMemcpyAtoA_v2, &T::cuMemcpyHtoAAsync_v2,
       &T::cuMemcpyAtoHAsync_v2, &T::cuMemcpy2D_v2, &T::cuMemcpy2DUnaligned_v2, &T::cuMemcpy3D_v2,
       &T::cuMemcpyDtoDAsync_v2, &T::cuMemcpy2DAsync_v2, &T::cuMemcpy3DAsync_v2, &T::cuMemsetD8_v2,
       &T::cuMemsetD16_v2, &T::cuMemsetD32_v2, &T::cuMemsetD2D8_v2, &T::cuMemsetD2D16_v2,
       &T::cuMemsetD2D32_v2, &T::cuMemcpy, &T::cuMemcpyAsync, &T::cuMemcpyPeer, &T::cuMemcpyPeerAsync,
       &T::cuMemcpy3DPeer, &T::cuMemcpy3DPeerAsync, &T::cuMemcpyBatchAsync, &T::cuMemcpy3DBatchAsync,
       &T::cuMemcpyBatchAsync_v2, &T::cuMemcpy3DBatchAsync_v2, &T::cuMemsetD8Async, &T::cuMemsetD16Async,
       &T::cuMemsetD32Async, &T::cuMemsetD2D8Async, &T::cuMemsetD2D16Async, &T::cuMemsetD2D32Async,
       &T::cuMemPrefetchAsync, &T::cuMemPrefetchAsync_v2, &T::cuMemPrefetchBatchAsync>(upper, lower);
  gate<true, &T::cuMemcpyDtoD_v2_ptds, &T::cuMemcpyDtoA_v2_ptds, &T::cuMemcpyAtoD_v2_ptds,
       &T::cuMemcpyHtoA_v2_ptds, &T::cuMemcpyAtoH_v2_ptds, &T::cuMemcpyAtoA_v2_ptds,
       &T::cuMemcpyHtoAAsync_v2_ptsz, &T::cuMemcpyAtoHAsync_v2_ptsz, &T::cuMemcpy2D_v2_ptds,
       &T::cuMemcpy2DUnaligned_v2_ptds, &T::cuMemcpy3D_v2_ptds, &T::cuMemcpyDtoDAsync_v2_ptsz,
       &T::cuMemcpy2DAsync_v2_ptsz, &T::cuMemcpy3DAsync_v2_ptsz, &T::cuMemsetD8_v2_ptds,
       &T::cuMemsetD16_v2_ptds, &T::cuMemsetD32_v2_ptds, &T::cuMemsetD2D8_v2_ptds, &T::cuMemsetD2D16_v2_ptds,
       &T::cuMemsetD2D32_v2_ptds, &T::cuMemcpy_ptds, &T::cuMemcpyAsync_ptsz, &T::cuMemcpyPeer_ptds,
       &T::cuMemcpyPeerAsync_ptsz, &T::cuMemcpy3DPeer_ptds, &T::cuMemcpy3DPeerAsync_ptsz,
       &T::cuMemcpyBatchAsync_ptsz, &T::cuMemcpy3DBatchAsync_ptsz, &T::cuMemcpyBatchAsync_v2_ptsz,
       &T::cuMemcpy3DBatchAsync_v2_ptsz, &T::cuMemsetD8Async_ptsz, &T::cuMemsetD16Async_ptsz,
       &T::cuMemsetD32Async_ptsz, &T::cuMemsetD2D8Async_ptsz, &T::cuMemsetD2D16Async_ptsz,
       &T::cuMemsetD2D32Async_ptsz, &T::cuMemPrefetchAsync_ptsz, &T::cuMemPrefetchAsync_v2_ptsz,
       &T::cuMemPrefetchBatchAsync_ptsz>(upper, lower);
}

}  // namespace tessera::vgpu
