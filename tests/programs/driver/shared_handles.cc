// Physical memory that two processes share by a file descriptor, passed over a Unix socket: each sees what
// the other's kernels wrote, the importer keeps it when the exporter has ended, and descriptors of anything
// else are refused. With the limit of the slice in bytes as argument, the importer's charge and its refusal
// are looked at too: nobody else uses the slice then.
#include <fcntl.h>
#include <sys/mman.h>

#include <filesystem>
#include <string>

#include "physical.h"
#include "two_processes.h"

extern "C" const char memory_ptx[];

namespace {

constexpr auto kDescriptor = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR;
constexpr uint32_t kCount = 100000;  // words that the kernels work on
constexpr size_t kSteps = 4;         // of the granularity: the memory that is shared

size_t limit = 0;  // 0: not known

// Mapped whole, with access.
class Mapping {
 public:
  Mapping(CUmemGenericAllocationHandle memory, size_t size) : size_(size), address_(check::reserve(size)) {
    CU_CHECK(cuMemMap(address_, size_, 0, memory, 0));
    check::allow(address_, size_);
  }
  ~Mapping() {
    CU_CHECK(cuMemUnmap(address_, size_));
    CU_CHECK(cuMemAddressFree(address_, size_));
  }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  CUdeviceptr get() const { return address_; }

  void add_index(const check::Module& module) const {
    check::launch(module.function("add_index"), {7}, {128}, nullptr, address_, kCount);
    CU_CHECK(cuCtxSynchronize());
  }
  void require(uint32_t base, uint32_t factor, const char* when) const {
    std::vector<uint32_t> got(kCount), want(kCount);
    CU_CHECK(cuMemcpyDtoH_v2(got.data(), address_, kCount * sizeof(uint32_t)));
    for (uint32_t i = 0; i < kCount; ++i) want[i] = base + factor * i;
    check::require_equal(got, want, when);
  }

 private:
  const size_t size_;
  const CUdeviceptr address_;
};

int export_descriptor(CUmemGenericAllocationHandle memory) {
  int fd = -1;
  CU_CHECK(cuMemExportToShareableHandle(&fd, memory, kDescriptor, 0));
  REQUIRE(fd >= 0, "exported descriptor %d", fd);
  return fd;
}

CUresult import_descriptor(int fd, CUmemGenericAllocationHandle* memory) {
  return cuMemImportFromShareableHandle(memory, reinterpret_cast<void*>(static_cast<intptr_t>(fd)),
                                        kDescriptor);
}

size_t free_memory() {
  size_t free = 0, total = 0;
  CU_CHECK(cuMemGetInfo_v2(&free, &total));
  return free;
}

// More than half of the slice: there is no room to hold it twice.
size_t large_size() {
  const size_t step = check::physical_granularity();
  return (limit / 2 / step + 16) * step;
}

void send_large(const check::Peer& peer) {
  const CUmemGenericAllocationHandle memory = check::create_physical(large_size(), kDescriptor);
  const int fd = export_descriptor(memory);
  peer.send_descriptor(fd);
  close(fd);
  peer.await_turn();
  CU_CHECK(cuMemRelease(memory));
  peer.turn();
  peer.await_turn();  // its end would give more back than this memory
}

void refuse_large(const check::Peer& peer) {
  const int fd = peer.receive_descriptor();
  CUmemGenericAllocationHandle memory = 0;
  const CUdeviceptr address = check::reserve(large_size());
  const size_t before = free_memory();
  // Where the descriptor does not tell the size it is the mapping that is refused.
  const CUresult imported = import_descriptor(fd, &memory);
  if (imported != CUDA_ERROR_OUT_OF_MEMORY) {
    CU_CHECK(imported);
    CU_EXPECT(CUDA_ERROR_OUT_OF_MEMORY, cuMemMap(address, large_size(), 0, memory, 0));
    CU_CHECK(cuMemRelease(memory));
  }
  REQUIRE(free_memory() == before, "a refusal took memory");
  peer.turn();
  peer.await_turn();
  CU_CHECK(import_descriptor(fd, &memory));  // the exporter has let go
  close(fd);
  CU_CHECK(cuMemMap(address, large_size(), 0, memory, 0));
  REQUIRE(free_memory() == before, "%zu bytes free when it was the exporter's, %zu now", before,
          free_memory());
  peer.turn();
  CU_CHECK(cuMemUnmap(address, large_size()));
  CU_CHECK(cuMemRelease(memory));
  CU_CHECK(cuMemAddressFree(address, large_size()));
}

void exporter(const check::Peer& peer) {
  const check::Context context;
  const check::Module module(memory_ptx);
  const size_t size = kSteps * check::physical_granularity();
  const CUmemGenericAllocationHandle memory = check::create_physical(size, kDescriptor);
  const Mapping mapping(memory, size);
  CU_CHECK(cuMemsetD32_v2(mapping.get(), 3, kCount));
  mapping.add_index(module);
  const int fd = export_descriptor(memory);
  peer.send_descriptor(fd);
  close(fd);
  CU_CHECK(cuMemRelease(memory));  // the mapping holds it
  peer.await_turn();
  mapping.require(3, 2, "what the importer's kernel wrote");
  mapping.add_index(module);
  if (limit != 0) send_large(peer);
}

void importer(const check::Peer& peer) {
  const check::Context context;
  const check::Module module(memory_ptx);
  const size_t size = kSteps * check::physical_granularity();
  const int fd = peer.receive_descriptor();
  CUmemGenericAllocationHandle memory = 0;
  const size_t before = free_memory();
  CU_CHECK(import_descriptor(fd, &memory));
  close(fd);
  CUmemAllocationProp properties{};
  CU_CHECK(cuMemGetAllocationPropertiesFromHandle(&properties, memory));
  REQUIRE(properties.location.type == CU_MEM_LOCATION_TYPE_DEVICE && properties.location.id == 0 &&
              properties.requestedHandleTypes == kDescriptor,
          "properties of imported memory");
  {
    const Mapping mapping(memory, size), again(memory, size);
    CU_CHECK(cuMemRelease(memory));
    if (limit != 0) REQUIRE(before - free_memory() == size, "charged %zu bytes", before - free_memory());
    mapping.require(3, 1, "what the exporter's kernel wrote");
    mapping.add_index(module);
    again.require(3, 2, "the other address");
    peer.turn();
    if (limit != 0) refuse_large(peer);
    peer.await_end();
    mapping.require(3, 3, "what the exporter wrote before its end");
    mapping.add_index(module);
    again.require(3, 4, "after the exporter's end");
  }
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemRelease(memory));
}

