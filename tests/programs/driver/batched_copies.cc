// Batches of copies: linear ones between all kinds of memory, boxes between memory and arrays, the order of
// batches in their stream, sources that are gone after the call; batches of prefetches; what is refused.
#include <cstring>

#include "driver_check.h"

namespace {

constexpr size_t kCopies = 24, kWords = 700;

class Stream {
 public:
  Stream() { CU_CHECK(cuStreamCreate(&stream_, CU_STREAM_NON_BLOCKING)); }
  ~Stream() { (void)cuStreamDestroy_v2(stream_); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  CUstream get() const { return stream_; }
  void wait() const { CU_CHECK(cuStreamSynchronize(stream_)); }

 private:
  CUstream stream_ = nullptr;
};

CUdeviceptr address_of(const void* pointer) { return reinterpret_cast<CUdeviceptr>(pointer); }

CUmemcpyAttributes attributes(CUmemcpySrcAccessOrder order) {
  CUmemcpyAttributes made{};
  made.srcAccessOrder = order;
  return made;
}

struct Lists {
  std::vector<CUdeviceptr> dsts, srcs;
  std::vector<size_t> sizes;
  void add(CUdeviceptr dst, CUdeviceptr src, size_t bytes) {
    dsts.push_back(dst);
    srcs.push_back(src);
    sizes.push_back(bytes);
  }
  // The first half may be read in the order of the stream, the rest at any time.
  CUresult run(CUstream stream) {
    CUmemcpyAttributes attrs[] = {attributes(CU_MEMCPY_SRC_ACCESS_ORDER_STREAM),
                                  attributes(CU_MEMCPY_SRC_ACCESS_ORDER_ANY)};
    size_t starts[] = {0, sizes.size() / 2};
    return cuMemcpyBatchAsync_v2(dsts.data(), srcs.data(), sizes.data(), sizes.size(), attrs, starts, 2,
                                 stream);
  }
};

// Host to device, device to device in the next batch, and back: each batch follows the one before.
void check_linear(const Stream& stream) {
  const auto in = check::random_integers<uint32_t>(kCopies * kWords, 1);
  std::vector<uint32_t> out(in.size());
  check::DeviceArray<uint32_t> first(in.size()), second(in.size());
  Lists up, across, down;
  for (size_t i = 0; i < kCopies; ++i) {
    const size_t at = i * kWords * sizeof(uint32_t), words = kWords - i;
    up.add(first.get() + at, address_of(in.data() + i * kWords), words * sizeof(uint32_t));
    across.add(second.get() + at, first.get() + at, words * sizeof(uint32_t));
    down.add(address_of(out.data() + i * kWords), second.get() + at, words * sizeof(uint32_t));
  }
  CU_CHECK(up.run(stream.get()));
  CU_CHECK(across.run(stream.get()));
  CU_CHECK(down.run(stream.get()));
  stream.wait();
  for (size_t i = 0; i < kCopies; ++i) {
    for (size_t word = 0; word < kWords; ++word) {
      const size_t at = i * kWords + word;
      const uint32_t want = word < kWords - i ? in[at] : 0;
      REQUIRE(out[at] == want, "copy %zu, word %zu: %u, not %u", i, word, out[at], want);
    }
  }
}

// The form of CUDA 12.8, whose source may change as soon as the call returns, pinned or not.
void check_source_gone(const Stream& stream) {
  check::DeviceArray<uint32_t> array(4096), busy(1u << 20);
  uint32_t* pinned = nullptr;
  CU_CHECK(cuMemAllocHost_v2(reinterpret_cast<void**>(&pinned), 2048 * sizeof(uint32_t)));
  std::vector<uint32_t> plain(2048, 5);
  for (uint32_t i = 0; i < 2048; ++i) pinned[i] = i;
  CU_CHECK(cuMemsetD32Async(busy.get(), 1, 1u << 20, stream.get()));
  CUdeviceptr dsts[] = {array.get(), array.get() + 2048 * sizeof(uint32_t)};
  CUdeviceptr srcs[] = {address_of(pinned), address_of(plain.data())};
  size_t sizes[] = {2048 * sizeof(uint32_t), 2048 * sizeof(uint32_t)}, starts[] = {0}, failed = 0;
  CUmemcpyAttributes attrs = attributes(CU_MEMCPY_SRC_ACCESS_ORDER_DURING_API_CALL);
  CU_CHECK(cuMemcpyBatchAsync(dsts, srcs, sizes, 2, &attrs, starts, 1, &failed, stream.get()));
  std::fill(pinned, pinned + 2048, 0u);
  std::fill(plain.begin(), plain.end(), 0u);
  stream.wait();
  const std::vector<uint32_t> got = array.download();
  for (uint32_t i = 0; i < 4096; ++i) {
    const uint32_t want = i < 2048 ? i : 5;
    REQUIRE(got[i] == want, "[%u] is %u, not %u", i, got[i], want);
  }
  CU_CHECK(cuMemFreeHost(pinned));
}

CUmemcpy3DOperand pointer(CUdeviceptr address, size_t row, size_t height) {
  CUmemcpy3DOperand operand{};
  operand.type = CU_MEMCPY_OPERAND_TYPE_POINTER;
  operand.op.ptr = {address, row, height, {}};
  return operand;
}

CUmemcpy3DOperand in_array(CUarray array, const CUoffset3D& offset) {
  CUmemcpy3DOperand operand{};
  operand.type = CU_MEMCPY_OPERAND_TYPE_ARRAY;
  operand.op.array = {array, offset};
  return operand;
}

CUarray make_array(size_t width, size_t height, size_t depth) {
  CUDA_ARRAY3D_DESCRIPTOR descriptor{};
  descriptor.Width = width;
  descriptor.Height = height;
  descriptor.Depth = depth;
  descriptor.Format = CU_AD_FORMAT_UNSIGNED_INT32;
  descriptor.NumChannels = 1;
  CUarray array = nullptr;
  CU_CHECK(cuArray3DCreate_v2(&array, &descriptor));
  return array;
}

// Memory to array, array to array at an offset, and back with rows that are longer than what is copied.
void check_boxes(const Stream& stream) {
  constexpr size_t kWidth = 13, kHeight = 7, kDepth = 5, kRow = 20, kLayer = 9;
  const auto in = check::random_integers<uint32_t>(kWidth * kHeight * kDepth, 2);
  std::vector<uint32_t> out(kRow * kLayer * kDepth, 77);
  const CUarray small = make_array(kWidth, kHeight, kDepth), large = make_array(32, 16, 8);
  const CUextent3D whole{kWidth, kHeight, kDepth};
  const CUoffset3D offset{3, 2, 1};
  CUDA_MEMCPY3D_BATCH_OP ops[] = {
      {pointer(address_of(in.data()), 0, 0), in_array(small, {}), whole, CU_MEMCPY_SRC_ACCESS_ORDER_ANY, 0},
      {in_array(small, {}), in_array(large, offset), whole, CU_MEMCPY_SRC_ACCESS_ORDER_STREAM, 0},
      {in_array(large, offset), pointer(address_of(out.data()), kRow, kLayer), whole,
       CU_MEMCPY_SRC_ACCESS_ORDER_STREAM, CU_MEMCPY_FLAG_PREFER_OVERLAP_WITH_COMPUTE}};
  for (CUDA_MEMCPY3D_BATCH_OP& op : ops) CU_CHECK(cuMemcpy3DBatchAsync_v2(1, &op, 0, stream.get()));
  stream.wait();
  for (size_t z = 0; z < kDepth; ++z) {
    for (size_t y = 0; y < kLayer; ++y) {
      for (size_t x = 0; x < kRow; ++x) {
        const bool inside = x < kWidth && y < kHeight;
        const uint32_t want = inside ? in[(z * kHeight + y) * kWidth + x] : 77;
        const uint32_t got = out[(z * kLayer + y) * kRow + x];
        REQUIRE(got == want, "(%zu, %zu, %zu) is %u, not %u", x, y, z, got, want);
      }
    }
  }
  // Two in one batch, the second of which leaves the array: nothing is copied, and the second is named.
  size_t failed = 0;
  check::DeviceArray<uint32_t> target(kWidth * kHeight * kDepth);
  target.fill(9);
  ops[0] = {in_array(small, {}), pointer(target.get(), 0, 0), whole, CU_MEMCPY_SRC_ACCESS_ORDER_STREAM, 0};
  ops[1] = {in_array(small, offset), pointer(target.get(), 0, 0), whole, CU_MEMCPY_SRC_ACCESS_ORDER_STREAM,
            0};
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemcpy3DBatchAsync(2, ops, &failed, 0, stream.get()));
  REQUIRE(failed == 1, "copy %zu was refused", failed);
  for (const uint32_t word : target.download()) REQUIRE(word == 0x09090909, "copied in spite of the error");
  CU_CHECK(cuArrayDestroy(small));
  CU_CHECK(cuArrayDestroy(large));
}

void check_prefetch(const Stream& stream) {
  constexpr size_t kRanges = 4, kBytes = 10'000;
  CUdeviceptr ranges[kRanges];
  size_t sizes[kRanges], starts[] = {0, 3};
  CUmemLocation places[] = {{CU_MEM_LOCATION_TYPE_DEVICE, {0}}, {CU_MEM_LOCATION_TYPE_HOST, {0}}};
  for (size_t i = 0; i < kRanges; ++i) {
    CU_CHECK(cuMemAllocManaged(&ranges[i], kBytes, CU_MEM_ATTACH_GLOBAL));
    sizes[i] = kBytes;
    memset(reinterpret_cast<void*>(ranges[i]), int(i + 1), kBytes);
  }
  CU_CHECK(cuMemPrefetchBatchAsync(ranges, sizes, kRanges, places, starts, 2, 0, stream.get()));
  stream.wait();
  for (size_t i = 0; i < kRanges; ++i) {
    int place = 0;
    CU_CHECK(cuMemRangeGetAttribute(&place, sizeof(place), CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION,
                                    ranges[i], kBytes));
    REQUIRE(place == (i < 3 ? 0 : CU_DEVICE_CPU), "range %zu was brought to %d", i, place);
    REQUIRE(*reinterpret_cast<unsigned char*>(ranges[i] + kBytes - 1) == i + 1, "range %zu has changed", i);
  }
  CU_CHECK(cuMemDiscardBatchAsync(ranges, sizes, 2, 0, stream.get()));
  CU_CHECK(cuMemDiscardAndPrefetchBatchAsync(ranges, sizes, kRanges, places + 1, starts, 1, 0, stream.get()));
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemDiscardBatchAsync(ranges, sizes, 2, 1, stream.get()));
  sizes[1] = kBytes + 1;
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE,
            cuMemPrefetchBatchAsync(ranges, sizes, kRanges, places, starts, 2, 0, stream.get()));
  stream.wait();
  for (const CUdeviceptr range : ranges) CU_CHECK(cuMemFree_v2(range));
}

