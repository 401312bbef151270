// Managed memory that comes and goes page by page: more of it than the device has, prefetches, advice, and
// what the driver says of ranges and pointers. On the software GPU its figures are checked, too.
//
//   driver_managed_memory [LIMIT]     LIMIT: bytes that the process may have on the device, of its slice;
//                                     `in_full`: the driver cannot be kept to it, and managed memory counts
//                                     in full
#include <algorithm>
#include <cstring>
#include <memory>

#include "cuda/managed_memory_table.h"
#include "physical.h"

extern "C" const char memory_ptx[];

namespace {

using tessera::cuda::ManagedMemoryFigures;
using tessera::cuda::ManagedMemoryTable;

constexpr size_t kMiB = 1u << 20;

const ManagedMemoryTable* table() {
  static const ManagedMemoryTable* const found = [] {
    const void* any = nullptr;
    const CUresult result = cuGetExportTable(&any, &tessera::cuda::kManagedMemoryTable);
    return result == CUDA_SUCCESS ? static_cast<const ManagedMemoryTable*>(any) : nullptr;
  }();
  return found;
}

// Zeros where the driver has none.
ManagedMemoryFigures figures(CUdevice device = 0) {
  ManagedMemoryFigures now{};
  if (table() != nullptr) CU_CHECK(table()->figures(device, &now));
  return now;
}

// With a driver that tells of them.
void require_figures(bool true_of_them, const char* what) {
  REQUIRE(table() == nullptr || true_of_them, "%s", what);
}

class Managed {
 public:
  explicit Managed(size_t bytes) : count_(bytes / sizeof(uint32_t)) {
    CU_CHECK(cuMemAllocManaged(&address_, bytes, CU_MEM_ATTACH_GLOBAL));
  }
  ~Managed() { CU_CHECK(cuMemFree_v2(address_)); }
  Managed(const Managed&) = delete;
  Managed& operator=(const Managed&) = delete;

  CUdeviceptr at(size_t offset = 0) const { return address_ + offset; }
  size_t bytes() const { return count_ * sizeof(uint32_t); }
  uint32_t* words() const { return reinterpret_cast<uint32_t*>(address_); }
  size_t count() const { return count_; }

 private:
  CUdeviceptr address_ = 0;
  size_t count_;
};

class Adder {
 public:
  Adder() : module_(memory_ptx), add_(module_.function("add_index")) {}
  // Adds to each word its index in the range.
  void run(CUdeviceptr words, size_t count) const {
    check::launch(add_, {check::blocks_for(count, 256)}, {256}, nullptr, words, static_cast<uint32_t>(count));
    CU_CHECK(cuCtxSynchronize());
  }
  void run(const Managed& memory) const { run(memory.at(), memory.count()); }

