#include "memory/swap/file_store.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace tessera::memory {
namespace {

// Without a name from the first moment where the file system can do that.
UniqueFd make_file(const std::string& directory) {
  UniqueFd file(open(directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC | O_EXCL, 0600));
  if (file || (errno != EOPNOTSUPP && errno != EISDIR)) return file;
  std::string path = directory + "/tessera-swap-XXXXXX";
  file.reset(mkostemp(path.data(), O_CLOEXEC));
  if (file) unlink(path.c_str());
  return file;
}

}  // namespace

Result<std::unique_ptr<FileStore>> FileStore::create(const std::string& directory, uint64_t slot_bytes) {
  UniqueFd file = make_file(directory);
  if (!file) return Status::from_errno(errno, "no file for memory of devices in %s", directory.c_str());
  (void)fcntl(file.get(), F_SETFL, O_DIRECT);  // some file systems refuse it
  return std::unique_ptr<FileStore>(new FileStore(std::move(file), directory, slot_bytes));
}

Status FileStore::write_at(uint64_t offset, std::span<const uint8_t> bytes) {
  while (!bytes.empty()) {
    const ssize_t count = pwrite(file_.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) {
      const bool full = count == 0 || errno == ENOSPC || errno == EDQUOT || errno == EFBIG;
      return Status::error(full ? Code::kResourceExhausted : Code::kInternal,
                           "memory of a device cannot be written to %s: %s", directory_.c_str(),
                           count == 0 ? "the disk is full" : strerror(errno));
    }
    bytes = bytes.subspan(static_cast<size_t>(count));
    offset += static_cast<uint64_t>(count);
  }
  return {};
}

Result<uint32_t> FileStore::write(std::span<const uint8_t> bytes) {
  const bool is_new = free_.empty();
  const uint32_t slot = is_new ? slots_ : free_.back();
  const Status written = write_at(slot * slot_bytes_, bytes);
  if (is_new) ++slots_;
  if (!is_new) free_.pop_back();
  if (written.ok()) return slot;
  give_back(slot);
  return written;
}

Status FileStore::read(uint32_t slot, std::span<uint8_t> bytes) const {
  uint64_t offset = slot * slot_bytes_;
  while (!bytes.empty()) {
    const ssize_t count = pread(file_.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) {
      return Status::error(Code::kInternal, "memory of a device cannot be read from %s: %s",
                           directory_.c_str(), count == 0 ? "the file is too short" : strerror(errno));
    }
    bytes = bytes.subspan(static_cast<size_t>(count));
    offset += static_cast<uint64_t>(count);
  }
  return {};
}

void FileStore::give_back(uint32_t slot) {
  // Where it cannot, the disk has it back at the end of the process.
  (void)fallocate(file_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                  static_cast<off_t>(slot * slot_bytes_), static_cast<off_t>(slot_bytes_));
  free_.push_back(slot);
}

}  // namespace tessera::memory
