// Copies, sets, stream memory operations. Only sides that are not the host's have sizes that make no sense.
#include <iterator>

#include "tests/fuzz/driver_calls/copies.h"
#include "tests/fuzz/driver_calls/world.h"

namespace tessera::fuzz {
namespace {

CUarray array(World& w) { return w.get<CUarray>(Kind::kArray); }

void to_device(World& w) { CALL(w, cuMemcpyHtoD_v2, w.device_pointer(), w.host(), w.small_size()); }
void to_host(World& w) { CALL(w, cuMemcpyDtoH_v2, w.host(), w.device_pointer(), w.small_size()); }
void between(World& w) { CALL(w, cuMemcpyDtoD_v2, w.device_pointer(), w.device_pointer(), w.size()); }
void to_device_async(World& w) {
  CALL(w, cuMemcpyHtoDAsync_v2, w.device_pointer(), w.host(), w.small_size(), w.stream());
}
void to_host_async(World& w) {
  CALL(w, cuMemcpyDtoHAsync_v2, w.host(), w.device_pointer(), w.small_size(), w.stream());
}
void between_async(World& w) {
  CALL(w, cuMemcpyDtoDAsync_v2, w.device_pointer(), w.device_pointer(), w.size(), w.stream());
}
void between_peers(World& w) {
  CALL(w, cuMemcpyPeerAsync, w.device_pointer(), w.get<CUcontext>(Kind::kContext), w.device_pointer(),
       w.get<CUcontext>(Kind::kContext), w.size(), w.stream());
}
void unified(World& w) {
  CALL(w, cuMemcpyAsync, w.known_pointer(), w.known_pointer(), w.small_size(), w.stream());
}

void arrays_one_dimensional(World& w) {
  CALL(w, cuMemcpyDtoA_v2, array(w), w.size(), w.device_pointer(), w.size());
  CALL(w, cuMemcpyAtoD_v2, w.device_pointer(), array(w), w.size(), w.size());
  CALL(w, cuMemcpyAtoA_v2, array(w), w.size(), array(w), w.size(), w.size());
  CALL(w, cuMemcpyHtoAAsync_v2, array(w), w.size(), w.host(), w.small_size(), w.stream());
  CALL(w, cuMemcpyAtoH_v2, w.host(), array(w), w.size(), w.small_size());
}

void copy_2d(World& w) {
  const CUDA_MEMCPY3D box = box_copy(w);
  const CUDA_MEMCPY2D copy{box.srcXInBytes, box.srcY,          box.srcMemoryType, box.srcHost,
                           box.srcDevice,   box.srcArray,      box.srcPitch,      box.dstXInBytes,
                           box.dstY,        box.dstMemoryType, box.dstHost,       box.dstDevice,
                           box.dstArray,    box.dstPitch,      box.WidthInBytes,  box.Height};
  if (w.bytes.coin())
    CALL(w, cuMemcpy2D_v2, &copy);
  else
    CALL(w, cuMemcpy2DAsync_v2, &copy, w.stream());
}

void copy_3d(World& w) {
  const CUDA_MEMCPY3D copy = box_copy(w);
  if (w.bytes.coin())
    CALL(w, cuMemcpy3D_v2, &copy);
  else
    CALL(w, cuMemcpy3DAsync_v2, &copy, w.stream());
}

void copy_batch(World& w) {
  CUdeviceptr to[] = {w.known_pointer(), w.known_pointer()}, from[] = {w.known_pointer(), w.known_pointer()};
  size_t sizes[] = {w.small_size(), w.small_size()};
  CUmemcpyAttributes attributes{static_cast<CUmemcpySrcAccessOrder>(w.bytes.below(5)), {}, {}, 0};
  size_t first = w.bytes.below(3);
  CALL(w, cuMemcpyBatchAsync_v2, to, from, sizes, w.bytes.below(3), &attributes, &first, w.bytes.below(2),
       w.stream());
}

void set(World& w) {
  const CUdeviceptr to = w.device_pointer();
  switch (w.bytes.below(3)) {
    case 0:
      CALL(w, cuMemsetD8_v2, to, 7, w.size());
      break;
    case 1:
      CALL(w, cuMemsetD16_v2, to, 7, w.size());
      break;
    default:
      CALL(w, cuMemsetD32_v2, to, 7, w.size());
      break;
  }
}

void set_async(World& w) { CALL(w, cuMemsetD8Async, w.device_pointer(), 9, w.size(), w.stream()); }

void set_2d(World& w) {
  const CUdeviceptr to = w.device_pointer();
  const size_t pitch = w.size(), width = w.size(), height = w.size();
  if (w.bytes.coin())
    CALL(w, cuMemsetD2D8Async, to, pitch, 3, width, height, w.stream());
  else
    CALL(w, cuMemsetD2D32_v2, to, pitch, 3, width, height);
}

// Nothing here waits for a value: that may rightly be for ever.
void write_value(World& w) {
  const CUdeviceptr to = w.device_pointer();
  if (w.bytes.coin())
    CALL(w, cuStreamWriteValue32_v2, w.stream(), to, 5, w.bytes.below(3));
  else
    CALL(w, cuStreamWriteValue64_v2, w.stream(), to, 5, w.bytes.below(3));
}

void batch_operations(World& w) {
  CUstreamBatchMemOpParams operations[2]{};
  for (auto& operation : operations) {
    operation.operation = w.bytes.coin() ? CU_STREAM_MEM_OP_WRITE_VALUE_32
                                         : static_cast<CUstreamBatchMemOpType>(5 + w.bytes.below(4));
    operation.writeValue.address = w.device_pointer();
    operation.writeValue.value64 = 11;
    operation.writeValue.flags = w.bytes.below(2);
  }
  CALL(w, cuStreamBatchMemOp_v2, w.stream(), w.bytes.below(3), operations, w.bytes.below(8) == 0);
}

}  // namespace

CUDA_MEMCPY3D box_copy(World& w) {
  constexpr CUmemorytype kTypes[] = {CU_MEMORYTYPE_HOST, CU_MEMORYTYPE_DEVICE, CU_MEMORYTYPE_ARRAY,
                                     CU_MEMORYTYPE_DEVICE, static_cast<CUmemorytype>(9)};
  constexpr size_t kPitches[] = {0, 16, 64, 256, 512, 3};
  constexpr size_t kSmall[] = {0, 1, 2, 4, 8, 16, 3};
  CUDA_MEMCPY3D copy{};
  copy.srcMemoryType = w.bytes.one_of(kTypes);
  copy.dstMemoryType = w.bytes.one_of(kTypes);
  const bool on_host = copy.srcMemoryType == CU_MEMORYTYPE_HOST || copy.dstMemoryType == CU_MEMORYTYPE_HOST;
  const auto extent = [&] { return on_host || w.bytes.below(4) != 0 ? w.bytes.one_of(kSmall) : w.size(); };
  const auto pitch = [&] { return on_host || w.bytes.below(4) != 0 ? w.bytes.one_of(kPitches) : w.size(); };
  copy.srcXInBytes = extent(), copy.srcY = extent(), copy.srcZ = extent();
  copy.dstXInBytes = extent(), copy.dstY = extent(), copy.dstZ = extent();
  copy.srcPitch = pitch(), copy.srcHeight = extent(), copy.dstPitch = pitch(), copy.dstHeight = extent();
  copy.WidthInBytes = extent(), copy.Height = extent(), copy.Depth = extent();
  // 16 rows of 512 bytes in each of 16 + 16 planes, from an offset of as many: within the buffer's rest.
  copy.srcHost = host_buffer(), copy.dstHost = host_buffer();
  copy.srcDevice = w.device_pointer(), copy.dstDevice = w.device_pointer();
  copy.srcArray = array(w), copy.dstArray = array(w);
  return copy;
}

std::span<const Call> copy_calls() {
  static constexpr Call kCalls[] = {to_device,
                                    to_host,
                                    between,
                                    to_device_async,
                                    to_host_async,
                                    between_async,
                                    between_peers,
                                    unified,
                                    arrays_one_dimensional,
                                    copy_2d,
                                    copy_3d,
                                    copy_batch,
                                    set,
                                    set_async,
                                    set_2d,
                                    write_value,
                                    batch_operations};
  return kCalls;
}

}  // namespace tessera::fuzz
