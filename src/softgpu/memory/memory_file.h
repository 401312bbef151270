// Memory without an address: a file in memory that has no path, and lives as long as somebody has it open or
// mapped.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <memory>
#include <string>

#include "common/fd.h"
#include "common/status.h"

namespace tessera::softgpu {

class MemoryFile {
 public:
  // Not for use by tenants: files of memory are kept in this folder from process to process, with all that is
  // in them, and what is discarded stays. Of one device, and before the first is made.
  static void keep_in(const std::string& folder);

  // All zeros, and takes no memory before it is written to. Sealed: nobody it is handed to can make it
  // smaller, which would be a fault wherever it is mapped. `name` says what it is in /proc/PID/maps.
  static Result<std::shared_ptr<MemoryFile>> create(const std::string& name, uint64_t size);
  // One that another process made, by a descriptor of it, which stays the caller's. kInvalidArgument for a
  // file that create() cannot have made: whatever is taken is safe to map, whoever made it and still has it.
  static Result<std::shared_ptr<MemoryFile>> open(int fd);
  // One that another process has open as `fd`. kNotFound where it has not, kPermissionDenied where the system
  // does not let this process look.
  static Result<std::shared_ptr<MemoryFile>> open_of(pid_t process, int fd, dev_t device, ino_t inode);

  const std::string& name() const { return name_; }
  uint64_t size() const { return size_; }
  // Whether they are the same memory, by whatever descriptors.
  bool same_as(const MemoryFile& other) const { return device_ == other.device_ && inode_ == other.inode_; }
  int fd() const { return fd_.get(); }
  dev_t device() const { return device_; }
  ino_t inode() const { return inode_; }
  // For another process. kResourceExhausted where the process has no descriptor left, kFailedPrecondition
  // where the program has closed ours, as of map().
  Result<UniqueFd> duplicate() const;

  // Maps a part of it, readable and writable, over addresses that are the caller's. A forked child does not
  // get the mapping, nor does a core dump. kResourceExhausted where the system has no mapping left, and
  // nothing has changed.
  Status map(uint64_t address, uint64_t offset, uint64_t size) const {
    return map(address, offset, size, true);
  }
  // The same with access to be switched on later: a process that locks its memory does not fill it either.
  Status map_without_access(uint64_t address, uint64_t offset, uint64_t size) const {
    return map(address, offset, size, false);
  }
  // Where it is mapped, huge pages are welcome, as far as the system gives files in memory any: to be filled
  // they cost a fraction of as many small ones. What is touched may bring all of a huge page, also what of it
  // lies outside of [address, address + size); it goes with a discard of all of that.
  static void advise_huge(uint64_t address, uint64_t size);
  // Makes a part of it zeros again, and gives its memory back to the system: but for a part of a huge page,
  // which may stay until the rest of the page goes.
  void discard(uint64_t offset, uint64_t size) const;
  // The same of what is mapped there: a program may have closed the descriptor.
  void discard_mapped(void* address, uint64_t offset, uint64_t size) const;

 private:
  MemoryFile(UniqueFd fd, std::string name, const struct stat& facts);
  Status map(uint64_t address, uint64_t offset, uint64_t size, bool accessible) const;
  Status check_open() const;

  const UniqueFd fd_;
  const std::string name_;
  const uint64_t size_;
  const dev_t device_;
  const ino_t inode_;
};

}  // namespace tessera::softgpu