 private:
  check::Module module_;
  CUfunction add_;
};

void require_words(const Managed& memory, uint32_t factor, uint32_t plus, const char* what) {
  for (size_t i = 0; i < memory.count(); ++i) {
    const auto want = static_cast<uint32_t>(i) * factor + plus;
    REQUIRE(memory.words()[i] == want, "%s: word %zu is %u, not %u", what, i, memory.words()[i], want);
  }
}

size_t free_bytes() {
  size_t free = 0, total = 0;
  CU_CHECK(cuMemGetInfo_v2(&free, &total));
  return free;
}

// Kernels run right over twice what fits, and the host's words and the device's are each other's.
void check_larger_than_the_device(const Adder& adder, size_t room) {
  const Managed memory(2 * room);
  const ManagedMemoryFigures before = figures();
  for (size_t i = 0; i < memory.count(); ++i) memory.words()[i] = 5;
  adder.run(memory);
  require_words(memory, 1, 5, "once");
  std::fill(memory.words(), memory.words() + memory.count(), 7);
  adder.run(memory);
  require_words(memory, 1, 7, "again");
  const ManagedMemoryFigures after = figures();
  require_figures(after.resident_bytes <= room, "more is on the device than it has room for");
  require_figures(after.faults - before.faults >= memory.bytes() / (2 * kMiB), "kernels did not fault");
  require_figures(after.evicted_bytes > before.evicted_bytes, "nothing left the device");
}

// The device's other memory goes before managed pages.
void check_room_for_others(const Adder& adder, size_t room) {
  const Managed memory(room / 2);
  adder.run(memory);
  const size_t resident = figures().resident_bytes;
  require_figures(resident == memory.bytes(), "not all of it is on the device");
  CUdeviceptr large = 0;
  CU_CHECK(cuMemAlloc_v2(&large, room / 4 * 3));
  require_figures(figures().resident_bytes < resident, "managed pages did not give way");
  adder.run(memory);
  require_words(memory, 2, 0, "beside other memory");
  CU_CHECK(cuMemFree_v2(large));
}

// As above, by other roads than cuMemAlloc: physical memory, memory in the order of a stream, a graph's.
void check_room_by_all_roads(const Adder& adder, size_t room) {
  const auto gives_way_to = [&](const char* what, const auto& allocate) {
    const Managed memory(room / 4 * 3);
    adder.run(memory);
    const size_t resident = figures().resident_bytes;
    const auto free = allocate(room / 2 / (2 * kMiB) * (2 * kMiB));
    require_figures(figures().resident_bytes < resident, what);
    adder.run(memory);
    require_words(memory, 2, 0, what);
    free();
  };
  gives_way_to("physical memory", [](size_t bytes) {
    const CUmemGenericAllocationHandle physical = check::create_physical(bytes);
    return [physical] { CU_CHECK(cuMemRelease(physical)); };
  });
  gives_way_to("memory in a stream's order", [](size_t bytes) {
    CUdeviceptr large = 0;
    CU_CHECK(cuMemAllocAsync(&large, bytes, nullptr));
    return [large] {
      CU_CHECK(cuMemFreeAsync(large, nullptr));
      CU_CHECK(cuCtxSynchronize());
      CUmemoryPool pool = nullptr;
      CU_CHECK(cuDeviceGetDefaultMemPool(&pool, 0));
      CU_CHECK(cuMemPoolTrimTo(pool, 0));
    };
  });
  gives_way_to("a graph's memory", [](size_t bytes) {
    CUgraph graph = nullptr;
    CUgraphNode node = nullptr;
    CUgraphExec exec = nullptr;
    CU_CHECK(cuGraphCreate(&graph, 0));
    CUDA_MEM_ALLOC_NODE_PARAMS params{};
    params.poolProps.allocType = CU_MEM_ALLOCATION_TYPE_PINNED;
    params.poolProps.location = {CU_MEM_LOCATION_TYPE_DEVICE, 0};
    params.bytesize = bytes;
    CU_CHECK(cuGraphAddMemAllocNode(&node, graph, nullptr, 0, &params));
    CUgraphNode last = nullptr;
    CU_CHECK(cuGraphAddMemFreeNode(&last, graph, &node, 1, params.dptr));
    CU_CHECK(cuGraphInstantiateWithFlags(&exec, graph, 0));
    CU_CHECK(cuGraphLaunch(exec, nullptr));
    CU_CHECK(cuCtxSynchronize());
    return [graph, exec] {
      CU_CHECK(cuGraphExecDestroy(exec));
      CU_CHECK(cuGraphDestroy(graph));
      CU_CHECK(cuDeviceGraphMemTrim(0));
    };
  });
}

void check_prefetch(const Adder& adder, bool in_slice) {
  const Managed memory(4 * kMiB);
  CU_CHECK(cuMemPrefetchAsync(memory.at(), memory.bytes(), 0, nullptr));
  CU_CHECK(cuCtxSynchronize());
  require_figures(figures().resident_bytes == memory.bytes(), "it is not on the device");
  const uint64_t faults = figures().faults;
  adder.run(memory);
  require_figures(figures().faults == faults, "kernels faulted on what was there");
  const size_t free = free_bytes();  // in a slice: what is not charged
  CU_CHECK(
      cuMemPrefetchAsync_v2(memory.at(), memory.bytes() / 2, {CU_MEM_LOCATION_TYPE_HOST, 0}, 0, nullptr));
  CU_CHECK(cuCtxSynchronize());
  require_figures(figures().resident_bytes == memory.bytes() / 2, "half of it is on the host");
  require_figures(free_bytes() == free + (in_slice ? 0 : memory.bytes() / 2),
                  "what is on the host counts on the device");
  require_words(memory, 1, 0, "prefetched");
  int where = 0;
  CU_CHECK(cuMemRangeGetAttribute(&where, sizeof where, CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION,
                                  memory.at(kMiB), kMiB));
  REQUIRE(where == CU_DEVICE_CPU, "the last prefetch was to %d", where);
  CU_CHECK(cuMemRangeGetAttribute(&where, sizeof where, CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION,
                                  memory.at(), memory.bytes()));
  REQUIRE(where == CU_DEVICE_INVALID, "two places are %d", where);
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemPrefetchAsync(memory.at(), memory.bytes() + 1, 0, nullptr));
  CU_EXPECT(CUDA_ERROR_INVALID_DEVICE, cuMemPrefetchAsync(memory.at(), kMiB, 99, nullptr));
}

