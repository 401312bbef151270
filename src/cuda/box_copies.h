// Copies of boxes: one form of them as another. CUDA has described them in six ways.
#pragma once

#include "cuda/abi.h"

namespace tessera::cuda {

// Of a plane, of a box, or of one between devices, in today's form or in that of CUDA 2, with addresses and
// sizes of 32 bits.
template <typename From>
CUDA_MEMCPY3D box_of(const From& from) {
  CUDA_MEMCPY3D box{};
  box.srcXInBytes = from.srcXInBytes;
  box.srcY = from.srcY;
  box.srcMemoryType = from.srcMemoryType;
  box.srcHost = from.srcHost;
  box.srcDevice = from.srcDevice;
  box.srcArray = from.srcArray;
  box.srcPitch = from.srcPitch;
  box.dstXInBytes = from.dstXInBytes;
  box.dstY = from.dstY;
  box.dstMemoryType = from.dstMemoryType;
  box.dstHost = from.dstHost;
  box.dstDevice = from.dstDevice;
  box.dstArray = from.dstArray;
  box.dstPitch = from.dstPitch;
  box.WidthInBytes = from.WidthInBytes;
  box.Height = from.Height;
  box.Depth = 1;
  if constexpr (requires { from.Depth; }) {
    box.srcZ = from.srcZ;
    box.srcLOD = from.srcLOD;
    box.srcHeight = from.srcHeight;
    box.dstZ = from.dstZ;
    box.dstLOD = from.dstLOD;
    box.dstHeight = from.dstHeight;
    box.Depth = from.Depth;
  }
  return box;
}

inline CUDA_MEMCPY3D widened(const CUDA_MEMCPY3D_v1& copy) { return box_of(copy); }

inline CUDA_MEMCPY2D widened(const CUDA_MEMCPY2D_v1& copy) {
  return {copy.srcXInBytes, copy.srcY,          copy.srcMemoryType, copy.srcHost,
          copy.srcDevice,   copy.srcArray,      copy.srcPitch,      copy.dstXInBytes,
          copy.dstY,        copy.dstMemoryType, copy.dstHost,       copy.dstDevice,
          copy.dstArray,    copy.dstPitch,      copy.WidthInBytes,  copy.Height};
}

// A side of a copy in a batch, where a texel has so many bytes.
inline void put_source(const CUmemcpy3DOperand& side, size_t texel, CUDA_MEMCPY3D* copy) {
  if (side.type == CU_MEMCPY_OPERAND_TYPE_ARRAY) {
    copy->srcMemoryType = CU_MEMORYTYPE_ARRAY;
    copy->srcArray = side.op.array.array;
    copy->srcXInBytes = side.op.array.offset.x * texel;
    copy->srcY = side.op.array.offset.y;
    copy->srcZ = side.op.array.offset.z;
    return;
  }
  copy->srcMemoryType = CU_MEMORYTYPE_UNIFIED;
  copy->srcDevice = side.op.ptr.ptr;
  copy->srcPitch = side.op.ptr.rowLength * texel;
  copy->srcHeight = side.op.ptr.layerHeight;
}

inline void put_destination(const CUmemcpy3DOperand& side, size_t texel, CUDA_MEMCPY3D* copy) {
  CUDA_MEMCPY3D mirrored{};
  put_source(side, texel, &mirrored);
  copy->dstMemoryType = mirrored.srcMemoryType;
  copy->dstArray = mirrored.srcArray;
  copy->dstXInBytes = mirrored.srcXInBytes;
  copy->dstY = mirrored.srcY;
  copy->dstZ = mirrored.srcZ;
  copy->dstDevice = mirrored.srcDevice;
  copy->dstPitch = mirrored.srcPitch;
  copy->dstHeight = mirrored.srcHeight;
}

}  // namespace tessera::cuda
