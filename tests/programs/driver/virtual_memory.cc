// Virtual memory management: a vector that grows in place, one memory at two addresses, access, the life of
// handles and mappings, and CUDA's errors. With an argument, free memory is watched too: nobody else uses the
// device, or the slice, then.
#include "child.h"
#include "physical.h"

extern "C" const char memory_ptx[];
extern "C" const char fault_ptx[];

namespace {

bool watch_free_memory = false;

size_t free_memory() {
  size_t free = 0, total = 0;
  CU_CHECK(cuMemGetInfo_v2(&free, &total));
  return free;
}

void require_used(size_t before, size_t used, const char* when) {
  if (!watch_free_memory) return;
  const size_t now = free_memory();
  REQUIRE(before - now == used, "%s: %zu bytes are used, not %zu", when, before - now, used);
}

// Keeps its address while it grows, so nothing is copied.
class GrowingVector {
 public:
  explicit GrowingVector(size_t room) : room_(room), step_(check::physical_granularity()) {
    address_ = check::reserve(room);
  }
  ~GrowingVector() {
    CU_CHECK(cuMemUnmap(address_, size_));
    CU_CHECK(cuMemAddressFree(address_, room_));
  }
  GrowingVector(const GrowingVector&) = delete;
  GrowingVector& operator=(const GrowingVector&) = delete;

  void grow() {
    const CUmemGenericAllocationHandle memory = check::create_physical(step_);
    CU_CHECK(cuMemMap(address_ + size_, step_, 0, memory, 0));
    CU_CHECK(cuMemRelease(memory));  // the mapping holds it
    check::allow(address_ + size_, step_);
    CU_CHECK(cuMemsetD8_v2(address_ + size_, 0, step_));
    size_ += step_;
  }
  CUdeviceptr get() const { return address_; }
  size_t size() const { return size_; }

 private:
  const size_t room_, step_;
  CUdeviceptr address_ = 0;
  size_t size_ = 0;
};

size_t check_growth(const check::Module& module) {
  constexpr int kSteps = 12;
  const size_t before = free_memory();
  size_t size = 0;
  {
    GrowingVector vector(1u << 30);
    std::vector<uint32_t> want;
    for (int step = 0; step < kSteps; ++step) {
      vector.grow();
      const auto count = static_cast<uint32_t>(vector.size() / sizeof(uint32_t));
      want.resize(count);
      check::launch(module.function("add_index"), {7}, {128}, nullptr, vector.get(), count);
      for (uint32_t i = 0; i < count; ++i) want[i] += i;
    }
    size = vector.size();
    require_used(before, size, "grown");
    std::vector<uint32_t> got(want.size());
    CU_CHECK(cuMemcpyDtoH_v2(got.data(), vector.get(), size));
    check::require_equal(got, want, "the vector");
    // Copies and sets across the borders of its parts.
    const size_t third = size / 3 / sizeof(uint32_t) * sizeof(uint32_t);
    CU_CHECK(cuMemcpyDtoD_v2(vector.get(), vector.get() + third, third));
    CU_CHECK(cuMemsetD32_v2(vector.get() + third, 77, third / sizeof(uint32_t)));
    CU_CHECK(cuMemcpyDtoH_v2(got.data(), vector.get(), size));
    for (size_t i = 0; i < third / sizeof(uint32_t); ++i) {
      want[i] = want[i + third / sizeof(uint32_t)];
      want[i + third / sizeof(uint32_t)] = 77;
    }
    check::require_equal(got, want, "the vector after copies and sets");
    CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemcpyDtoH_v2(got.data(), vector.get() + 4, size));
  }
  require_used(before, 0, "the vector is gone");
  return size;
}

