// Peer access: kernels of one device in the memory of another. All devices of a process share its address
// space, so every pair can.
#include "cuda/abi.h"
#include "softgpu/driver/device.h"
#include "softgpu/driver/entry.h"
#include "softgpu/driver/handle_registry.h"
#include "softgpu/driver/visibility.h"

using namespace tessera::softgpu;  // NOLINT: the C interface of that namespace

namespace {

// Of two devices. CUDA says INVALID_DEVICE where they are the same one.
CUresult find_pair(CUdevice first, CUdevice second) {
  Device* device = nullptr;
  SOFTGPU_RETURN_IF_ERROR(find_device(first, &device));
  SOFTGPU_RETURN_IF_ERROR(find_device(second, &device));
  return first == second ? CUDA_ERROR_INVALID_DEVICE : CUDA_SUCCESS;
}

// Runs `body(current, peer)` for a context that can be a peer of the current one.
template <typename Body>
CUresult with_peer(CUcontext handle, Body&& body) {
  return in_context([&](Context& context) -> CUresult {
    const std::shared_ptr<Context> peer = live<Context>().find(handle);
    if (!peer || peer.get() == &context || peer->status() == CUDA_ERROR_CONTEXT_IS_DESTROYED)
      return CUDA_ERROR_INVALID_CONTEXT;
    return body(context, *peer);
  });
}

}  // namespace

extern "C" {

CUresult cuDeviceCanAccessPeer(int* canAccessPeer, CUdevice dev, CUdevice peerDev) {
  return guarded([&]() -> CUresult {
    SOFTGPU_RETURN_IF_ERROR(find_pair(dev, peerDev));
    if (canAccessPeer == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *canAccessPeer = 1;
    return CUDA_SUCCESS;
  });
}

CUresult cuDeviceGetP2PAttribute(int* value, CUdevice_P2PAttribute attrib, CUdevice srcDevice,
                                 CUdevice dstDevice) {
  return guarded([&]() -> CUresult {
    SOFTGPU_RETURN_IF_ERROR(find_pair(srcDevice, dstDevice));
    if (value == nullptr) return CUDA_ERROR_INVALID_VALUE;
    switch (attrib) {
      case CU_DEVICE_P2P_ATTRIBUTE_ACCESS_SUPPORTED:
      case CU_DEVICE_P2P_ATTRIBUTE_NATIVE_ATOMIC_SUPPORTED:  // the processor's own
        *value = 1;
        return CUDA_SUCCESS;
      case CU_DEVICE_P2P_ATTRIBUTE_PERFORMANCE_RANK:  // all links are the same memory
      case CU_DEVICE_P2P_ATTRIBUTE_CUDA_ARRAY_ACCESS_SUPPORTED:
      case CU_DEVICE_P2P_ATTRIBUTE_ONLY_PARTIAL_NATIVE_ATOMIC_SUPPORTED:
        *value = 0;
        return CUDA_SUCCESS;
    }
    return CUDA_ERROR_INVALID_VALUE;
  });
}

CUresult cuCtxEnablePeerAccess(CUcontext peerContext, unsigned int Flags) {
  return with_peer(peerContext, [&](Context& context, Context& peer) -> CUresult {
    if (Flags != 0) return CUDA_ERROR_INVALID_VALUE;
    if (&context.device() == &peer.device()) return CUDA_ERROR_PEER_ACCESS_UNSUPPORTED;
    return enable_peer_access(context, peer);
  });
}

CUresult cuCtxDisablePeerAccess(CUcontext peerContext) {
  return with_peer(peerContext,
                   [](Context& context, Context& peer) { return disable_peer_access(context, peer); });
}

}  // extern "C"