void check_errors(const Stream& stream) {
  check::DeviceArray<uint32_t> a(64), b(64);
  b.fill(1);
  CUdeviceptr dsts[] = {a.get(), a.get()}, srcs[] = {b.get(), b.get()};
  size_t sizes[] = {16, 1000}, starts[] = {0, 1}, late[] = {1}, equal[] = {0, 0}, failed = 0;
  CUmemcpyAttributes attrs[] = {attributes(CU_MEMCPY_SRC_ACCESS_ORDER_STREAM),
                                attributes(CU_MEMCPY_SRC_ACCESS_ORDER_STREAM)};
  CUmemcpyAttributes none{};
  a.fill(0);
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE,
            cuMemcpyBatchAsync(dsts, srcs, sizes, 2, attrs, starts, 2, &failed, stream.get()));
  REQUIRE(failed == 1, "copy %zu was refused", failed);
  stream.wait();
  for (const uint32_t word : a.download()) REQUIRE(word == 0, "copied in spite of the error");
  sizes[1] = 16;
  const auto refused = [&](CUmemcpyAttributes* list, size_t* indices, size_t count, CUstream where) {
    failed = 0;
    CU_EXPECT(CUDA_ERROR_INVALID_VALUE,
              cuMemcpyBatchAsync(dsts, srcs, sizes, 2, list, indices, count, &failed, where));
    REQUIRE(failed == SIZE_MAX, "copy %zu was refused", failed);
  };
  refused(attrs, late, 1, stream.get());
  refused(attrs, equal, 2, stream.get());
  refused(attrs, starts, 0, stream.get());
  refused(&none, starts, 1, stream.get());
  refused(attrs, starts, 2, nullptr);  // the legacy default stream
  CU_CHECK(cuMemcpyBatchAsync(dsts, srcs, sizes, 2, attrs, starts, 2, &failed, stream.get()));
  stream.wait();
}

}  // namespace

int main() {
  const check::Context context;
  const Stream stream;
  check_linear(stream);
  check_source_gone(stream);
  check_boxes(stream);
  check_prefetch(stream);
  check_errors(stream);
  return check::pass("3 batches of %zu copies, boxes to, from and between arrays, prefetches", kCopies);
}
