// Stream-ordered memory of a pool that two processes share: the pool by a file descriptor, each allocation by
// export data, the order by events. The importer frees first, as CUDA wants it, in stream order and at once;
// bad descriptors and data are refused. With the limit of the slice in bytes as argument, the importer's
// charge and its refusal are looked at too: nobody else uses the slice then.
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>

#include "driver_check.h"
#include "two_processes.h"

extern "C" const char memory_ptx[];

namespace {

constexpr auto kDescriptor = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR;
constexpr uint32_t kCount = 100001;
constexpr size_t kBytes = kCount * sizeof(uint32_t);
constexpr size_t kCharged = (kBytes + 511) / 512 * 512;

size_t limit = 0;  // 0: not known

// 0 where others use the device too, and it says nothing.
size_t free_memory() {
  if (limit == 0) return 0;
  size_t free = 0, total = 0;
  CU_CHECK(cuMemGetInfo_v2(&free, &total));
  return free;
}

CUmemoryPool make_pool(CUmemAllocationHandleType types = kDescriptor) {
  CUmemPoolProps properties{};
  properties.allocType = CU_MEM_ALLOCATION_TYPE_PINNED;
  properties.handleTypes = types;
  properties.location = {CU_MEM_LOCATION_TYPE_DEVICE, 0};
  CUmemoryPool pool = nullptr;
  CU_CHECK(cuMemPoolCreate(&pool, &properties));
  cuuint64_t keep = UINT64_MAX;  // shared blocks are not kept all the same
  CU_CHECK(cuMemPoolSetAttribute(pool, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &keep));
  return pool;
}

CUdeviceptr allocate(CUmemoryPool pool, size_t bytes = kBytes) {
  CUdeviceptr address = 0;
  CU_CHECK(cuMemAllocFromPoolAsync(&address, bytes, pool, nullptr));
  return address;
}

CUmemPoolPtrExportData data_of(CUdeviceptr address) {
  CUmemPoolPtrExportData data{};
  CU_CHECK(cuMemPoolExportPointer(&data, address));
  return data;
}

int export_pool(CUmemoryPool pool) {
  int fd = -1;
  CU_CHECK(cuMemPoolExportToShareableHandle(&fd, pool, kDescriptor, 0));
  REQUIRE(fd >= 0, "exported descriptor %d", fd);
  return fd;
}

void send_pool(const check::Peer& peer, CUmemoryPool pool) {
  const int fd = export_pool(pool);
  peer.send_descriptor(fd);
  close(fd);
}

CUresult try_import_pool(int fd, CUmemoryPool* pool) {
  return cuMemPoolImportFromShareableHandle(pool, reinterpret_cast<void*>(static_cast<intptr_t>(fd)),
                                            kDescriptor, 0);
}

CUmemoryPool receive_pool(const check::Peer& peer) {
  const int fd = peer.receive_descriptor();
  CUmemoryPool pool = nullptr;
  CU_CHECK(try_import_pool(fd, &pool));
  close(fd);
  return pool;
}

CUdeviceptr import(CUmemoryPool pool, CUmemPoolPtrExportData data) {
  CUdeviceptr address = 0;
  CU_CHECK(cuMemPoolImportPointer(&address, pool, &data));
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

uint64_t attribute(CUmemoryPool pool, CUmemPool_attribute which) {
  cuuint64_t value = 0;
  CU_CHECK(cuMemPoolGetAttribute(pool, which, &value));
  return value;
}

// Three rounds, so that blocks that were shared are seen not to come again while they are held.
constexpr int kRounds = 3;

void share_out(const check::Peer& peer) {
  const check::Context context;
  const check::Module module(memory_ptx);
  const CUmemoryPool pool = make_pool();
  send_pool(peer, pool);
  for (int round = 0; round < kRounds; ++round) {
    const CUdeviceptr shared = allocate(pool);
    CU_CHECK(cuMemsetD32Async(shared, 3, kCount, nullptr));
    add_index(module, shared);
    peer.send(data_of(shared));
    peer.await_turn();
    require(shared, 3, 2, "what the importer's kernel wrote");
    CU_CHECK(cuMemFreeAsync(shared, nullptr));
    CU_CHECK(cuStreamSynchronize(nullptr));
    REQUIRE(attribute(pool, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT) == 0, "a shared block is kept");
    const CUdeviceptr next = allocate(pool);  // the importer has what was shared still
    CU_CHECK(cuMemsetD32_v2(next, 77, kCount));
    peer.turn();
    peer.await_turn();
    require(next, 77, 0, "memory made after the free");
    CU_CHECK(cuMemFree_v2(next));
    CU_CHECK(cuMemPoolTrimTo(pool, 0));
  }
  CU_CHECK(cuMemPoolDestroy(pool));
}

void share_in(const check::Peer& peer) {
  const check::Context context;
  const check::Module module(memory_ptx);
  const CUmemoryPool pool = receive_pool(peer);
  for (int round = 0; round < kRounds; ++round) {
    const auto data = peer.receive<CUmemPoolPtrExportData>();
    const size_t before = free_memory();
    const CUdeviceptr shared = import(pool, data);
    if (limit != 0) REQUIRE(before - free_memory() == kCharged, "charged %zu bytes", before - free_memory());
    CUmemPoolPtrExportData again = data;
    CUdeviceptr none = 0;
    CU_EXPECT(CUDA_ERROR_ALREADY_MAPPED, cuMemPoolImportPointer(&none, pool, &again));
    require(shared, 3, 1, "what the exporter's kernel wrote");
    add_index(module, shared);
    peer.turn();
    peer.await_turn();
    require(shared, 3, 2, "after the exporter's free");
    if (round % 2 == 0) {
      CU_CHECK(cuMemFreeAsync(shared, nullptr));
      CU_CHECK(cuStreamSynchronize(nullptr));
    } else {
      CU_CHECK(cuMemFree_v2(shared));
    }
    REQUIRE(attribute(pool, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT) == 0, "imported memory is kept");
    CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemFree_v2(shared));
    CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemPoolImportPointer(&none, pool, &again));  // freed by its owner
    peer.turn();
  }
  CU_CHECK(cuMemPoolDestroy(pool));
  peer.await_end();
}

