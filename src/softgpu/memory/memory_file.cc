#include "softgpu/memory/memory_file.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cassert>
#include <cerrno>
#include <climits>
#include <string_view>

#include "common/log.h"
#include "common/size.h"
#include "common/strings.h"

namespace tessera::softgpu {
namespace {

constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
constexpr int kSealsAgainstWriting = F_SEAL_WRITE | F_SEAL_FUTURE_WRITE;
constexpr uint64_t kHugePageBytes = uint64_t{2} << 20;

Status not_ours(const char* why) {
  return Status::error(Code::kInvalidArgument, "the descriptor is no device memory: %s", why);
}

// Memory of huge pages has seals too, and a fault where there is no such page: only plain memory is taken.
Status check_kind(int fd) {
  struct statfs system {};
  if (fstatfs(fd, &system) != 0) return not_ours("not open");
  if (system.f_type != TMPFS_MAGIC) return not_ours("not a file in memory");
  if ((fcntl(fd, F_GETFL) & (O_ACCMODE | O_PATH)) != O_RDWR)
    return not_ours("not open for reading and writing");
  const int seals = fcntl(fd, F_GET_SEALS);  // another seal may come with the system's settings (F_SEAL_EXEC)
  if (seals < 0 || (seals & (kSeals | kSealsAgainstWriting)) != kSeals)
    return not_ours("not sealed as it must be");
  return {};
}

// What it was called when it was made; "" where the system does not tell.
std::string name_of(int fd) {
  char target[PATH_MAX];
  const std::string link = "/proc/self/fd/" + std::to_string(fd);
  const ssize_t length = readlink(link.c_str(), target, sizeof target);
  if (length <= 0) return {};
  constexpr std::string_view kBefore = "/memfd:", kAfter = " (deleted)";
  std::string_view name(target, static_cast<size_t>(length));
  if (!name.starts_with(kBefore) || !name.ends_with(kAfter)) return {};
  name.remove_prefix(kBefore.size());
  name.remove_suffix(kAfter.size());
  return std::string(name);
}

// Beyond the limit on file sizes the system would end the process with a signal.
Status check_file_limit(uint64_t size) {
  struct rlimit limit {};
  if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && size > limit.rlim_cur) {
    return Status::error(
        Code::kResourceExhausted,
        "device memory needs files in memory of %s, and the limit on files (ulimit -f) is %s",
        format_size(size).c_str(), format_size(limit.rlim_cur).c_str());
  }
  return {};
}

// See keep_in(); empty: memory is clean, and goes with the process.
std::string& kept_folder() {
  static auto* made = new std::string();
  return *made;
}

Result<UniqueFd> open_kept(const std::string& name) {
  const std::string path = kept_folder() + "/" + name + ".kept";
  UniqueFd fd(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) return Status::from_errno(errno, "cannot open %s", path.c_str());
  return fd;
}

Result<UniqueFd> make_file(const std::string& name) {
  if (!kept_folder().empty()) return open_kept(name);
  UniqueFd fd(memfd_create(name.c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd) return Status::from_errno(errno, "cannot make a file of memory");
  return fd;
}

}  // namespace

void MemoryFile::keep_in(const std::string& folder) { kept_folder() = folder; }

MemoryFile::MemoryFile(UniqueFd fd, std::string name, const struct stat& facts)
    : fd_(std::move(fd)),
      name_(std::move(name)),
      size_(static_cast<uint64_t>(facts.st_size)),
      device_(facts.st_dev),
      inode_(facts.st_ino) {}

Result<std::shared_ptr<MemoryFile>> MemoryFile::create(const std::string& name, uint64_t size) {
  TESSERA_RETURN_IF_ERROR(check_file_limit(size));
  TESSERA_ASSIGN_OR_RETURN(UniqueFd fd, make_file(name));
  const bool kept = !kept_folder().empty();  // no memory file: there are no seals for it
  if (ftruncate(fd.get(), static_cast<off_t>(size)) != 0 ||
      (!kept && fcntl(fd.get(), F_ADD_SEALS, kSeals) != 0))
    return Status::from_errno(errno, "cannot make %s of memory", format_size(size).c_str());
  struct stat facts {};
  if (fstat(fd.get(), &facts) != 0) return Status::from_errno(errno, "cannot look at a file of memory");
  return std::shared_ptr<MemoryFile>(new MemoryFile(std::move(fd), name, facts));
}

// The duplicate is what is looked at: the caller's number may be another file's at any moment.
Result<std::shared_ptr<MemoryFile>> MemoryFile::open(int theirs) {
  UniqueFd fd(fcntl(theirs, F_DUPFD_CLOEXEC, 0));
  if (!fd && errno == EBADF) return not_ours("not open");
  if (!fd) return Status::from_errno(errno, "cannot take a file of memory");
  TESSERA_RETURN_IF_ERROR(check_kind(fd.get()));
  struct stat facts {};
  if (fstat(fd.get(), &facts) != 0 || !S_ISREG(facts.st_mode)) return not_ours("not a file");
  std::string name = name_of(fd.get());
  return std::shared_ptr<MemoryFile>(new MemoryFile(std::move(fd), std::move(name), facts));
}

// Looked at before it is opened: the number may be another file's by now, and to open some waits or does
// things.
Result<std::shared_ptr<MemoryFile>> MemoryFile::open_of(pid_t process, int fd, dev_t device, ino_t inode) {
  const std::string link = str_format("/proc/%d/fd/%d", process, fd);
  auto is_it = [&](const struct stat& facts) { return facts.st_dev == device && facts.st_ino == inode; };
  struct stat facts {};
  if (stat(link.c_str(), &facts) != 0) return Status::from_errno(errno, "cannot look at %s", link.c_str());
  if (!is_it(facts)) return Status::error(Code::kNotFound, "%s is another file", link.c_str());
  UniqueFd opened(::open(link.c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK));
  if (!opened) return Status::from_errno(errno, "cannot open %s", link.c_str());
  TESSERA_ASSIGN_OR_RETURN(std::shared_ptr<MemoryFile> file, open(opened.get()));
  if (file->device_ != device || file->inode_ != inode)
    return Status::error(Code::kNotFound, "%s is another file", link.c_str());
  return file;
}

// Programs close descriptors that they do not know, and get the numbers for files of their own.
Status MemoryFile::check_open() const {
  struct stat facts {};
  if (fstat(fd_.get(), &facts) == 0 && facts.st_dev == device_ && facts.st_ino == inode_) return {};
  return Status::error(Code::kFailedPrecondition, "the program has closed a descriptor of device memory");
}

Result<UniqueFd> MemoryFile::duplicate() const {
  TESSERA_RETURN_IF_ERROR(check_open());
  UniqueFd fd(fcntl(fd_.get(), F_DUPFD_CLOEXEC, 0));
  if (!fd) return Status::from_errno(errno, "cannot duplicate a descriptor of memory");
  return fd;
}

Status MemoryFile::map(uint64_t address, uint64_t offset, uint64_t size, bool accessible) const {
  assert(offset <= size_ && size <= size_ - offset);
  TESSERA_RETURN_IF_ERROR(check_open());
  void* there = reinterpret_cast<void*>(address);
  const int protection = accessible ? PROT_READ | PROT_WRITE : PROT_NONE;
  if (mmap(there, size, protection, MAP_SHARED | MAP_FIXED | MAP_NORESERVE, fd_.get(),
           static_cast<off_t>(offset)) == MAP_FAILED) {
    return Status::from_errno(errno, "cannot map %s of memory", format_size(size).c_str());
  }
  madvise(there, size, MADV_DONTFORK);
  // A core dump would have all of it, and make what was never touched.
  madvise(there, size, MADV_DONTDUMP);
  // A huge page is one of the file and of the addresses at a time.
  const bool lies_alike = address % kHugePageBytes == offset % kHugePageBytes;
  if (accessible && size >= kHugePageBytes && lies_alike) advise_huge(address, size);
  return {};
}

// Where the system has none, or its setting for files in memory is "never", nothing changes.
void MemoryFile::advise_huge(uint64_t address, uint64_t size) {
  madvise(reinterpret_cast<void*>(address), size, MADV_HUGEPAGE);
}

// Locked memory goes by the file alone.
void MemoryFile::discard_mapped(void* address, uint64_t offset, uint64_t size) const {
  if (!kept_folder().empty()) return;
  if (madvise(address, size, MADV_REMOVE) != 0) discard(offset, size);
}

void MemoryFile::discard(uint64_t offset, uint64_t size) const {
  assert(offset <= size_ && size <= size_ - offset);
  if (!kept_folder().empty()) return;
  const Status open = check_open();
  if (!open.ok()) {
    LOG_ERROR("memory", "%s", open.message().c_str());
  } else if (fallocate(fd_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset),
                       static_cast<off_t>(size)) != 0) {
    LOG_ERROR("memory", "cannot give %s back to the system (errno %d)", format_size(size).c_str(), errno);
  }
}

}  // namespace tessera::softgpu