void check_aliases(const check::Module& module) {
  const size_t step = check::physical_granularity();
  const CUmemGenericAllocationHandle memory = check::create_physical(2 * step);
  const CUdeviceptr addresses = check::reserve(4 * step);
  const CUdeviceptr first = addresses, second = addresses + 2 * step;
  CU_CHECK(cuMemMap(first, 2 * step, 0, memory, 0));
  CU_CHECK(cuMemMap(second, step, 0, memory, 0));  // a part of it
  check::allow(first, 2 * step);
  check::allow(second, step, CU_MEM_ACCESS_FLAGS_PROT_READ);
  constexpr uint32_t kCount = 1000;
  CU_CHECK(cuMemsetD32_v2(first, 5, kCount));
  check::launch(module.function("add_index"), {2}, {64}, nullptr, first, kCount);
  std::vector<uint32_t> got(kCount), want(kCount);
  CU_CHECK(cuMemcpyDtoH_v2(got.data(), second, kCount * sizeof(uint32_t)));
  for (uint32_t i = 0; i < kCount; ++i) want[i] = 5 + i;
  check::require_equal(got, want, "the other address");
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemsetD32_v2(second, 1, kCount));              // read only
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemcpyDtoH_v2(got.data(), second + step, 4));  // beyond the part
  CU_CHECK(cuMemUnmap(first, 2 * step));
  check::allow(second, step);
  CU_CHECK(cuMemsetD32_v2(second, 1, kCount));
  CU_CHECK(cuMemUnmap(second, step));
  CU_CHECK(cuMemRelease(memory));
  CU_CHECK(cuMemAddressFree(addresses, 4 * step));
}

template <typename T>
T attribute(CUpointer_attribute which, CUdeviceptr address) {
  T value{};
  CU_CHECK(cuPointerGetAttribute(&value, which, address));
  return value;
}

void check_attributes() {
  const size_t step = check::physical_granularity();
  const CUdeviceptr base = check::reserve(8 * step), mapped = base + 2 * step;
  const CUmemGenericAllocationHandle memory = check::create_physical(step);
  CU_CHECK(cuMemMap(mapped, step, 0, memory, 0));
  CU_CHECK(cuMemMap(mapped + 3 * step, step, 0, memory, 0));
  REQUIRE(attribute<uint32_t>(CU_POINTER_ATTRIBUTE_MEMORY_TYPE, mapped) == CU_MEMORYTYPE_DEVICE,
          "memory type");
  REQUIRE(attribute<CUdeviceptr>(CU_POINTER_ATTRIBUTE_RANGE_START_ADDR, mapped + 9) == base,
          "start of the range");
  REQUIRE(attribute<size_t>(CU_POINTER_ATTRIBUTE_RANGE_SIZE, mapped) == 8 * step, "size of the range");
  REQUIRE(attribute<CUdeviceptr>(CU_POINTER_ATTRIBUTE_MAPPING_BASE_ADDR, mapped + 9) == mapped,
          "the mapping");
  REQUIRE(attribute<size_t>(CU_POINTER_ATTRIBUTE_MAPPING_SIZE, mapped) == step, "size of the mapping");
  REQUIRE(attribute<uint32_t>(CU_POINTER_ATTRIBUTE_MAPPED, mapped) == 1, "is mapped");
  REQUIRE(attribute<uint32_t>(CU_POINTER_ATTRIBUTE_MAPPED, base) == 0, "is not mapped");
  const CUpointer_attribute block = CU_POINTER_ATTRIBUTE_MEMORY_BLOCK_ID;
  REQUIRE(attribute<uint64_t>(block, mapped) == attribute<uint64_t>(block, mapped + 3 * step), "one block");
  REQUIRE(
      attribute<uint32_t>(CU_POINTER_ATTRIBUTE_ACCESS_FLAGS, mapped) == CU_POINTER_ATTRIBUTE_ACCESS_FLAG_NONE,
      "no access yet");
  check::allow(mapped, step, CU_MEM_ACCESS_FLAGS_PROT_READ);
  REQUIRE(
      attribute<uint32_t>(CU_POINTER_ATTRIBUTE_ACCESS_FLAGS, mapped) == CU_POINTER_ATTRIBUTE_ACCESS_FLAG_READ,
      "read only");
  CUmemAllocationProp properties{};
  CU_CHECK(cuMemGetAllocationPropertiesFromHandle(&properties, memory));
  REQUIRE(properties.type == CU_MEM_ALLOCATION_TYPE_PINNED && properties.location.id == 0, "properties");
  CU_CHECK(cuMemUnmap(mapped, step));
  CU_CHECK(cuMemUnmap(mapped + 3 * step, step));
  CU_CHECK(cuMemRelease(memory));
  CU_CHECK(cuMemAddressFree(base, 8 * step));
}

