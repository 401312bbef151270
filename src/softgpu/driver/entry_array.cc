// CUDA arrays and mipmapped arrays.
#include "cuda/abi.h"
#include "softgpu/driver/array.h"
#include "softgpu/driver/entry.h"
#include "softgpu/driver/state.h"

using namespace tessera::softgpu;  // NOLINT: the C interface of that namespace

namespace {

// What only arrays of another kind have: for every array there is here, CUDA_ERROR_INVALID_VALUE.
template <typename Handle, typename Object>
CUresult other_kind(Handle handle, CUresult (*find)(Handle, std::shared_ptr<Object>*)) {
  return in_context([&](Context&) -> CUresult {
    std::shared_ptr<Object> array;
    SOFTGPU_RETURN_IF_ERROR(find(handle, &array));
    return CUDA_ERROR_INVALID_VALUE;
  });
}

}  // namespace

extern "C" {

CUresult cuArrayCreate_v2(CUarray* pHandle, const CUDA_ARRAY_DESCRIPTOR* pAllocateArray) {
  return in_context([&](Context& context) -> CUresult {
    if (pHandle == nullptr || pAllocateArray == nullptr) return CUDA_ERROR_INVALID_VALUE;
    const CUDA_ARRAY_DESCRIPTOR& d = *pAllocateArray;
    return create_array(context, {d.Width, d.Height, 0, d.Format, d.NumChannels, 0}, pHandle);
  });
}

CUresult cuArray3DCreate_v2(CUarray* pHandle, const CUDA_ARRAY3D_DESCRIPTOR* pAllocateArray) {
  return in_context([&](Context& context) -> CUresult {
    if (pHandle == nullptr || pAllocateArray == nullptr) return CUDA_ERROR_INVALID_VALUE;
    return create_array(context, *pAllocateArray, pHandle);
  });
}

CUresult cuArrayGetDescriptor_v2(CUDA_ARRAY_DESCRIPTOR* pArrayDescriptor, CUarray hArray) {
  return in_context([&](Context&) -> CUresult {
    if (pArrayDescriptor == nullptr) return CUDA_ERROR_INVALID_VALUE;
    std::shared_ptr<Array> array;
    SOFTGPU_RETURN_IF_ERROR(array_of(hArray, &array));
    const CUDA_ARRAY3D_DESCRIPTOR& d = array->shape().descriptor;
    *pArrayDescriptor = {d.Width, d.Height, d.Format, d.NumChannels};
    return CUDA_SUCCESS;
  });
}

CUresult cuArray3DGetDescriptor_v2(CUDA_ARRAY3D_DESCRIPTOR* pArrayDescriptor, CUarray hArray) {
  return in_context([&](Context&) -> CUresult {
    if (pArrayDescriptor == nullptr) return CUDA_ERROR_INVALID_VALUE;
    std::shared_ptr<Array> array;
    SOFTGPU_RETURN_IF_ERROR(array_of(hArray, &array));
    *pArrayDescriptor = array->shape().descriptor;
    return CUDA_SUCCESS;
  });
}

CUresult cuArrayDestroy(CUarray hArray) {
  return in_context([&](Context&) { return destroy_array(hArray); });
}

CUresult cuMipmappedArrayCreate(CUmipmappedArray* pHandle, const CUDA_ARRAY3D_DESCRIPTOR* pMipmappedArrayDesc,
                                unsigned int numMipmapLevels) {
  return in_context([&](Context& context) -> CUresult {
    if (pHandle == nullptr || pMipmappedArrayDesc == nullptr) return CUDA_ERROR_INVALID_VALUE;
    return create_mipmapped_array(context, *pMipmappedArrayDesc, numMipmapLevels, pHandle);
  });
}

CUresult cuMipmappedArrayGetLevel(CUarray* pLevelArray, CUmipmappedArray hMipmappedArray,
                                  unsigned int level) {
  return in_context([&](Context&) -> CUresult {
    std::shared_ptr<MipmappedArray> array;
    SOFTGPU_RETURN_IF_ERROR(mipmapped_array_of(hMipmappedArray, &array));
    if (pLevelArray == nullptr || level >= array->levels().size()) return CUDA_ERROR_INVALID_VALUE;
    *pLevelArray = array->levels()[level]->handle();
    return CUDA_SUCCESS;
  });
}

CUresult cuMipmappedArrayDestroy(CUmipmappedArray hMipmappedArray) {
  return in_context([&](Context&) { return destroy_mipmapped_array(hMipmappedArray); });
}

// Only sparse arrays, arrays whose memory is mapped later, and planar formats have these: none is made here.
CUresult cuArrayGetSparseProperties(CUDA_ARRAY_SPARSE_PROPERTIES*, CUarray array) {
  return other_kind(array, array_of);
}
CUresult cuMipmappedArrayGetSparseProperties(CUDA_ARRAY_SPARSE_PROPERTIES*, CUmipmappedArray mipmap) {
  return other_kind(mipmap, mipmapped_array_of);
}
CUresult cuArrayGetMemoryRequirements(CUDA_ARRAY_MEMORY_REQUIREMENTS*, CUarray array, CUdevice) {
  return other_kind(array, array_of);
}
CUresult cuMipmappedArrayGetMemoryRequirements(CUDA_ARRAY_MEMORY_REQUIREMENTS*, CUmipmappedArray mipmap,
                                               CUdevice) {
  return other_kind(mipmap, mipmapped_array_of);
}
CUresult cuArrayGetPlane(CUarray*, CUarray hArray, unsigned int) { return other_kind(hArray, array_of); }

}  // extern "C"
