// Memory of cuMemAlloc that two processes share by handles: each sees what the other's kernels wrote, the
// importer keeps it when the exporter frees it or is killed, and handles of anything else are refused. With
// the limit of the slice in bytes as argument, the importer's charge and its refusal are looked at too:
// nobody else uses the slice then.
#include <signal.h>

#include "driver_check.h"
#include "two_processes.h"

extern "C" const char memory_ptx[];

namespace {

constexpr uint32_t kCount = 100001;  // words that are shared: they end within a page
constexpr size_t kBytes = kCount * sizeof(uint32_t);
constexpr unsigned kFlags = CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS;

size_t limit = 0;  // 0: not known

// 0 where others use the device too, and it says nothing.
size_t free_memory() {
  if (limit == 0) return 0;
  size_t free = 0, total = 0;
  CU_CHECK(cuMemGetInfo_v2(&free, &total));
  return free;
}

CUdeviceptr allocate(size_t bytes) {
  CUdeviceptr address = 0;
  CU_CHECK(cuMemAlloc_v2(&address, bytes));
  return address;
}

CUipcMemHandle handle_of(CUdeviceptr address) {
  CUipcMemHandle handle{};
  CU_CHECK(cuIpcGetMemHandle(&handle, address));
  return handle;
}

CUdeviceptr open(const CUipcMemHandle& handle) {
  CUdeviceptr address = 0;
  CU_CHECK(cuIpcOpenMemHandle_v2(&address, handle, kFlags));
  return address;
}

void add_index(const check::Module& module, CUdeviceptr address) {
  check::launch(module.function("add_index"), {7}, {128}, nullptr, address, kCount);
  CU_CHECK(cuCtxSynchronize());
}

void require(CUdeviceptr address, uint32_t base, uint32_t factor, const char* when) {
  std::vector<uint32_t> got(kCount), want(kCount);
  CU_CHECK(cuMemcpyDtoH_v2(got.data(), address, kBytes));
  for (uint32_t i = 0; i < kCount; ++i) want[i] = base + factor * i;
  check::require_equal(got, want, when);
}

// Between allocations that must not change.
void share_out(const check::Peer& peer) {
  const check::Context context;
  const check::Module module(memory_ptx);
  check::DeviceArray<uint32_t> before(std::vector<uint32_t>(33, 5));
  const CUdeviceptr shared = allocate(kBytes);
  check::DeviceArray<uint32_t> after(std::vector<uint32_t>(33, 6));
  CU_CHECK(cuMemsetD32_v2(shared, 3, kCount));
  add_index(module, shared);
  peer.send(handle_of(shared));
  peer.send(handle_of(shared + 40));  // of the same allocation
  peer.await_turn();
  require(shared, 3, 2, "what the importer's kernel wrote");
  add_index(module, shared);
  CU_CHECK(cuMemFree_v2(shared));
  check::DeviceArray<uint32_t> next(std::vector<uint32_t>(kCount, 9));  // not in the place of what is lent
  peer.turn();
  peer.await_turn();
  check::require_equal(next.download(), std::vector<uint32_t>(kCount, 9), "memory made after the free");
  check::require_equal(before.download(), std::vector<uint32_t>(33, 5), "memory before the shared");
  check::require_equal(after.download(), std::vector<uint32_t>(33, 6), "memory behind the shared");
}

void require_facts(CUdeviceptr address) {
  CUdeviceptr base = 0;
  size_t size = 0;
  CU_CHECK(cuMemGetAddressRange_v2(&base, &size, address + 100));
  REQUIRE(base == address && size == kBytes, "imported memory of %zu bytes, not %zu", size, kBytes);
  int capable = 1;
  CU_CHECK(cuPointerGetAttribute(&capable, CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE, address));
  REQUIRE(capable == 0, "imported memory says that it can be exported");
  CUipcMemHandle handle{};
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuIpcGetMemHandle(&handle, address));
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemFree_v2(address));
}

void share_in(const check::Peer& peer) {
  const check::Context context;
  const check::Module module(memory_ptx);
  const auto handle = peer.receive<CUipcMemHandle>(), same = peer.receive<CUipcMemHandle>();
  const size_t before = free_memory();
  const CUdeviceptr shared = open(handle);
  const size_t charged = before - free_memory(), whole = (kBytes + 511) / 512 * 512;
  if (limit != 0) REQUIRE(charged == whole, "charged %zu bytes for %zu", charged, whole);
  REQUIRE(open(same) == shared, "the same memory at another address");
  REQUIRE(before - free_memory() == charged, "charged again");
  require_facts(shared);
  require(shared, 3, 1, "what the exporter's kernel wrote");
  add_index(module, shared);
  peer.turn();
  peer.await_turn();  // it has freed the memory
  require(shared, 3, 3, "after the exporter's free");
  add_index(module, shared);
  CU_CHECK(cuIpcCloseMemHandle(shared));
  require(shared, 3, 4, "open once still");
  CU_CHECK(cuIpcCloseMemHandle(shared));
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuIpcCloseMemHandle(shared));
  if (limit != 0)
    REQUIRE(free_memory() + kBytes > before, "%zu bytes free, %zu before", free_memory(), before);
  CUdeviceptr none = 0;
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuIpcOpenMemHandle_v2(&none, handle, kFlags));
  peer.turn();
  peer.await_end();
}

