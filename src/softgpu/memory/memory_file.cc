#include "softgpu/memory/memory_file.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cassert>
#include <cerrno>

#include "common/log.h"
#include "common/size.h"

namespace tessera::softgpu {
namespace {

constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

}  // namespace

Result<std::shared_ptr<MemoryFile>> MemoryFile::create(const std::string& name, uint64_t size) {
  UniqueFd fd(memfd_create(name.c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd) return Status::from_errno(errno, "cannot make a file of memory");
  if (ftruncate(fd.get(), static_cast<off_t>(size)) != 0 || fcntl(fd.get(), F_ADD_SEALS, kSeals) != 0)
    return Status::from_errno(errno, "cannot make %s of memory", format_size(size).c_str());
  return std::shared_ptr<MemoryFile>(new MemoryFile(std::move(fd), size));
}

Status MemoryFile::map(uint64_t address, uint64_t offset, uint64_t size) const {
  assert(offset <= size_ && size <= size_ - offset);
  void* there = reinterpret_cast<void*>(address);
  if (mmap(there, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED | MAP_NORESERVE, fd_.get(),
           static_cast<off_t>(offset)) == MAP_FAILED) {
    return Status::from_errno(errno, "cannot map %s of memory", format_size(size).c_str());
  }
  madvise(there, size, MADV_DONTFORK);
  return {};
}

void MemoryFile::discard(uint64_t offset, uint64_t size) const {
  assert(offset <= size_ && size <= size_ - offset);
  if (fallocate(fd_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset),
                static_cast<off_t>(size)) != 0) {
    LOG_ERROR("memory", "cannot give %s back to the system (errno %d)", format_size(size).c_str(), errno);
  }
}

}  // namespace tessera::softgpu
