// Copies of boxes as CUDA 2 described them, with addresses and sizes of 32 bits, in today's form.
#pragma once

#include "cuda/abi.h"

namespace tessera::cuda {

inline CUDA_MEMCPY2D widened(const CUDA_MEMCPY2D_v1& copy) {
  return {copy.srcXInBytes, copy.srcY,          copy.srcMemoryType, copy.srcHost,
          copy.srcDevice,   copy.srcArray,      copy.srcPitch,      copy.dstXInBytes,
          copy.dstY,        copy.dstMemoryType, copy.dstHost,       copy.dstDevice,
          copy.dstArray,    copy.dstPitch,      copy.WidthInBytes,  copy.Height};
}

inline CUDA_MEMCPY3D widened(const CUDA_MEMCPY3D_v1& copy) {
  CUDA_MEMCPY3D wide{};
  wide.srcXInBytes = copy.srcXInBytes;
  wide.srcY = copy.srcY;
  wide.srcZ = copy.srcZ;
  wide.srcLOD = copy.srcLOD;
  wide.srcMemoryType = copy.srcMemoryType;
  wide.srcHost = copy.srcHost;
  wide.srcDevice = copy.srcDevice;
  wide.srcArray = copy.srcArray;
  wide.srcPitch = copy.srcPitch;
  wide.srcHeight = copy.srcHeight;
  wide.dstXInBytes = copy.dstXInBytes;
  wide.dstY = copy.dstY;
  wide.dstZ = copy.dstZ;
  wide.dstLOD = copy.dstLOD;
  wide.dstMemoryType = copy.dstMemoryType;
  wide.dstHost = copy.dstHost;
  wide.dstDevice = copy.dstDevice;
  wide.dstArray = copy.dstArray;
  wide.dstPitch = copy.dstPitch;
  wide.dstHeight = copy.dstHeight;
  wide.WidthInBytes = copy.WidthInBytes;
  wide.Height = copy.Height;
  wide.Depth = copy.Depth;
  return wide;
}

}  // namespace tessera::cuda