size_t open_descriptors() {
  size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) ++count;
  return count;
}

// An own export is the same memory, and holds it once more.
void check_own_import() {
  const size_t size = check::physical_granularity(), descriptors = open_descriptors();
  const CUmemGenericAllocationHandle memory = check::create_physical(size, kDescriptor);
  const int fd = export_descriptor(memory);
  CUmemGenericAllocationHandle again = 0;
  CU_CHECK(import_descriptor(fd, &again));
  close(fd);
  {
    const Mapping first(memory, size), second(again, size);
    CU_CHECK(cuMemRelease(memory));
    CU_CHECK(cuMemsetD32_v2(first.get(), 9, kCount));
    second.require(9, 0, "the memory by its other handle");
    CU_CHECK(cuMemRelease(again));
  }
  REQUIRE(open_descriptors() == descriptors, "%zu descriptors before, %zu after", descriptors,
          open_descriptors());
}

void check_errors() {
  const size_t size = check::physical_granularity();
  int fd = -1;
  const CUmemGenericAllocationHandle plain = check::create_physical(size);
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemExportToShareableHandle(&fd, plain, kDescriptor, 0));
  CU_CHECK(cuMemRelease(plain));
  const CUmemGenericAllocationHandle memory = check::create_physical(size, kDescriptor);
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemExportToShareableHandle(nullptr, memory, kDescriptor, 0));
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemExportToShareableHandle(&fd, memory, kDescriptor, 1));
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemExportToShareableHandle(&fd, memory, CU_MEM_HANDLE_TYPE_NONE, 0));
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, import_descriptor(0x7ffffff0, nullptr));
  CU_CHECK(cuMemRelease(memory));
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemExportToShareableHandle(&fd, memory, kDescriptor, 0));
}

// A file in memory that differs from exported memory in one thing.
int forged(const std::string& name, size_t size, int seals) {
  const int fd = memfd_create(name.c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING);
  REQUIRE(fd >= 0 && ftruncate(fd, static_cast<off_t>(size)) == 0 && fcntl(fd, F_ADD_SEALS, seals) == 0,
          "cannot make a file in memory");
  return fd;
}

void require_refused(int fd, const char* what) {
  CUmemGenericAllocationHandle memory = 0;
  const CUresult result = import_descriptor(fd, &memory);
  REQUIRE(result == CUDA_ERROR_INVALID_VALUE, "%s: %s", what, cu_name(result));
  close(fd);
}

void check_hostile_descriptors() {
  constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
  const size_t size = check::physical_granularity();
  const CUmemGenericAllocationHandle memory = check::create_physical(size, kDescriptor);
  const int good = export_descriptor(memory);
  const std::string link = "/proc/self/fd/" + std::to_string(good);
  const std::string target = std::filesystem::read_symlink(link);
  const std::string prefix = "/memfd:";
  if (!target.starts_with(prefix)) return;  // a card's: how such a thing is forged is not known
  const std::string name = target.substr(prefix.size(), target.find(" (deleted)") - prefix.size());
  require_refused(0x7ffffff0, "no descriptor");
  require_refused(open("/dev/null", O_RDWR | O_CLOEXEC), "a device");
  require_refused(open(link.c_str(), O_RDONLY | O_CLOEXEC), "not writable");
  require_refused(open("/dev/shm", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600), "a file without a seal");
  require_refused(forged(name, size, F_SEAL_GROW | F_SEAL_SEAL), "a file that can shrink");
  require_refused(forged(name, size, F_SEAL_SHRINK | F_SEAL_GROW), "a file that can be sealed");
  require_refused(forged(name, size, kSeals | F_SEAL_WRITE), "a file sealed against writing");
  require_refused(forged(name, size + 4096, kSeals), "a part of a page of the device");
  require_refused(forged(name, 0, kSeals), "an empty file");
  require_refused(forged("softgpu", size, kSeals), "another name");
  CUmemGenericAllocationHandle none = 0;
  const int huge = forged(name, size_t{1} << 46, kSeals);
  CU_EXPECT(CUDA_ERROR_OUT_OF_MEMORY, import_descriptor(huge, &none));
  close(huge);
  close(good);
  CU_CHECK(cuMemRelease(memory));
}

void require_support() {
  CU_CHECK(cuInit(0));
  int supported = 0;
  CU_CHECK(
      cuDeviceGetAttribute(&supported, CU_DEVICE_ATTRIBUTE_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR_SUPPORTED, 0));
  if (supported == 0) check::skip("the device exports no memory by file descriptors");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1) limit = std::strtoull(argv[1], nullptr, 10);
  check::in_child("support", require_support);
  check::in_two_processes("the importer", exporter, importer);
  const check::Context context;
  check_own_import();
  check_errors();
  check_hostile_descriptors();
  return check::pass("%u words shared by two processes; the importer outlived the exporter", kCount);
}