// Memory goes when neither a handle nor a mapping is left, in whatever order they go.
void check_life() {
  const size_t step = check::physical_granularity(), before = free_memory();
  const CUdeviceptr base = check::reserve(4 * step);
  CUmemGenericAllocationHandle memory = check::create_physical(2 * step), again = 0;
  CU_CHECK(cuMemMap(base, 2 * step, 0, memory, 0));
  CU_CHECK(cuMemRelease(memory));
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemMap(base + 2 * step, step, 0, memory, 0));
  require_used(before, 2 * step, "released and mapped");
  CU_CHECK(cuMemRetainAllocationHandle(&again, reinterpret_cast<void*>(base + step + 100)));
  REQUIRE(again == memory, "the handle it was mapped by");
  CU_CHECK(cuMemUnmap(base, 2 * step));
  require_used(before, 2 * step, "unmapped and retained");
  CU_CHECK(cuMemRelease(again));
  require_used(before, 0, "released at last");
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemRelease(again));
  // What comes next has none of the old bytes.
  memory = check::create_physical(2 * step);
  CU_CHECK(cuMemMap(base, 2 * step, 0, memory, 0));
  check::allow(base, 2 * step);
  uint32_t word = 1;
  CU_CHECK(cuMemcpyDtoH_v2(&word, base + step, sizeof word));
  REQUIRE(word == 0, "new memory holds %u", word);
  CU_CHECK(cuMemUnmap(base, 2 * step));
  CU_CHECK(cuMemRelease(memory));
  CU_CHECK(cuMemAddressFree(base, 4 * step));
}

// All there is can be had this way, and not a byte more.
void check_limit() {
  constexpr size_t kPiece = 64u << 20;
  const size_t before = free_memory();
  const CUmemAllocationProp properties = check::physical_properties();
  std::vector<CUmemGenericAllocationHandle> pieces;
  for (;;) {
    CUmemGenericAllocationHandle piece = 0;
    const CUresult result = cuMemCreate(&piece, kPiece, &properties, 0);
    if (result == CUDA_ERROR_OUT_OF_MEMORY) break;
    CU_CHECK(result);
    pieces.push_back(piece);
    REQUIRE(pieces.size() * kPiece <= before, "got %zu bytes of %zu", pieces.size() * kPiece, before);
  }
  REQUIRE(free_memory() < kPiece, "refused with %zu bytes free", free_memory());
  for (const CUmemGenericAllocationHandle piece : pieces) CU_CHECK(cuMemRelease(piece));
  require_used(before, 0, "all given back");
}

void check_creation_errors() {
  const size_t step = check::physical_granularity();
  CUmemGenericAllocationHandle memory = 0;
  CUmemAllocationProp properties = check::physical_properties();
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemCreate(&memory, step + 4096, &properties, 0));
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemCreate(&memory, 0, &properties, 0));
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemCreate(&memory, step, &properties, 1));
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemCreate(&memory, step, nullptr, 0));
  CU_EXPECT(CUDA_ERROR_OUT_OF_MEMORY, cuMemCreate(&memory, size_t{1} << 46, &properties, 0));
  properties.location.id = 1000;
  CU_EXPECT(CUDA_ERROR_INVALID_DEVICE, cuMemCreate(&memory, step, &properties, 0));
  properties.location = {CU_MEM_LOCATION_TYPE_HOST_NUMA_CURRENT, 0};
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemCreate(&memory, step, &properties, 0));
  properties = check::physical_properties();
  properties.type = CU_MEM_ALLOCATION_TYPE_INVALID;
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemCreate(&memory, step, &properties, 0));
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemRelease(0x1234560));
}

