// Memory and arrays in the forms from before CUDA 3.2. They do what today's forms do; addresses that do not
// fit into their 32 bits are refused.
#include "cuda/abi.h"
#include "softgpu/driver/entry.h"
#include "softgpu/driver/narrow.h"

using namespace tessera::softgpu;  // NOLINT: the C interface of that namespace

namespace {

// What was allocated for a 32-bit address goes back where it has none.
CUresult hand_out(CUdeviceptr address, CUdeviceptr_v1* dptr) {
  const CUresult result = narrow_address(address, dptr);
  if (result != CUDA_SUCCESS) cuMemFree_v2(address);
  return result;
}

CUDA_ARRAY_DESCRIPTOR_v1 narrowed(const CUDA_ARRAY_DESCRIPTOR& wide) {
  return {narrow_size(wide.Width), narrow_size(wide.Height), wide.Format, wide.NumChannels};
}

}  // namespace

extern "C" {

CUresult cuMemGetInfo(unsigned int* free, unsigned int* total) {
  if (free == nullptr || total == nullptr) return CUDA_ERROR_INVALID_VALUE;
  size_t wide_free = 0, wide_total = 0;
  SOFTGPU_RETURN_IF_ERROR(cuMemGetInfo_v2(&wide_free, &wide_total));
  *free = narrow_size(wide_free);
  *total = narrow_size(wide_total);
  return CUDA_SUCCESS;
}

CUresult cuMemAlloc(CUdeviceptr_v1* dptr, unsigned int bytesize) {
  if (dptr == nullptr) return CUDA_ERROR_INVALID_VALUE;
  CUdeviceptr address = 0;
  SOFTGPU_RETURN_IF_ERROR(cuMemAlloc_v2(&address, bytesize));
  return hand_out(address, dptr);
}

CUresult cuMemAllocPitch(CUdeviceptr_v1* dptr, unsigned int* pPitch, unsigned int WidthInBytes,
                         unsigned int Height, unsigned int ElementSizeBytes) {
  if (dptr == nullptr || pPitch == nullptr) return CUDA_ERROR_INVALID_VALUE;
  CUdeviceptr address = 0;
  size_t pitch = 0;
  SOFTGPU_RETURN_IF_ERROR(cuMemAllocPitch_v2(&address, &pitch, WidthInBytes, Height, ElementSizeBytes));
  *pPitch = narrow_size(pitch);
  return hand_out(address, dptr);
}

CUresult cuMemFree(CUdeviceptr_v1 dptr) { return cuMemFree_v2(dptr); }

CUresult cuMemGetAddressRange(CUdeviceptr_v1* pbase, unsigned int* psize, CUdeviceptr_v1 dptr) {
  CUdeviceptr base = 0;
  size_t size = 0;
  SOFTGPU_RETURN_IF_ERROR(cuMemGetAddressRange_v2(&base, &size, dptr));
  if (psize != nullptr) *psize = narrow_size(size);
  return pbase != nullptr ? narrow_address(base, pbase) : CUDA_SUCCESS;
}

CUresult cuMemAllocHost(void** pp, unsigned int bytesize) { return cuMemAllocHost_v2(pp, bytesize); }
CUresult cuMemHostRegister(void* p, size_t bytesize, unsigned int Flags) {
  return cuMemHostRegister_v2(p, bytesize, Flags);
}
CUresult cuMemHostGetDevicePointer(CUdeviceptr_v1* pdptr, void* p, unsigned int Flags) {
  if (pdptr == nullptr) return CUDA_ERROR_INVALID_VALUE;
  CUdeviceptr address = 0;
  SOFTGPU_RETURN_IF_ERROR(cuMemHostGetDevicePointer_v2(&address, p, Flags));
  return narrow_address(address, pdptr);
}

CUresult cuModuleGetGlobal(CUdeviceptr_v1* dptr, unsigned int* bytes, CUmodule hmod, const char* name) {
  CUdeviceptr address = 0;
  size_t size = 0;
  SOFTGPU_RETURN_IF_ERROR(cuModuleGetGlobal_v2(&address, &size, hmod, name));
  if (bytes != nullptr) *bytes = narrow_size(size);
  return dptr != nullptr ? narrow_address(address, dptr) : CUDA_SUCCESS;
}

CUresult cuArrayCreate(CUarray* pHandle, const CUDA_ARRAY_DESCRIPTOR_v1* pAllocateArray) {
  if (pAllocateArray == nullptr) return CUDA_ERROR_INVALID_VALUE;
  const CUDA_ARRAY_DESCRIPTOR wide{pAllocateArray->Width, pAllocateArray->Height, pAllocateArray->Format,
                                   pAllocateArray->NumChannels};
  return cuArrayCreate_v2(pHandle, &wide);
}
CUresult cuArrayGetDescriptor(CUDA_ARRAY_DESCRIPTOR_v1* pArrayDescriptor, CUarray hArray) {
  if (pArrayDescriptor == nullptr) return CUDA_ERROR_INVALID_VALUE;
  CUDA_ARRAY_DESCRIPTOR wide{};
  SOFTGPU_RETURN_IF_ERROR(cuArrayGetDescriptor_v2(&wide, hArray));
  *pArrayDescriptor = narrowed(wide);
  return CUDA_SUCCESS;
}

CUresult cuArray3DCreate(CUarray* pHandle, const CUDA_ARRAY3D_DESCRIPTOR_v1* pAllocateArray) {
  if (pAllocateArray == nullptr) return CUDA_ERROR_INVALID_VALUE;
  const CUDA_ARRAY3D_DESCRIPTOR_v1& narrow = *pAllocateArray;
  const CUDA_ARRAY3D_DESCRIPTOR wide{narrow.Width,  narrow.Height,      narrow.Depth,
                                     narrow.Format, narrow.NumChannels, narrow.Flags};
  return cuArray3DCreate_v2(pHandle, &wide);
}
CUresult cuArray3DGetDescriptor(CUDA_ARRAY3D_DESCRIPTOR_v1* pArrayDescriptor, CUarray hArray) {
  if (pArrayDescriptor == nullptr) return CUDA_ERROR_INVALID_VALUE;
  CUDA_ARRAY3D_DESCRIPTOR wide{};
  SOFTGPU_RETURN_IF_ERROR(cuArray3DGetDescriptor_v2(&wide, hArray));
  *pArrayDescriptor = {narrow_size(wide.Width), narrow_size(wide.Height),
                       narrow_size(wide.Depth), wide.Format,
                       wide.NumChannels,        wide.Flags};
  return CUDA_SUCCESS;
}

}  // extern "C"