void export_and_be_killed(const check::Peer& peer) {
  const check::Context context;
  const CUmemoryPool pool = make_pool();
  send_pool(peer, pool);
  const CUdeviceptr shared = allocate(pool);
  CU_CHECK(cuMemsetD32_v2(shared, 3, kCount));
  peer.send(data_of(shared));
  peer.await_turn();
  raise(SIGKILL);
}

void outlive_the_exporter(const check::Peer& peer) {
  const check::Context context;
  const check::Module module(memory_ptx);
  const CUmemoryPool pool = receive_pool(peer);
  auto data = peer.receive<CUmemPoolPtrExportData>();
  const CUdeviceptr shared = import(pool, data);
  peer.turn();
  peer.await_end();
  add_index(module, shared);
  require(shared, 3, 1, "memory of a killed process");
  CU_CHECK(cuMemFree_v2(shared));
  CUdeviceptr none = 0;
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemPoolImportPointer(&none, pool, &data));
  CU_CHECK(cuMemPoolDestroy(pool));
}

void export_for_refusals(const check::Peer& peer) {
  const check::Context context;
  const CUmemoryPool plain = make_pool(CU_MEM_HANDLE_TYPE_NONE), pool = make_pool();
  int fd = -1;
  CUmemPoolPtrExportData data{};
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemPoolExportToShareableHandle(&fd, plain, kDescriptor, 0));
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemPoolExportToShareableHandle(&fd, pool, kDescriptor, 1));
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemPoolExportToShareableHandle(nullptr, pool, kDescriptor, 0));
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE,
            cuMemPoolExportToShareableHandle(&fd, pool, CU_MEM_HANDLE_TYPE_NONE, 0));
  const CUdeviceptr of_plain = allocate(plain), shared = allocate(pool);
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemPoolExportPointer(&data, of_plain));
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemPoolExportPointer(nullptr, shared));
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemPoolExportPointer(&data, 0));
  const CUmemoryPool other = make_pool();
  send_pool(peer, pool);
  send_pool(peer, other);
  peer.send(data_of(shared));
  peer.await_turn();
  CU_CHECK(cuMemFree_v2(shared));
  CU_CHECK(cuMemFree_v2(of_plain));
  CU_CHECK(cuMemPoolDestroy(other));
  CU_CHECK(cuMemPoolDestroy(pool));
  CU_CHECK(cuMemPoolDestroy(plain));
}

