// Copies and sets of memory: passed on as they are, once they may begin, and counted by their bytes after
// that.
#include "virtualization/vgpu/copied_bytes.h"
#include "virtualization/vgpu/gated_copies.h"
#include "virtualization/vgpu/paced_copies.h"

namespace tessera::vgpu {
namespace {

using T = cuda::DriverTable;

template <typename Copied, bool PerThread, auto Entry>
struct Copy;
template <typename Copied, bool PerThread, typename... Args, CUresult (*T::*Entry)(Args...)>
struct Copy<Copied, PerThread, Entry> {
  // What it waits for its pace it does outside of Touching: its memory may leave the device meanwhile.
  static CUresult call(Args... args) {
    CopyPace* pace = active_vgpu->copy_pace();
    if (pace == nullptr || is_captured<PerThread>(args...)) [[likely]]
      return once(args...);
    return copy_at_pace<Copied>(*pace, &once, args...);
  }
  static CUresult once(Args... args) {
    const Vgpu::Touching touching(*active_vgpu);
    if (touching.refused != CUDA_SUCCESS) return touching.refused;
    wait_to_copy<PerThread>(args...);
    const CUresult result = (lower().*Entry)(args...);
    if (result == CUDA_SUCCESS && !is_captured<PerThread>(args...)) Copied::visit(&count_copied, args...);
    note_fault(result);
    return result;
  }
};

// The installed entries of one kind.
template <typename Copied, bool PerThread, auto... Entries>
void copy(T& upper, const T& lower) {
  (replace<Entries, &Copy<Copied, PerThread, Entries>::call>(upper, lower), ...);
}

using ToDevice = CopiedBySize<CopyWay::kToDevice>;
using FromDevice = CopiedBySize<CopyWay::kFromDevice>;
using OnDevice = CopiedBySize<CopyWay::kOnDevice>;

void install_copies_of_named_ways(T& upper, const T& lower) {
  copy<ToDevice, false, &T::cuMemcpyHtoD, &T::cuMemcpyHtoDAsync, &T::cuMemcpyHtoA, &T::cuMemcpyHtoAAsync,
       &T::cuMemcpyHtoD_v2, &T::cuMemcpyHtoDAsync_v2, &T::cuMemcpyHtoA_v2, &T::cuMemcpyHtoAAsync_v2>(upper,
                                                                                                     lower);
  copy<ToDevice, true, &T::cuMemcpyHtoD_v2_ptds, &T::cuMemcpyHtoDAsync_v2_ptsz, &T::cuMemcpyHtoA_v2_ptds,
       &T::cuMemcpyHtoAAsync_v2_ptsz>(upper, lower);
  copy<FromDevice, false, &T::cuMemcpyDtoH, &T::cuMemcpyDtoHAsync, &T::cuMemcpyAtoH, &T::cuMemcpyAtoHAsync,
       &T::cuMemcpyDtoH_v2, &T::cuMemcpyDtoHAsync_v2, &T::cuMemcpyAtoH_v2, &T::cuMemcpyAtoHAsync_v2>(upper,
                                                                                                     lower);
  copy<FromDevice, true, &T::cuMemcpyDtoH_v2_ptds, &T::cuMemcpyDtoHAsync_v2_ptsz, &T::cuMemcpyAtoH_v2_ptds,
       &T::cuMemcpyAtoHAsync_v2_ptsz>(upper, lower);
  copy<OnDevice, false, &T::cuMemcpyDtoD, &T::cuMemcpyDtoDAsync, &T::cuMemcpyDtoA, &T::cuMemcpyAtoD,
       &T::cuMemcpyAtoA, &T::cuMemcpyDtoD_v2, &T::cuMemcpyDtoDAsync_v2, &T::cuMemcpyDtoA_v2,
       &T::cuMemcpyAtoD_v2, &T::cuMemcpyAtoA_v2, &T::cuMemcpyPeer, &T::cuMemcpyPeerAsync>(upper, lower);
  copy<OnDevice, true, &T::cuMemcpyDtoD_v2_ptds, &T::cuMemcpyDtoDAsync_v2_ptsz, &T::cuMemcpyDtoA_v2_ptds,
       &T::cuMemcpyAtoD_v2_ptds, &T::cuMemcpyAtoA_v2_ptds, &T::cuMemcpyPeer_ptds, &T::cuMemcpyPeerAsync_ptsz>(
      upper, lower);
}

void install_other_copies(T& upper, const T& lower) {
  copy<CopiedByAddress, false, &T::cuMemcpy, &T::cuMemcpyAsync>(upper, lower);
  copy<CopiedByAddress, true, &T::cuMemcpy_ptds, &T::cuMemcpyAsync_ptsz>(upper, lower);
  copy<CopiedByShape, false, &T::cuMemcpy2D, &T::cuMemcpy2DUnaligned, &T::cuMemcpy3D, &T::cuMemcpy2DAsync,
       &T::cuMemcpy3DAsync, &T::cuMemcpy2D_v2, &T::cuMemcpy2DUnaligned_v2, &T::cuMemcpy3D_v2,
       &T::cuMemcpy2DAsync_v2, &T::cuMemcpy3DAsync_v2, &T::cuMemcpy3DPeer, &T::cuMemcpy3DPeerAsync>(upper,
                                                                                                    lower);
  copy<CopiedByShape, true, &T::cuMemcpy2D_v2_ptds, &T::cuMemcpy2DUnaligned_v2_ptds, &T::cuMemcpy3D_v2_ptds,
       &T::cuMemcpy2DAsync_v2_ptsz, &T::cuMemcpy3DAsync_v2_ptsz, &T::cuMemcpy3DPeer_ptds,
       &T::cuMemcpy3DPeerAsync_ptsz>(upper, lower);
  copy<CopiedInBatch, false, &T::cuMemcpyBatchAsync, &T::cuMemcpyBatchAsync_v2>(upper, lower);
  copy<CopiedInBatch, true, &T::cuMemcpyBatchAsync_ptsz, &T::cuMemcpyBatchAsync_v2_ptsz>(upper, lower);
  copy<CopiedInShapedBatch, false, &T::cuMemcpy3DBatchAsync, &T::cuMemcpy3DBatchAsync_v2>(upper, lower);
  copy<CopiedInShapedBatch, true, &T::cuMemcpy3DBatchAsync_ptsz, &T::cuMemcpy3DBatchAsync_v2_ptsz>(upper,
                                                                                                   lower);
  copy<NotCounted, false, &T::cuMemPrefetchAsync, &T::cuMemPrefetchAsync_v2, &T::cuMemPrefetchBatchAsync>(
      upper, lower);
  copy<NotCounted, true, &T::cuMemPrefetchAsync_ptsz, &T::cuMemPrefetchAsync_v2_ptsz,
       &T::cuMemPrefetchBatchAsync_ptsz>(upper, lower);
}

void install_sets(T& upper, const T& lower) {
  copy<NotCounted, false, &T::cuMemsetD8, &T::cuMemsetD16, &T::cuMemsetD32, &T::cuMemsetD2D8,
       &T::cuMemsetD2D16, &T::cuMemsetD2D32, &T::cuMemsetD8_v2, &T::cuMemsetD16_v2, &T::cuMemsetD32_v2,
       &T::cuMemsetD2D8_v2, &T::cuMemsetD2D16_v2, &T::cuMemsetD2D32_v2, &T::cuMemsetD8Async,
       &T::cuMemsetD16Async, &T::cuMemsetD32Async, &T::cuMemsetD2D8Async, &T::cuMemsetD2D16Async,
       &T::cuMemsetD2D32Async>(upper, lower);
  copy<NotCounted, true, &T::cuMemsetD8_v2_ptds, &T::cuMemsetD16_v2_ptds, &T::cuMemsetD32_v2_ptds,
       &T::cuMemsetD2D8_v2_ptds, &T::cuMemsetD2D16_v2_ptds, &T::cuMemsetD2D32_v2_ptds,
       &T::cuMemsetD8Async_ptsz, &T::cuMemsetD16Async_ptsz, &T::cuMemsetD32Async_ptsz,
       &T::cuMemsetD2D8Async_ptsz, &T::cuMemsetD2D16Async_ptsz, &T::cuMemsetD2D32Async_ptsz>(upper, lower);
}

}  // namespace

void install_copy_calls(T& upper, const T& lower) {
  install_copies_of_named_ways(upper, lower);
  install_other_copies(upper, lower);
  install_sets(upper, lower);
}

}  // namespace tessera::vgpu