void check_mapping_errors() {
  const size_t step = check::physical_granularity();
  CUdeviceptr base = 0;
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemAddressReserve(&base, step + 1, 0, 0, 0));
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemAddressReserve(&base, 0, 0, 0, 0));
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemAddressReserve(&base, step, 3 * step, 0, 0));
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemAddressReserve(&base, step, 0, 0, 1));
  CU_EXPECT(CUDA_ERROR_OUT_OF_MEMORY, cuMemAddressReserve(&base, size_t{1} << 60, 0, 0, 0));
  CU_CHECK(cuMemAddressReserve(&base, 4 * step, 64 * step, 0, 0));
  REQUIRE(base % (64 * step) == 0, "the alignment asked for");
  const CUmemGenericAllocationHandle memory = check::create_physical(step);
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemMap(base, 2 * step, 0, memory, 0));  // more than there is
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemMap(base + 4096, step, 0, memory, 0));
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemMap(base + 4 * step, step, 0, memory, 0));  // not reserved
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemMap(base, step, step, memory, 0));
  CU_CHECK(cuMemMap(base + step, step, 0, memory, 0));
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemMap(base + step, step, 0, memory, 0));  // mapped already
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemUnmap(base, step));
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemUnmap(base + step, 2 * step));
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemAddressFree(base, 4 * step));  // something is mapped
  CUmemAccessDesc access{{CU_MEM_LOCATION_TYPE_DEVICE, 1000}, CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
  CU_EXPECT(CUDA_ERROR_INVALID_DEVICE, cuMemSetAccess(base + step, step, &access, 1));
  access.location.id = 0;
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemSetAccess(base, 2 * step, &access, 1));  // not all of it is mapped
  CU_CHECK(cuMemSetAccess(base + step, step, &access, 1));
  unsigned long long flags = 0;
  CU_CHECK(cuMemGetAccess(&flags, &access.location, base + step + 8));
  REQUIRE(flags == CU_MEM_ACCESS_FLAGS_PROT_READWRITE, "access %llu", flags);
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemGetAccess(&flags, &access.location, base));
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemFree_v2(base + step));
  CU_CHECK(cuMemUnmap(base + step, step));
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemsetD8_v2(base + step, 0, 1));
  CU_CHECK(cuMemRelease(memory));
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemAddressFree(base, step));
  CU_CHECK(cuMemAddressFree(base, 4 * step));
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemAddressFree(base, 4 * step));
}

// What a kernel that writes meets there.
enum class Place { kNotMapped, kNoAccess, kReadOnly, kUnmapped };

void write_to(Place place) {
  const check::Context context;
  const size_t step = check::physical_granularity();
  const CUdeviceptr base = check::reserve(step);
  const check::DeviceArray<uint32_t> good(32);
  if (place != Place::kNotMapped) {
    const CUmemGenericAllocationHandle memory = check::create_physical(step);
    CU_CHECK(cuMemMap(base, step, 0, memory, 0));
    if (place != Place::kNoAccess) check::allow(base, step);
    if (place == Place::kReadOnly) check::allow(base, step, CU_MEM_ACCESS_FLAGS_PROT_READ);
    if (place == Place::kUnmapped) CU_CHECK(cuMemUnmap(base, step));
  }
  const check::Module module(fault_ptx);
  check::launch(module.function("store_at"), {1}, {32}, nullptr, good.get(), base);
  CU_EXPECT(CUDA_ERROR_ILLEGAL_ADDRESS, cuCtxSynchronize());
}

void require_support() {
  CU_CHECK(cuInit(0));
  int supported = 0;
  CU_CHECK(cuDeviceGetAttribute(&supported, CU_DEVICE_ATTRIBUTE_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED, 0));
  if (supported == 0) check::skip("the device has no virtual memory management");
}

}  // namespace

int main(int argc, char**) {
  watch_free_memory = argc > 1;
  check::in_child("support", require_support);
  for (const Place place : {Place::kNotMapped, Place::kNoAccess, Place::kReadOnly, Place::kUnmapped})
    check::in_child("a kernel that writes where it may not", [place] { write_to(place); });
  const check::Context context;
  const check::Module module(memory_ptx);
  const size_t grown = check_growth(module);
  check_aliases(module);
  check_attributes();
  check_life();
  if (watch_free_memory) check_limit();
  check_creation_errors();
  check_mapping_errors();
  return check::pass("grew to %zu MiB in place; aliases, access, life and errors as CUDA has them",
                     grown >> 20);
}