void require_not_imported(int fd, const char* what) {
  CUmemoryPool pool = nullptr;
  const CUresult result = try_import_pool(fd, &pool);
  REQUIRE(result == CUDA_ERROR_INVALID_VALUE, "%s: %s", what, cu_name(result));
  close(fd);
}

void require_refusals(const check::Peer& peer) {
  const check::Context context;
  const CUmemoryPool pool = receive_pool(peer), other = receive_pool(peer);
  auto data = peer.receive<CUmemPoolPtrExportData>();
  CUdeviceptr none = 0;
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemAllocFromPoolAsync(&none, kBytes, pool, nullptr));
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuDeviceSetMemPool(0, pool));
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemPoolImportPointer(&none, other, &data));
  int fd = -1;
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemPoolExportToShareableHandle(&fd, pool, kDescriptor, 0));
  for (size_t bit = 0; bit < sizeof data * 8; ++bit) {
    CUmemPoolPtrExportData damaged = data;
    damaged.reserved[bit / 8] = static_cast<unsigned char>(damaged.reserved[bit / 8] ^ 1 << bit % 8);
    const CUresult result = cuMemPoolImportPointer(&none, pool, &damaged);
    REQUIRE(result == CUDA_ERROR_INVALID_VALUE, "bit %zu damaged: %s", bit, cu_name(result));
  }
  const CUdeviceptr shared = import(pool, data);
  CUmemPoolPtrExportData unused{};
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemPoolExportPointer(&unused, shared));
  CU_CHECK(cuMemFree_v2(shared));
  require_not_imported(0x7ffffff0, "no descriptor");
  require_not_imported(open("/dev/null", O_RDWR | O_CLOEXEC), "a device");
  const int forged = memfd_create("softgpu-pool", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  REQUIRE(forged >= 0 && ftruncate(forged, 4096) == 0 &&
              fcntl(forged, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0,
          "cannot make a file in memory");
  require_not_imported(forged, "an empty file");
  CU_CHECK(cuMemPoolDestroy(other));
  CU_CHECK(cuMemPoolDestroy(pool));
  peer.turn();
}

// More than half of the slice: there is no room to hold it twice.
void export_large(const check::Peer& peer) {
  const check::Context context;
  const CUmemoryPool pool = make_pool();
  send_pool(peer, pool);
  peer.send(data_of(allocate(pool, limit / 2 + (16u << 20))));
  peer.await_turn();
}

void refuse_large(const check::Peer& peer) {
  const check::Context context;
  const CUmemoryPool pool = receive_pool(peer);
  auto data = peer.receive<CUmemPoolPtrExportData>();
  const size_t before = free_memory();
  CUdeviceptr none = 0;
  for (int i = 0; i < 3; ++i) CU_EXPECT(CUDA_ERROR_OUT_OF_MEMORY, cuMemPoolImportPointer(&none, pool, &data));
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
  return check::pass("%u words of a pool shared by two processes, %d times", kCount, kRounds);
}
