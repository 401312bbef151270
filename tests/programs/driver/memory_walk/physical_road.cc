// Physical memory: charged when it is made or imported, until neither a handle nor a mapping is left. What is
// this process's own, or was imported already, is charged already.
#include <sys/stat.h>

#include <algorithm>
#include <map>

#include "../physical.h"
#include "descriptors.h"
#include "walk.h"

namespace walk {
namespace {

constexpr auto kDescriptor = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR;

class PhysicalRoad final : public Road {
 public:
  void take(Walk& walk) override {
    switch (walk.roll(6)) {
      case 0:
      case 1:
        return make(walk);
      case 2:
      case 3:
        return map(walk);
      case 4:
        return walk.roll(2) == 0 ? send(walk) : retain(walk);
      default:
        return receive(walk);
    }
  }
  bool give(Walk& walk) override {
    if (memory_.empty()) return false;
    const auto chosen = pick(walk);
    Memory& memory = chosen->second;
    const bool release = memory.mappings.empty() || (memory.handles > 0 && walk.roll(2) == 0);
    Mapping unmapped{};
    if (release) {
      --memory.handles;
    } else {
      unmapped = memory.mappings.back();
      memory.mappings.pop_back();
    }
    const CUmemGenericAllocationHandle handle = chosen->first;
    if (memory.handles == 0 && memory.mappings.empty()) {
      walk.shrinks(memory.charged);
      memory_.erase(chosen);
    }
    if (release) {
      CU_CHECK(cuMemRelease(handle));
    } else {
      CU_CHECK(cuMemUnmap(unmapped.address, unmapped.bytes));
      CU_CHECK(cuMemAddressFree(unmapped.address, unmapped.bytes));
    }
    return true;
  }

 private:
  struct Mapping {
    CUdeviceptr address;
    uint64_t bytes;
  };
  struct Memory {
    uint64_t bytes = 0;
    uint64_t charged = 0;
    uint64_t handles = 1;
    ino_t file = 0;  // by which it is known again
    std::vector<Mapping> mappings;
  };
  using Memories = std::map<CUmemGenericAllocationHandle, Memory>;

  Memories::iterator pick(Walk& walk) {
    return std::next(memory_.begin(), static_cast<ptrdiff_t>(walk.roll(memory_.size())));
  }

  void make(Walk& walk) {
    Memory made;
    made.bytes = made.charged = (1 + walk.roll(walk.shared().limit / 6 / granularity_)) * granularity_;
    const CUmemAllocationProp properties = check::physical_properties(kDescriptor);
    CUmemGenericAllocationHandle handle = 0;
    if (!walk.takes(made.bytes, [&] { return cuMemCreate(&handle, made.bytes, &properties, 0); })) return;
    const int fd = descriptor_of(handle);
    made.file = file_of(fd);
    close(fd);
    memory_.emplace(handle, made);
  }

  static int descriptor_of(CUmemGenericAllocationHandle handle) {
    int fd = -1;
    CU_CHECK(cuMemExportToShareableHandle(&fd, handle, kDescriptor, 0));
    return fd;
  }
  static ino_t file_of(int fd) {
    struct stat info {};
    REQUIRE(fstat(fd, &info) == 0, "fstat");
    return info.st_ino;
  }

  void map(Walk& walk) {
    if (memory_.empty()) return;
    const auto chosen = pick(walk);
    Memory& memory = chosen->second;
    if (memory.handles == 0) return;
    const uint64_t bytes = (1 + walk.roll(memory.bytes / granularity_)) * granularity_;
    const uint64_t more = bytes - std::min(bytes, memory.charged);
    const CUdeviceptr address = check::reserve(bytes);
    if (!walk.takes(more, [&] { return cuMemMap(address, bytes, 0, chosen->first, 0); })) {
      CU_CHECK(cuMemAddressFree(address, bytes));
      return;
    }
    memory.charged += more;
    memory.mappings.push_back({address, bytes});
  }

  void retain(Walk& walk) {
    if (memory_.empty()) return;
    const auto chosen = pick(walk);
    if (chosen->second.mappings.empty()) return;
    CUmemGenericAllocationHandle handle = 0;
    CU_CHECK(cuMemRetainAllocationHandle(&handle,
                                         reinterpret_cast<void*>(chosen->second.mappings.front().address)));
    REQUIRE(handle == chosen->first, "the handle of a mapping is another one");
    ++chosen->second.handles;
  }

  // Into the hat, for whoever takes it; perhaps this process, perhaps when the memory is gone here.
  void send(Walk& walk) {
    if (memory_.empty()) return;
    const auto chosen = pick(walk);
    if (chosen->second.handles == 0) return;
    const int fd = descriptor_of(chosen->first);
    (void)send_descriptor(walk.mail().hat_in, {fd, chosen->second.bytes});
    close(fd);
  }

  void receive(Walk& walk) {
    const auto sent = receive_descriptor(walk.mail().hat_out, false);
    if (!sent) return;
    Memory imported;
    imported.bytes = imported.charged = sent->word;
    imported.file = file_of(sent->fd);
    const bool known = std::any_of(memory_.begin(), memory_.end(),
                                   [&](const auto& entry) { return entry.second.file == imported.file; });
    CUmemGenericAllocationHandle handle = 0;
    const bool granted = walk.takes(known ? 0 : imported.bytes, [&] {
      return cuMemImportFromShareableHandle(&handle, reinterpret_cast<void*>(static_cast<intptr_t>(sent->fd)),
                                            kDescriptor);
    });
    close(sent->fd);
    if (!granted) return;
    const auto [entry, added] = memory_.try_emplace(handle, imported);
    REQUIRE(added != known, "memory that came by a descriptor is %s", known ? "other than it was" : "known");
    if (!added) ++entry->second.handles;
  }

  const uint64_t granularity_ = check::physical_granularity();
  Memories memory_;
};

}  // namespace

void add_physical_road(Roads& roads) { roads.push_back(std::make_unique<PhysicalRoad>()); }

}  // namespace walk
