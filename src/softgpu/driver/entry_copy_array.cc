// Copies of a range of bytes to, from and between arrays.
#include "cuda/abi.h"
#include "softgpu/driver/copy.h"
#include "softgpu/driver/entry.h"
#include "softgpu/driver/stream.h"

using namespace tessera::softgpu;  // NOLINT: the C interface of that namespace

namespace {

// One end of a copy: an array and an offset into it, or an address.
struct End {
  CUarray array = nullptr;
  size_t offset = 0;
  uint64_t address = 0;
  Side side = Side::kDevice;
};

End in_array(CUarray array, size_t offset) { return {array, offset, 0, Side::kDevice}; }
End at_host(const void* pointer) { return {nullptr, 0, reinterpret_cast<uint64_t>(pointer), Side::kHost}; }
End at_device(CUdeviceptr pointer) { return {nullptr, 0, pointer, Side::kDevice}; }

CUresult locate(End* end, bool is_array, size_t bytes) {
  return is_array ? array_range(end->array, end->offset, bytes, &end->address) : CUDA_SUCCESS;
}

enum Arrays : uint8_t { kTo = 1, kFrom = 2, kBoth = 3 };

CUresult run_copy(Arrays arrays, End to, End from, size_t bytes, CUstream hStream, bool wait) {
  return guarded([&]() -> CUresult {
    std::shared_ptr<Stream> stream;
    SOFTGPU_RETURN_IF_ERROR(stream_of(hStream, &stream));
    SOFTGPU_RETURN_IF_ERROR(locate(&to, (arrays & kTo) != 0, bytes));
    SOFTGPU_RETURN_IF_ERROR(locate(&from, (arrays & kFrom) != 0, bytes));
    return copy(*stream, linear_request(to.address, to.side, from.address, from.side, bytes), wait);
  });
}

constexpr bool kWait = true;
constexpr bool kAsync = false;
constexpr CUstream kDefaultStream = nullptr;

}  // namespace

extern "C" {

CUresult cuMemcpyDtoA_v2(CUarray dstArray, size_t dstOffset, CUdeviceptr srcDevice, size_t ByteCount) {
  return run_copy(kTo, in_array(dstArray, dstOffset), at_device(srcDevice), ByteCount, kDefaultStream, kWait);
}
CUresult cuMemcpyAtoD_v2(CUdeviceptr dstDevice, CUarray srcArray, size_t srcOffset, size_t ByteCount) {
  return run_copy(kFrom, at_device(dstDevice), in_array(srcArray, srcOffset), ByteCount, kDefaultStream,
                  kWait);
}
CUresult cuMemcpyHtoA_v2(CUarray dstArray, size_t dstOffset, const void* srcHost, size_t ByteCount) {
  return run_copy(kTo, in_array(dstArray, dstOffset), at_host(srcHost), ByteCount, kDefaultStream, kWait);
}
CUresult cuMemcpyAtoH_v2(void* dstHost, CUarray srcArray, size_t srcOffset, size_t ByteCount) {
  return run_copy(kFrom, at_host(dstHost), in_array(srcArray, srcOffset), ByteCount, kDefaultStream, kWait);
}
CUresult cuMemcpyAtoA_v2(CUarray dstArray, size_t dstOffset, CUarray srcArray, size_t srcOffset,
                         size_t ByteCount) {
  return run_copy(kBoth, in_array(dstArray, dstOffset), in_array(srcArray, srcOffset), ByteCount,
                  kDefaultStream, kWait);
}
CUresult cuMemcpyHtoAAsync_v2(CUarray dstArray, size_t dstOffset, const void* srcHost, size_t ByteCount,
                              CUstream hStream) {
  return run_copy(kTo, in_array(dstArray, dstOffset), at_host(srcHost), ByteCount, hStream, kAsync);
}
CUresult cuMemcpyAtoHAsync_v2(void* dstHost, CUarray srcArray, size_t srcOffset, size_t ByteCount,
                              CUstream hStream) {
  return run_copy(kFrom, at_host(dstHost), in_array(srcArray, srcOffset), ByteCount, hStream, kAsync);
}

}  // extern "C"