void export_and_be_killed(const check::Peer& peer) {
  const check::Context context;
  const check::Module module(memory_ptx);
  const CUdeviceptr shared = allocate(kBytes);
  CU_CHECK(cuMemsetD32_v2(shared, 3, kCount));
  add_index(module, shared);
  peer.send(handle_of(shared));
  peer.await_turn();
  raise(SIGKILL);
}

void outlive_the_exporter(const check::Peer& peer) {
  const check::Context context;
  const check::Module module(memory_ptx);
  const auto handle = peer.receive<CUipcMemHandle>();
  const CUdeviceptr shared = open(handle);
  peer.turn();
  peer.await_end();
  require(shared, 3, 1, "memory of a killed process");
  add_index(module, shared);
  require(shared, 3, 2, "what was written after its end");
  REQUIRE(open(handle) == shared, "memory that is open can be opened again");
  CU_CHECK(cuIpcCloseMemHandle(shared));
  CU_CHECK(cuIpcCloseMemHandle(shared));
  CUdeviceptr none = 0;
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuIpcOpenMemHandle_v2(&none, handle, kFlags));
}

void export_for_refusals(const check::Peer& peer) {
  const check::Context context;
  const CUdeviceptr shared = allocate(kBytes);
  const CUipcMemHandle handle = handle_of(shared);
  CUdeviceptr none = 0;
  CU_EXPECT(CUDA_ERROR_INVALID_CONTEXT, cuIpcOpenMemHandle_v2(&none, handle, kFlags));
  CUipcMemHandle unused{};
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuIpcGetMemHandle(nullptr, shared));
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuIpcGetMemHandle(&unused, 0));
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuIpcCloseMemHandle(shared));
  CUdeviceptr managed = 0, of_pool = 0;
  CU_CHECK(cuMemAllocManaged(&managed, 4096, CU_MEM_ATTACH_GLOBAL));
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuIpcGetMemHandle(&unused, managed));
  CU_CHECK(cuMemFree_v2(managed));
  CU_CHECK(cuMemAllocAsync(&of_pool, 4096, nullptr));
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuIpcGetMemHandle(&unused, of_pool));
  CU_CHECK(cuMemFreeAsync(of_pool, nullptr));
  peer.send(handle);
  peer.await_turn();
}

void require_refusals(const check::Peer& peer) {
  const check::Context context;
  const auto handle = peer.receive<CUipcMemHandle>();
  const size_t before = free_memory();
  CUdeviceptr none = 0;
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuIpcOpenMemHandle_v2(nullptr, handle, kFlags));
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuIpcOpenMemHandle_v2(&none, handle, 0));
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuIpcOpenMemHandle_v2(&none, CUipcMemHandle{}, kFlags));
  for (size_t bit = 0; bit < sizeof handle * 8; ++bit) {
    CUipcMemHandle damaged = handle;
    damaged.reserved[bit / 8] = static_cast<char>(damaged.reserved[bit / 8] ^ 1 << bit % 8);
    const CUresult result = cuIpcOpenMemHandle_v2(&none, damaged, kFlags);
    REQUIRE(result == CUDA_ERROR_INVALID_VALUE, "bit %zu damaged: %s", bit, cu_name(result));
  }
  const CUdeviceptr shared = open(handle);
  CUcontext other = nullptr;
  CU_CHECK(cuCtxCreate_v2(&other, 0, context.device()));
  CU_EXPECT(CUDA_ERROR_ALREADY_MAPPED, cuIpcOpenMemHandle_v2(&none, handle, kFlags));
  CU_CHECK(cuCtxDestroy_v2(other));
  CU_CHECK(cuIpcCloseMemHandle(shared));
  CU_CHECK(cuCtxCreate_v2(&other, 0, context.device()));
  open(handle);
  CU_CHECK(cuCtxDestroy_v2(other));  // and what it has open
  REQUIRE(free_memory() == before, "%zu bytes free at the end, %zu at first", free_memory(), before);
  peer.turn();
}

// More than half of the slice: there is no room to hold it twice.
void export_large(const check::Peer& peer) {
  const check::Context context;
  const CUdeviceptr shared = allocate(limit / 2 + (16u << 20));
  peer.send(handle_of(shared));
  peer.await_turn();
}

void refuse_large(const check::Peer& peer) {
  const check::Context context;
  const auto handle = peer.receive<CUipcMemHandle>();
  const size_t before = free_memory();
  CUdeviceptr none = 0;
  for (int i = 0; i < 3; ++i)
    CU_EXPECT(CUDA_ERROR_OUT_OF_MEMORY, cuIpcOpenMemHandle_v2(&none, handle, kFlags));
  REQUIRE(free_memory() == before, "refusals took memory: %zu bytes free, %zu before", free_memory(), before);
  peer.turn();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1) limit = std::strtoull(argv[1], nullptr, 10);
  check::in_two_processes("sharing", share_out, share_in);
  check::in_two_processes("a killed exporter", export_and_be_killed, outlive_the_exporter,
                          check::End::kKilled);
  check::in_two_processes("refusals", export_for_refusals, require_refusals);
  if (limit != 0) check::in_two_processes("the limit", export_large, refuse_large);
  return check::pass("%u words shared by two processes; the importer outlived free and end", kCount);
}