int attribute(const Managed& memory, CUmem_range_attribute which, size_t offset, size_t bytes) {
  int value = 0;
  CU_CHECK(cuMemRangeGetAttribute(&value, sizeof value, which, memory.at(offset), bytes));
  return value;
}

void check_advice(const Adder& adder) {
  const Managed memory(4 * kMiB);
  // On the host, whoever touches it.
  CU_CHECK(cuMemAdvise(memory.at(), kMiB, CU_MEM_ADVISE_SET_PREFERRED_LOCATION, CU_DEVICE_CPU));
  CU_CHECK(cuMemAdvise_v2(memory.at(kMiB), kMiB, CU_MEM_ADVISE_SET_READ_MOSTLY,
                          {CU_MEM_LOCATION_TYPE_INVALID, 0}));
  CU_CHECK(cuMemAdvise(memory.at(2 * kMiB), kMiB, CU_MEM_ADVISE_SET_ACCESSED_BY, 0));
  adder.run(memory);
  require_words(memory, 1, 0, "advised");
  const ManagedMemoryFigures now = figures();
  require_figures(now.resident_bytes == 2 * kMiB,
                  "what is preferred on the host, or always mapped, is on the device");
  REQUIRE(attribute(memory, CU_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION, 0, kMiB) == CU_DEVICE_CPU,
          "the preferred place");
  REQUIRE(attribute(memory, CU_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION, 0, 2 * kMiB) == CU_DEVICE_INVALID,
          "no common place");
  REQUIRE(attribute(memory, CU_MEM_RANGE_ATTRIBUTE_READ_MOSTLY, kMiB, kMiB) == 1, "read-mostly");
  REQUIRE(attribute(memory, CU_MEM_RANGE_ATTRIBUTE_READ_MOSTLY, 0, 2 * kMiB) == 0, "read-mostly in part");
  int devices[2] = {0, 0};
  CU_CHECK(cuMemRangeGetAttribute(devices, sizeof devices, CU_MEM_RANGE_ATTRIBUTE_ACCESSED_BY,
                                  memory.at(2 * kMiB), kMiB));
  REQUIRE(devices[0] == 0 && devices[1] == CU_DEVICE_INVALID, "accessed by %d and %d", devices[0],
          devices[1]);
  CU_CHECK(cuMemAdvise(memory.at(), kMiB, CU_MEM_ADVISE_UNSET_PREFERRED_LOCATION, 0));
  REQUIRE(attribute(memory, CU_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION, 0, kMiB) == CU_DEVICE_INVALID,
          "no preferred place");
}

struct PointerFacts {
  uint32_t type = 0, managed = 0;
  int32_t ordinal = 0;
  uint64_t device = 0, host = 0;
  CUresult host_result = CUDA_SUCCESS;
};

PointerFacts facts_of(CUdeviceptr pointer) {
  PointerFacts facts;
  CU_CHECK(cuPointerGetAttribute(&facts.type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, pointer));
  CU_CHECK(cuPointerGetAttribute(&facts.managed, CU_POINTER_ATTRIBUTE_IS_MANAGED, pointer));
  CU_CHECK(cuPointerGetAttribute(&facts.ordinal, CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, pointer));
  CU_CHECK(cuPointerGetAttribute(&facts.device, CU_POINTER_ATTRIBUTE_DEVICE_POINTER, pointer));
  facts.host_result = cuPointerGetAttribute(&facts.host, CU_POINTER_ATTRIBUTE_HOST_POINTER, pointer);
  return facts;
}

// One pointer for host and device, and what the driver says of it.
void check_pointers() {
  const Managed memory(kMiB);
  const PointerFacts managed = facts_of(memory.at(100));
  REQUIRE(managed.managed == 1 && managed.type == CU_MEMORYTYPE_DEVICE, "managed memory is of type %u",
          managed.type);
  REQUIRE(managed.device == memory.at(100) && managed.host == memory.at(100),
          "it has another address elsewhere");
  CUdeviceptr linear = 0;
  CU_CHECK(cuMemAlloc_v2(&linear, kMiB));
  const PointerFacts device = facts_of(linear);
  REQUIRE(device.managed == 0 && device.type == CU_MEMORYTYPE_DEVICE && device.ordinal == 0,
          "device memory is of type %u", device.type);
  REQUIRE(device.host_result == CUDA_ERROR_INVALID_VALUE, "device memory has a host address");
  CU_CHECK(cuMemFree_v2(linear));
  void* pinned = nullptr;
  CU_CHECK(cuMemAllocHost_v2(&pinned, kMiB));
  const PointerFacts host = facts_of(reinterpret_cast<CUdeviceptr>(pinned));
  REQUIRE(host.managed == 0 && host.type == CU_MEMORYTYPE_HOST, "host memory is of type %u", host.type);
  REQUIRE(host.device == host.host, "host memory has another address on the device");
  CU_CHECK(cuMemFreeHost(pinned));
}

