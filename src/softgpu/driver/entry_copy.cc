// Copies and sets.
#include "cuda/abi.h"
#include "softgpu/driver/copy.h"
#include "softgpu/driver/entry.h"
#include "softgpu/driver/handle_registry.h"
#include "softgpu/driver/stream.h"

using namespace tessera::softgpu;  // NOLINT: the C interface of that namespace

namespace {

uint64_t address_of(const void* pointer) { return reinterpret_cast<uint64_t>(pointer); }

CUresult run_copy(CUstream hStream, const CopyRequest& request, bool wait) {
  std::shared_ptr<Stream> stream;
  SOFTGPU_RETURN_IF_ERROR(stream_of(hStream, &stream));
  return copy(*stream, request, wait);
}

CUresult linear(uint64_t dst, Side dst_side, uint64_t src, Side src_side, size_t bytes, CUstream hStream,
                bool wait) {
  return guarded(
      [&] { return run_copy(hStream, linear_request(dst, dst_side, src, src_side, bytes), wait); });
}

template <typename Description>
CUresult shaped(const Description* description, CUstream hStream, bool wait) {
  return guarded([&]() -> CUresult {
    if (description == nullptr) return CUDA_ERROR_INVALID_VALUE;
    CopyRequest request;
    SOFTGPU_RETURN_IF_ERROR(request_of(*description, &request));
    return run_copy(hStream, request, wait);
  });
}

CUresult peer(CUdeviceptr dst, CUcontext dst_context, CUdeviceptr src, CUcontext src_context, size_t bytes,
              CUstream hStream, bool wait) {
  return guarded([&]() -> CUresult {
    for (CUcontext handle : {dst_context, src_context}) {
      std::shared_ptr<Context> context;
      SOFTGPU_RETURN_IF_ERROR(context_of(handle, &context));
    }
    // Both are addresses that a device sees: one that the driver does not know is not followed.
    return run_copy(hStream, linear_request(dst, Side::kDevice, src, Side::kDevice, bytes), wait);
  });
}

CUresult set(CUdeviceptr dst, uint32_t value, size_t element, size_t width, size_t height, size_t pitch,
             CUstream hStream, bool wait) {
  return guarded([&]() -> CUresult {
    std::shared_ptr<Stream> stream;
    SOFTGPU_RETURN_IF_ERROR(stream_of(hStream, &stream));
    return fill(*stream, {dst, value, element, width, height, pitch}, wait);
  });
}

constexpr bool kWait = true;
constexpr bool kAsync = false;
constexpr CUstream kDefaultStream = nullptr;

}  // namespace

extern "C" {

CUresult cuMemcpyHtoD_v2(CUdeviceptr dstDevice, const void* srcHost, size_t ByteCount) {
  return linear(dstDevice, Side::kDevice, address_of(srcHost), Side::kHost, ByteCount, kDefaultStream, kWait);
}
CUresult cuMemcpyDtoH_v2(void* dstHost, CUdeviceptr srcDevice, size_t ByteCount) {
  return linear(address_of(dstHost), Side::kHost, srcDevice, Side::kDevice, ByteCount, kDefaultStream, kWait);
}
CUresult cuMemcpyDtoD_v2(CUdeviceptr dstDevice, CUdeviceptr srcDevice, size_t ByteCount) {
  return linear(dstDevice, Side::kDevice, srcDevice, Side::kDevice, ByteCount, kDefaultStream, kWait);
}
CUresult cuMemcpy(CUdeviceptr dst, CUdeviceptr src, size_t ByteCount) {
  return linear(dst, Side::kUnified, src, Side::kUnified, ByteCount, kDefaultStream, kWait);
}
CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr dstDevice, const void* srcHost, size_t ByteCount,
                              CUstream hStream) {
  return linear(dstDevice, Side::kDevice, address_of(srcHost), Side::kHost, ByteCount, hStream, kAsync);
}
CUresult cuMemcpyDtoHAsync_v2(void* dstHost, CUdeviceptr srcDevice, size_t ByteCount, CUstream hStream) {
  return linear(address_of(dstHost), Side::kHost, srcDevice, Side::kDevice, ByteCount, hStream, kAsync);
}
CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr dstDevice, CUdeviceptr srcDevice, size_t ByteCount,
                              CUstream hStream) {
  return linear(dstDevice, Side::kDevice, srcDevice, Side::kDevice, ByteCount, hStream, kAsync);
}
CUresult cuMemcpyAsync(CUdeviceptr dst, CUdeviceptr src, size_t ByteCount, CUstream hStream) {
  return linear(dst, Side::kUnified, src, Side::kUnified, ByteCount, hStream, kAsync);
}

