#include <algorithm>

#include "softgpu/driver/array.h"
#include "softgpu/driver/copy.h"

namespace tessera::softgpu {
namespace {

// No copy is larger than the address space of user programs: products and sums below stay in 64 bits.
constexpr size_t kMaxExtent = size_t{1} << 47;

// One end of a 2D or 3D copy, as CUDA describes it.
struct Place {
  CUmemorytype type;
  const void* host;
  CUdeviceptr device;
  CUarray array;
  size_t x, y, z;
  size_t pitch, height;
};

struct Extent {
  size_t width, height, depth;
};

bool within(size_t begin, size_t extent, size_t whole) { return begin <= whole && extent <= whole - begin; }

// Arrays know their own pitch; bytes are counted in x, and copies move whole texels.
CUresult resolve_array(const Place& place, const Extent& extent, uint64_t* address, size_t* pitch,
                       size_t* slice) {
  std::shared_ptr<Array> array;
  const CUresult result = array_of(place.array, &array);
  if (result != CUDA_SUCCESS) return result;
  const ArrayShape& shape = array->shape();
  if (place.x % shape.texel_bytes != 0 || extent.width % shape.texel_bytes != 0 ||
      !within(place.x, extent.width, shape.pitch()) || !within(place.y, extent.height, shape.rows()) ||
      !within(place.z, extent.depth, shape.slices())) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  *pitch = shape.pitch();
  *slice = shape.slice_bytes();
  *address = array->address() + place.z * *slice + place.y * *pitch + place.x;
  return CUDA_SUCCESS;
}

bool product_fits(size_t a, size_t b) { return b == 0 || a <= kMaxExtent / b; }

CUresult resolve(const Place& place, const Extent& extent, uint64_t* address, Side* side, size_t* pitch,
                 size_t* slice) {
  switch (place.type) {
    case CU_MEMORYTYPE_HOST:
      *side = Side::kHost;
      *address = reinterpret_cast<uint64_t>(place.host);
      break;
    case CU_MEMORYTYPE_DEVICE:
      *side = Side::kDevice;
      *address = place.device;
      break;
    case CU_MEMORYTYPE_UNIFIED:
      *side = Side::kUnified;
      *address = place.device;
      break;
    case CU_MEMORYTYPE_ARRAY:
      *side = Side::kDevice;
      return resolve_array(place, extent, address, pitch, slice);
    default:
      return CUDA_ERROR_INVALID_VALUE;
  }
  if (std::max({place.x, place.y, place.z, extent.width, extent.height, extent.depth, place.pitch,
                place.height}) > kMaxExtent) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  // 0: rows, or slices, that follow each other without a gap.
  *pitch = place.pitch != 0 ? place.pitch : place.x + extent.width;
  const size_t rows = place.height != 0 ? place.height : place.y + extent.height;
  if (*pitch < place.x + extent.width) return CUDA_ERROR_INVALID_VALUE;
  if (extent.depth > 1 && rows < place.y + extent.height) return CUDA_ERROR_INVALID_VALUE;
  if (!product_fits(*pitch, rows) || !product_fits(*pitch * rows, place.z + extent.depth) ||
      !product_fits(*pitch, place.y + extent.height)) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  *slice = *pitch * rows;
  *address += place.z * *slice + place.y * *pitch + place.x;
  return CUDA_SUCCESS;
}

CUresult build(const Place& dst, const Place& src, const Extent& extent, CopyRequest* request) {
  CopyBox& box = request->box;
  box.width = extent.width;
  box.height = extent.height;
  box.depth = extent.depth;
  CUresult result = resolve(dst, extent, &box.dst, &request->dst_side, &box.dst_pitch, &box.dst_slice);
  if (result != CUDA_SUCCESS) return result;
  return resolve(src, extent, &box.src, &request->src_side, &box.src_pitch, &box.src_slice);
}

}  // namespace

// Every pitch is as good as another: cuMemcpy2D takes what cuMemcpy2DUnaligned takes.
CUresult request_of(const CUDA_MEMCPY2D& copy, CopyRequest* request) {
  return build({copy.dstMemoryType, copy.dstHost, copy.dstDevice, copy.dstArray, copy.dstXInBytes, copy.dstY,
                0, copy.dstPitch, 0},
               {copy.srcMemoryType, copy.srcHost, copy.srcDevice, copy.srcArray, copy.srcXInBytes, copy.srcY,
                0, copy.srcPitch, 0},
               {copy.WidthInBytes, copy.Height, 1}, request);
}

CUresult request_of(const CUDA_MEMCPY3D& copy, CopyRequest* request) {
  if (copy.srcLOD != 0 || copy.dstLOD != 0) return CUDA_ERROR_INVALID_VALUE;
  return build({copy.dstMemoryType, copy.dstHost, copy.dstDevice, copy.dstArray, copy.dstXInBytes, copy.dstY,
                copy.dstZ, copy.dstPitch, copy.dstHeight},
               {copy.srcMemoryType, copy.srcHost, copy.srcDevice, copy.srcArray, copy.srcXInBytes, copy.srcY,
                copy.srcZ, copy.srcPitch, copy.srcHeight},
               {copy.WidthInBytes, copy.Height, copy.Depth}, request);
}

CUresult request_of(const CUDA_MEMCPY3D_PEER& copy, CopyRequest* request) {
  if (copy.srcLOD != 0 || copy.dstLOD != 0) return CUDA_ERROR_INVALID_VALUE;
  return build({copy.dstMemoryType, copy.dstHost, copy.dstDevice, copy.dstArray, copy.dstXInBytes, copy.dstY,
                copy.dstZ, copy.dstPitch, copy.dstHeight},
               {copy.srcMemoryType, copy.srcHost, copy.srcDevice, copy.srcArray, copy.srcXInBytes, copy.srcY,
                copy.srcZ, copy.srcPitch, copy.srcHeight},
               {copy.WidthInBytes, copy.Height, copy.Depth}, request);
}

CUresult array_range(CUarray handle, size_t offset, size_t bytes, uint64_t* address) {
  std::shared_ptr<Array> array;
  const CUresult result = array_of(handle, &array);
  if (result != CUDA_SUCCESS) return result;
  if (!within(offset, bytes, array->shape().bytes())) return CUDA_ERROR_INVALID_VALUE;
  *address = array->address() + offset;
  return CUDA_SUCCESS;
}

CopyRequest linear_request(uint64_t dst, Side dst_side, uint64_t src, Side src_side, size_t bytes) {
  CopyRequest request;
  request.box.dst = dst;
  request.box.src = src;
  request.box.width = request.box.dst_pitch = request.box.src_pitch = bytes;
  request.box.dst_slice = request.box.src_slice = bytes;
  request.dst_side = dst_side;
  request.src_side = src_side;
  return request;
}

}  // namespace tessera::softgpu
