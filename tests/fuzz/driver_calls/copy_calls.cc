// Copies, sets, stream memory operations. Only sides that are not the host's have sizes that make no sense.
#include <algorithm>
#include <iterator>

#include "tests/fuzz/driver_calls/copies.h"
#include "tests/fuzz/driver_calls/world.h"

namespace tessera::fuzz {
namespace {

CUarray array(World& w) { return w.get<CUarray>(Kind::kArray); }

// Sizes are what both sides have, but for a few.
size_t bytes_of(World& w, const Span& a, const Span& b) {
  return w.bytes.rarely() ? w.size() : std::min(a.size, b.size);
}
Span half(World& w) { return w.device_span(w.bytes.coin() ? kMostHostBytes : size_t{4} << 20); }

void to_device(World& w) {
  const Span to = w.device_span(w.small_size());
  CALL(w, cuMemcpyHtoD_v2, to.begin, w.host(), to.size);
}
void to_host(World& w) {
  const Span from = w.device_span(w.small_size());
  CALL(w, cuMemcpyDtoH_v2, w.host(), from.begin, from.size);
}
void between(World& w) {
  const Span to = half(w), from = half(w);
  CALL(w, cuMemcpyDtoD_v2, to.begin, from.begin, bytes_of(w, to, from));
}
void to_device_async(World& w) {
  const Span to = w.device_span(w.small_size());
  CALL(w, cuMemcpyHtoDAsync_v2, to.begin, w.host(), to.size, w.stream());
}
void to_host_async(World& w) {
  const Span from = w.device_span(w.small_size());
  CALL(w, cuMemcpyDtoHAsync_v2, w.host(), from.begin, from.size, w.stream());
}
void between_async(World& w) {
  const Span to = half(w), from = half(w);
  CALL(w, cuMemcpyDtoDAsync_v2, to.begin, from.begin, bytes_of(w, to, from), w.stream());
}
void between_peers(World& w) {
  const Span to = half(w), from = half(w);
  CALL(w, cuMemcpyPeerAsync, to.begin, w.get<CUcontext>(Kind::kContext), from.begin,
       w.get<CUcontext>(Kind::kContext), bytes_of(w, to, from), w.stream());
}
void unified(World& w) {
  const Span to = w.known_span(), from = w.known_span();
  CALL(w, cuMemcpyAsync, to.begin, from.begin, std::min({to.size, from.size, w.small_size()}), w.stream());
}

// Within the smallest array of one row.
size_t array_offset(World& w) {
  constexpr size_t kOffsets[] = {0, 0, 0, 4, 16}, kWrong[] = {3, 4096, 1ull << 40, ~0ull};
  return w.bytes.one_of(kOffsets, kWrong);
}
size_t array_bytes(World& w) {
  constexpr size_t kSizes[] = {4, 8, 16, 32}, kWrong[] = {0, 3, 65536, 1ull << 40, ~0ull};
  return w.bytes.one_of(kSizes, kWrong);
}
void arrays_one_dimensional(World& w) {
  constexpr size_t kOnHost[] = {4, 8, 16, 3, 0};
  const Span memory = w.device_span(256);
  switch (w.bytes.below(5)) {
    case 0:
      CALL(w, cuMemcpyDtoA_v2, array(w), array_offset(w), memory.begin, array_bytes(w));
      break;
    case 1:
      CALL(w, cuMemcpyAtoD_v2, memory.begin, array(w), array_offset(w), array_bytes(w));
      break;
    case 2:
      CALL(w, cuMemcpyAtoA_v2, array(w), array_offset(w), array(w), array_offset(w), array_bytes(w));
      break;
    case 3:
      CALL(w, cuMemcpyHtoAAsync_v2, array(w), array_offset(w), w.host(), w.bytes.one_of(kOnHost), w.stream());
      break;
    default:
      CALL(w, cuMemcpyAtoH_v2, w.host(), array(w), array_offset(w), w.bytes.one_of(kOnHost));
      break;
  }
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
  const Span spans[] = {w.known_span(), w.known_span(), w.known_span(), w.known_span()};
  CUdeviceptr to[] = {spans[0].begin, spans[1].begin}, from[] = {spans[2].begin, spans[3].begin};
  size_t sizes[] = {std::min({spans[0].size, spans[2].size, w.small_size() + 1}),
                    std::min({spans[1].size, spans[3].size, w.small_size() + 1})};
  constexpr CUmemcpySrcAccessOrder kOrders[] = {CU_MEMCPY_SRC_ACCESS_ORDER_STREAM,
                                                CU_MEMCPY_SRC_ACCESS_ORDER_DURING_API_CALL,
                                                CU_MEMCPY_SRC_ACCESS_ORDER_ANY};
  constexpr CUmemcpySrcAccessOrder kWrong[] = {CU_MEMCPY_SRC_ACCESS_ORDER_INVALID,
                                               static_cast<CUmemcpySrcAccessOrder>(4)};
  CUmemcpyAttributes attributes{w.bytes.one_of(kOrders, kWrong), {}, {}, 0};
  size_t first = w.bytes.rarely();
  CALL(w, cuMemcpyBatchAsync_v2, to, from, sizes, w.bytes.rarely() ? 0 : 1 + w.bytes.below(2), &attributes,
       &first, !w.bytes.rarely(), w.stream());
}

void set(World& w) {
  const Span to = w.device_span(w.size());
  const size_t odd = w.bytes.rarely() ? w.size() : 0;
  switch (w.bytes.below(3)) {
    case 0:
      CALL(w, cuMemsetD8_v2, to.begin, 7, to.size + odd);
      break;
    case 1:
      CALL(w, cuMemsetD16_v2, to.begin, 7, to.size / 2 + odd);
      break;
    default:
      CALL(w, cuMemsetD32_v2, to.begin, 7, to.size / 4 + odd);
      break;
  }
}

void set_async(World& w) {
  const Span to = w.device_span(w.size());
  CALL(w, cuMemsetD8Async, to.begin, 9, to.size, w.stream());
}

void set_2d(World& w) {
  constexpr size_t kPitches[] = {64, 64, 512}, kWidths[] = {1, 4, 16}, kHeights[] = {1, 2, 8};
  const CUdeviceptr to = w.room(1 << 16);
  size_t pitch = w.bytes.one_of(kPitches), width = w.bytes.one_of(kWidths), height = w.bytes.one_of(kHeights);
  if (w.bytes.rarely()) pitch = w.size();
  if (w.bytes.rarely()) width = w.size(), height = w.size();
  if (w.bytes.coin())
    CALL(w, cuMemsetD2D8Async, to, pitch, 3, width, height, w.stream());
  else
    CALL(w, cuMemsetD2D32_v2, to, pitch, 3, width, height);
}

// Nothing here waits for a value: that may rightly be for ever.
void write_value(World& w) {
  const CUdeviceptr to = w.room(4096);
  const unsigned flags = w.bytes.rarely() ? 2 : w.bytes.below(2);
  if (w.bytes.coin())
    CALL(w, cuStreamWriteValue32_v2, w.stream(), to, 5, flags);
  else
    CALL(w, cuStreamWriteValue64_v2, w.stream(), to, 5, flags);
}

void batch_operations(World& w) {
  CUstreamBatchMemOpParams operations[2]{};
  for (auto& operation : operations) {
    constexpr CUstreamBatchMemOpType kTypes[] = {CU_STREAM_MEM_OP_WRITE_VALUE_32,
                                                 CU_STREAM_MEM_OP_WRITE_VALUE_64, CU_STREAM_MEM_OP_BARRIER};
    constexpr CUstreamBatchMemOpType kWrong[] = {CU_STREAM_MEM_OP_FLUSH_REMOTE_WRITES,
                                                 static_cast<CUstreamBatchMemOpType>(7)};
    operation.operation = w.bytes.one_of(kTypes, kWrong);
    operation.writeValue.address = w.room(4096);
    operation.writeValue.value64 = 11;
    operation.writeValue.flags = w.bytes.below(2);
  }
  CALL(w, cuStreamBatchMemOp_v2, w.stream(), 1 + w.bytes.below(2), operations, w.bytes.rarely());
}

}  // namespace

CUDA_MEMCPY3D box_copy(World& w) {
  constexpr CUmemorytype kTypes[] = {CU_MEMORYTYPE_HOST, CU_MEMORYTYPE_DEVICE, CU_MEMORYTYPE_ARRAY,
                                     CU_MEMORYTYPE_DEVICE};
  constexpr CUmemorytype kWrong[] = {static_cast<CUmemorytype>(9)};
  constexpr size_t kPitches[] = {16, 64, 256, 512}, kWrongPitches[] = {0, 3};
  constexpr size_t kExtents[] = {1, 2, 4, 8}, kWrongExtents[] = {0, 3, 16};
  constexpr size_t kOffsets[] = {0, 0, 0, 1, 2}, kWrongOffsets[] = {4, 8, 16, 3};
  CUDA_MEMCPY3D copy{};
  copy.srcMemoryType = w.bytes.one_of(kTypes, kWrong);
  copy.dstMemoryType = w.bytes.one_of(kTypes, kWrong);
  const bool on_host = copy.srcMemoryType == CU_MEMORYTYPE_HOST || copy.dstMemoryType == CU_MEMORYTYPE_HOST;
  const auto absurd = [&] { return !on_host && w.bytes.rarely(); };
  const auto extent = [&] { return absurd() ? w.size() : w.bytes.one_of(kExtents, kWrongExtents); };
  const auto offset = [&] { return absurd() ? w.size() : w.bytes.one_of(kOffsets, kWrongOffsets); };
  const auto pitch = [&] { return absurd() ? w.size() : w.bytes.one_of(kPitches, kWrongPitches); };
  copy.srcXInBytes = 4 * offset(), copy.srcY = offset(), copy.srcZ = w.bytes.rarely();
  copy.dstXInBytes = 4 * offset(), copy.dstY = offset(), copy.dstZ = w.bytes.rarely();
  copy.srcPitch = pitch(), copy.dstPitch = pitch();
  copy.srcHeight = 16, copy.dstHeight = 16;
  copy.WidthInBytes = extent(), copy.Height = extent(), copy.Depth = w.bytes.rarely() ? extent() : 1;
  if (w.bytes.rarely()) copy.srcHeight = extent(), copy.dstHeight = extent();
  // At most 16 + 16 rows of 512 bytes in each of 16 + 16 planes: within the buffer.
  copy.srcHost = host_buffer(), copy.dstHost = host_buffer();
  copy.srcDevice = w.room(1 << 16), copy.dstDevice = w.room(1 << 16);
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