CUresult cuMemcpyPeer(CUdeviceptr dstDevice, CUcontext dstContext, CUdeviceptr srcDevice,
                      CUcontext srcContext, size_t ByteCount) {
  return peer(dstDevice, dstContext, srcDevice, srcContext, ByteCount, kDefaultStream, kWait);
}
CUresult cuMemcpyPeerAsync(CUdeviceptr dstDevice, CUcontext dstContext, CUdeviceptr srcDevice,
                           CUcontext srcContext, size_t ByteCount, CUstream hStream) {
  return peer(dstDevice, dstContext, srcDevice, srcContext, ByteCount, hStream, kAsync);
}

CUresult cuMemcpy2D_v2(const CUDA_MEMCPY2D* pCopy) { return shaped(pCopy, kDefaultStream, kWait); }
CUresult cuMemcpy2DUnaligned_v2(const CUDA_MEMCPY2D* pCopy) { return shaped(pCopy, kDefaultStream, kWait); }
CUresult cuMemcpy2DAsync_v2(const CUDA_MEMCPY2D* pCopy, CUstream hStream) {
  return shaped(pCopy, hStream, kAsync);
}
CUresult cuMemcpy3D_v2(const CUDA_MEMCPY3D* pCopy) { return shaped(pCopy, kDefaultStream, kWait); }
CUresult cuMemcpy3DAsync_v2(const CUDA_MEMCPY3D* pCopy, CUstream hStream) {
  return shaped(pCopy, hStream, kAsync);
}
CUresult cuMemcpy3DPeer(const CUDA_MEMCPY3D_PEER* pCopy) { return shaped(pCopy, kDefaultStream, kWait); }
CUresult cuMemcpy3DPeerAsync(const CUDA_MEMCPY3D_PEER* pCopy, CUstream hStream) {
  return shaped(pCopy, hStream, kAsync);
}

CUresult cuMemsetD8_v2(CUdeviceptr dstDevice, unsigned char uc, size_t N) {
  return set(dstDevice, uc, 1, N, 1, 0, kDefaultStream, kWait);
}
CUresult cuMemsetD16_v2(CUdeviceptr dstDevice, unsigned short us, size_t N) {
  return set(dstDevice, us, 2, N, 1, 0, kDefaultStream, kWait);
}
CUresult cuMemsetD32_v2(CUdeviceptr dstDevice, unsigned int ui, size_t N) {
  return set(dstDevice, ui, 4, N, 1, 0, kDefaultStream, kWait);
}
CUresult cuMemsetD8Async(CUdeviceptr dstDevice, unsigned char uc, size_t N, CUstream hStream) {
  return set(dstDevice, uc, 1, N, 1, 0, hStream, kAsync);
}
CUresult cuMemsetD16Async(CUdeviceptr dstDevice, unsigned short us, size_t N, CUstream hStream) {
  return set(dstDevice, us, 2, N, 1, 0, hStream, kAsync);
}
CUresult cuMemsetD32Async(CUdeviceptr dstDevice, unsigned int ui, size_t N, CUstream hStream) {
  return set(dstDevice, ui, 4, N, 1, 0, hStream, kAsync);
}
CUresult cuMemsetD2D8_v2(CUdeviceptr dstDevice, size_t dstPitch, unsigned char uc, size_t Width,
                         size_t Height) {
  return set(dstDevice, uc, 1, Width, Height, dstPitch, kDefaultStream, kWait);
}
CUresult cuMemsetD2D16_v2(CUdeviceptr dstDevice, size_t dstPitch, unsigned short us, size_t Width,
                          size_t Height) {
  return set(dstDevice, us, 2, Width, Height, dstPitch, kDefaultStream, kWait);
}
CUresult cuMemsetD2D32_v2(CUdeviceptr dstDevice, size_t dstPitch, unsigned int ui, size_t Width,
                          size_t Height) {
  return set(dstDevice, ui, 4, Width, Height, dstPitch, kDefaultStream, kWait);
}
CUresult cuMemsetD2D8Async(CUdeviceptr dstDevice, size_t dstPitch, unsigned char uc, size_t Width,
                           size_t Height, CUstream hStream) {
  return set(dstDevice, uc, 1, Width, Height, dstPitch, hStream, kAsync);
}
CUresult cuMemsetD2D16Async(CUdeviceptr dstDevice, size_t dstPitch, unsigned short us, size_t Width,
                            size_t Height, CUstream hStream) {
  return set(dstDevice, us, 2, Width, Height, dstPitch, hStream, kAsync);
}
CUresult cuMemsetD2D32Async(CUdeviceptr dstDevice, size_t dstPitch, unsigned int ui, size_t Width,
                            size_t Height, CUstream hStream) {
  return set(dstDevice, ui, 4, Width, Height, dstPitch, hStream, kAsync);
}

}  // extern "C"