// Copies and sets reach it, wherever it is, and not beyond it.
void check_copies(const Adder& adder) {
  const Managed memory(2 * kMiB);
  check::DeviceArray<uint32_t> other(memory.count());
  other.fill(0);
  CU_CHECK(cuMemsetD32_v2(memory.at(), 3, memory.count()));
  adder.run(memory);
  CU_CHECK(cuMemcpyDtoD_v2(other.get(), memory.at(), memory.bytes()));
  adder.run(memory);
  CU_CHECK(cuMemcpy(memory.at(), other.get(), memory.bytes()));
  require_words(memory, 1, 3, "copied");
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemsetD32_v2(memory.at(), 3, memory.count() + 1));
}

// Refused while there is other memory, which stays what it was, and can be freed.
void check_no_address_space_holds_it(const Adder& adder) {
  const Managed memory(kMiB);
  std::fill_n(memory.words(), memory.count(), 7);
  for (const size_t bytes : {SIZE_MAX, SIZE_MAX - 511, SIZE_MAX / 2, size_t{1} << 57}) {
    CUdeviceptr unused = 0;
    CU_EXPECT(CUDA_ERROR_OUT_OF_MEMORY, cuMemAllocManaged(&unused, bytes, CU_MEM_ATTACH_GLOBAL));
  }
  adder.run(memory);
  require_words(memory, 1, 7, "beside a refusal");
}

// What is mostly read is with both until one writes; pointers say whose memory is whose.
void check_two_devices(const Adder& adder) {
  int count = 0;
  CU_CHECK(cuDeviceGetCount(&count));
  if (count < 2) return;
  const Managed memory(2 * kMiB);
  CU_CHECK(cuMemAdvise(memory.at(), memory.bytes(), CU_MEM_ADVISE_SET_READ_MOSTLY, 0));
  for (const CUdevice device : {0, 1})
    CU_CHECK(cuMemPrefetchAsync(memory.at(), memory.bytes(), device, nullptr));
  CU_CHECK(cuCtxSynchronize());
  require_figures(figures(0).resident_bytes == memory.bytes() && figures(1).resident_bytes == memory.bytes(),
                  "it is not with both devices");
  adder.run(memory);
  require_words(memory, 1, 0, "written by one device");
  require_figures(figures(0).resident_bytes == memory.bytes() && figures(1).resident_bytes == 0,
                  "it was written while another device had it");
  CUcontext other = nullptr, popped = nullptr;
  CUdeviceptr peers = 0;
  CU_CHECK(cuCtxCreate_v2(&other, 0, 1));
  CU_CHECK(cuMemAlloc_v2(&peers, kMiB));
  CU_CHECK(cuCtxPopCurrent_v2(&popped));
  const PointerFacts facts = facts_of(peers);
  REQUIRE(facts.ordinal == 1 && facts.type == CU_MEMORYTYPE_DEVICE && facts.managed == 0,
          "a peer's memory is device %d's", facts.ordinal);
  CU_CHECK(cuCtxDestroy_v2(other));
}

}  // namespace

int main(int argc, char** argv) {
  const check::Context context;
  const bool in_full = argc > 1 && strcmp(argv[1], "in_full") == 0;
  // What a slice grants counts as a device of that size.
  const size_t room = argc > 1 && !in_full ? std::strtoull(argv[1], nullptr, 10) : free_bytes();
  {
    const Adder adder;
    check_pointers();
    check_copies(adder);
    check_no_address_space_holds_it(adder);
    if (in_full) {
      CUdeviceptr unused = 0;
      CU_EXPECT(CUDA_ERROR_OUT_OF_MEMORY, cuMemAllocManaged(&unused, room + kMiB, CU_MEM_ATTACH_GLOBAL));
      return check::pass("managed memory counts in full");
    }
    check_prefetch(adder, argc > 1);
    check_advice(adder);
    check_two_devices(adder);
    check_larger_than_the_device(adder, room);
    check_room_for_others(adder, room);
    check_room_by_all_roads(adder, room);
  }
  require_figures(figures().resident_bytes == 0, "freed memory is on the device");
  return check::pass(
      "%zu MiB over %zu, prefetches, advice, pointers, copies: exact; %llu faults, %llu MiB left the device",
      2 * room / kMiB, room / kMiB, static_cast<unsigned long long>(figures().faults),
      static_cast<unsigned long long>(figures().evicted_bytes / kMiB));
}
