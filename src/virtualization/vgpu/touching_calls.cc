// Calls, other than launches and copies, that need a process's memory on the device: the driver looks at the
// addresses that they name, or reads and writes there.
#include "virtualization/vgpu/calls.h"

namespace tessera::vgpu {
namespace {

using T = cuda::DriverTable;

template <auto Entry>
struct Touch;
template <typename... Args, CUresult (*T::*Entry)(Args...)>
struct Touch<Entry> {
  static inline CUresult (*inner)(Args...) = nullptr;  // set once, before the program has the table

  static CUresult call(Args... args) {
    const Vgpu::Touching touching(*active_vgpu);
    return touching.refused != CUDA_SUCCESS ? touching.refused : inner(args...);
  }
};

template <auto... Entries>
void touch(T& upper) {
  const auto one = []<auto Entry>(T & table) {
    if (table.*Entry == nullptr) return;
    Touch<Entry>::inner = table.*Entry;
    table.*Entry = &Touch<Entry>::call;
  };
  (one.template operator()<Entries>(upper), ...);
}

}  // namespace

void install_touching_calls(T& upper) {
  touch<&T::cuPointerGetAttribute, &T::cuPointerGetAttributes, &T::cuPointerSetAttribute,
        &T::cuMemGetHandleForAddressRange, &T::cuTexObjectCreate, &T::cuTexRefSetAddress_v2,
        &T::cuTexRefSetAddress2D_v2, &T::cuTexRefSetAddress2D_v3>(upper);
  touch<&T::cuStreamWriteValue32, &T::cuStreamWaitValue32, &T::cuStreamWriteValue64, &T::cuStreamWaitValue64,
        &T::cuStreamBatchMemOp, &T::cuStreamWriteValue32_ptsz, &T::cuStreamWaitValue32_ptsz,
        &T::cuStreamWriteValue64_ptsz, &T::cuStreamWaitValue64_ptsz, &T::cuStreamBatchMemOp_ptsz,
        &T::cuStreamWriteValue32_v2, &T::cuStreamWaitValue32_v2, &T::cuStreamWriteValue64_v2,
        &T::cuStreamWaitValue64_v2, &T::cuStreamBatchMemOp_v2, &T::cuStreamWriteValue32_v2_ptsz,
        &T::cuStreamWaitValue32_v2_ptsz, &T::cuStreamWriteValue64_v2_ptsz, &T::cuStreamWaitValue64_v2_ptsz,
        &T::cuStreamBatchMemOp_v2_ptsz>(upper);
  touch<&T::cuGraphAddMemcpyNode, &T::cuGraphMemcpyNodeSetParams, &T::cuGraphAddMemsetNode,
        &T::cuGraphMemsetNodeSetParams, &T::cuGraphAddBatchMemOpNode, &T::cuGraphExecBatchMemOpNodeSetParams,
        &T::cuGraphExecMemcpyNodeSetParams, &T::cuGraphExecMemsetNodeSetParams, &T::cuGraphAddNode,
        &T::cuGraphAddNode_v2, &T::cuGraphNodeSetParams, &T::cuGraphExecNodeSetParams, &T::cuGraphInstantiate,
        &T::cuGraphInstantiate_v2, &T::cuGraphInstantiateWithFlags, &T::cuGraphInstantiateWithParams,
        &T::cuGraphInstantiateWithParams_ptsz, &T::cuGraphExecUpdate, &T::cuGraphExecUpdate_v2,
        &T::cuGraphUpload, &T::cuGraphUpload_ptsz>(upper);
  // What a captured copy names is looked at, too; and while a stream is captured nothing leaves the device.
  touch<&T::cuStreamBeginCapture, &T::cuStreamBeginCapture_ptsz, &T::cuStreamBeginCapture_v2,
        &T::cuStreamBeginCapture_v2_ptsz, &T::cuStreamBeginCaptureToGraph,
        &T::cuStreamBeginCaptureToGraph_ptsz>(upper);
}

}  // namespace tessera::vgpu
