#include "cache/content_cache.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <memory>

#include "common/clock.h"
#include "common/strings.h"

namespace tessera::cache {
namespace {

constexpr const char* kLockName = "lock";
constexpr const char* kUnfinished = "new.";        // what is being written
constexpr int64_t kAbandonedNs = 600'000'000'000;  // whoever wrote it has ended
constexpr mode_t kOwnerOnly = 0700;

struct CloseFolder {
  void operator()(DIR* folder) const { (void)closedir(folder); }
};
using Folder = std::unique_ptr<DIR, CloseFolder>;

Result<UniqueFd> open_folder(int parent, const std::string& name) {
  if (mkdirat(parent, name.c_str(), kOwnerOnly) != 0 && errno != EEXIST)
    return Status::from_errno(errno, "cannot make %s", name.c_str());
  UniqueFd folder(openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
  if (!folder) return Status::from_errno(errno, "cannot open %s", name.c_str());
  struct stat info {};
  if (fstat(folder.get(), &info) != 0) return Status::from_errno(errno, "cannot look at %s", name.c_str());
  if (info.st_uid != geteuid() || (info.st_mode & 077) != 0) {
    return Status::error(Code::kPermissionDenied,
                         "%s: a cache's folder is its owner's alone: give another one, or chmod 700 it",
                         name.c_str());
  }
  return folder;
}

// Its own description each time: reading one does not move another's place in it.
Folder read_folder(int parent, const std::string& name) {
  const int descriptor = openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
  DIR* const folder = descriptor >= 0 ? fdopendir(descriptor) : nullptr;
  if (folder == nullptr && descriptor >= 0) close(descriptor);
  return Folder(folder);
}

int64_t ns_of(const timespec& time) { return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec; }

// One writer at a time, of all processes.
Result<UniqueFd> lock(int directory) {
  UniqueFd file(openat(directory, kLockName, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file) return Status::from_errno(errno, "cannot open the cache's lock");
  while (flock(file.get(), LOCK_EX) != 0)
    if (errno != EINTR) return Status::from_errno(errno, "cannot lock the cache");
  return file;
}

Status write_all(int file, ByteSpan bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(file, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      const bool full = errno == ENOSPC || errno == EDQUOT;
      const Status why = Status::from_errno(errno, "cannot write to the cache");
      return {full ? Code::kResourceExhausted : why.code(), why.message()};
    }
    bytes = bytes.subspan(static_cast<size_t>(count));
  }
  return Status();
}

}  // namespace

Blob::~Blob() {
  if (!bytes_.empty()) munmap(bytes_.data(), bytes_.size());
}

Result<Blob> Blob::allocate(size_t bytes) {
  void* const memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return Status::from_errno(errno, "no memory for %zu bytes of the cache", bytes);
  return Blob({static_cast<std::byte*>(memory), bytes});
}

Result<ContentCache> ContentCache::open(const Options& options) {
  TESSERA_ASSIGN_OR_RETURN(UniqueFd directory, open_folder(AT_FDCWD, options.directory));
  // Not the name itself: it may be anything.
  std::string own_name = to_hex(digest_of(std::as_bytes(std::span(options.identity))));
  TESSERA_ASSIGN_OR_RETURN(UniqueFd own, open_folder(directory.get(), own_name));
  return ContentCache(options, std::move(directory), std::move(own), std::move(own_name));
}

Result<std::optional<Blob>> ContentCache::read_checked(int file, const Digest& digest) const {
  struct stat info {};
  if (fstat(file, &info) != 0) return Status::from_errno(errno, "cannot look at a file of the cache");
  const auto size = static_cast<uint64_t>(info.st_size);
  if (!S_ISREG(info.st_mode) || size < kLeastBlobBytes || size > options_.most_identity_bytes)
    return std::optional<Blob>();
  TESSERA_ASSIGN_OR_RETURN(Blob blob, Blob::allocate(size));
  for (size_t done = 0; done < size;) {
    const ssize_t count = read(file, blob.bytes_.data() + done, size - done);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return std::optional<Blob>();
    done += static_cast<size_t>(count);
  }
  if (digest_of(blob.bytes_) != digest) return std::optional<Blob>();
  return std::optional<Blob>(std::move(blob));
}

Result<std::optional<Blob>> ContentCache::get(const Digest& digest) {
  const std::string name = to_hex(digest);
  const UniqueFd file(openat(own_.get(), name.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!file) return std::optional<Blob>();
  TESSERA_ASSIGN_OR_RETURN(auto blob, read_checked(file.get(), digest));
  if (blob) {
    (void)futimens(file.get(), nullptr);
  } else {
    (void)unlinkat(own_.get(), name.c_str(), 0);  // or it would be in the way for ever
  }
  return blob;
}

bool ContentCache::may_have(const Digest& digest) const {
  return faccessat(own_.get(), to_hex(digest).c_str(), R_OK, AT_EACCESS | AT_SYMLINK_NOFOLLOW) == 0;
}

Status ContentCache::put(const Digest& digest, ByteSpan bytes) {
  TESSERA_ASSIGN_OR_RETURN(Incoming incoming, receive(digest, bytes.size()));
  TESSERA_RETURN_IF_ERROR(incoming.append(bytes));
  return incoming.finish();
}

// Whether it is there, by its size; whatever else has its name is not.
bool ContentCache::has_already(const std::string& name, uint64_t bytes) const {
  struct stat info {};
  if (fstatat(own_.get(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) return false;
  if (S_ISREG(info.st_mode) && static_cast<uint64_t>(info.st_size) == bytes) {
    (void)utimensat(own_.get(), name.c_str(), nullptr, AT_SYMLINK_NOFOLLOW);
    return true;
  }
  (void)unlinkat(own_.get(), name.c_str(), 0);
  return false;
}

Result<ContentCache::Incoming> ContentCache::receive(const Digest& digest, uint64_t bytes) {
  static std::atomic<uint64_t> number{0};
  if (bytes < kLeastBlobBytes)
    return Status::error(Code::kInvalidArgument, "less than %zu bytes are not kept", kLeastBlobBytes);
  if (bytes > std::min(options_.most_bytes, options_.most_identity_bytes))
    return Status(Code::kResourceExhausted, "that is more than the cache may hold");
  Incoming incoming(*this, digest, bytes);
  TESSERA_ASSIGN_OR_RETURN(const UniqueFd held, lock(directory_.get()));
  if (has_already(to_hex(digest), bytes)) return incoming;
  TESSERA_RETURN_IF_ERROR(make_room(bytes));
  incoming.name_ =
      str_format("%s%d.%llu", kUnfinished, getpid(), static_cast<unsigned long long>(number.fetch_add(1)));
  incoming.file_.reset(
      openat(own_.get(), incoming.name_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0400));
  if (!incoming.file_) return Status::from_errno(errno, "cannot write to the cache");
  // As large as it will be, so that others leave it its room.
  if (ftruncate(incoming.file_.get(), static_cast<off_t>(bytes)) != 0)
    return incoming.fail(Status::from_errno(errno, "cannot write to the cache"));
  return incoming;
}

ContentCache::Incoming::Incoming(Incoming&& other) noexcept
    : cache_(other.cache_),
      digest_(other.digest_),
      bytes_(other.bytes_),
      appended_(other.appended_),
      digester_(std::move(other.digester_)),
      file_(std::move(other.file_)),
      name_(std::move(other.name_)),
      failure_(std::move(other.failure_)) {}

ContentCache::Incoming::~Incoming() { remove(); }

void ContentCache::Incoming::remove() {
  if (file_) (void)unlinkat(cache_->own_.get(), name_.c_str(), 0);
  file_.reset();
}

Status ContentCache::Incoming::fail(Status why) {
  remove();
  failure_ = std::move(why);
  return failure_;
}

Status ContentCache::Incoming::append(ByteSpan bytes) {
  if (!failure_.ok()) return failure_;
  if (bytes.size() > bytes_ - appended_)
    return fail(Status(Code::kInvalidArgument, "the content is longer than was said"));
  appended_ += bytes.size();
  digester_.add(bytes);
  if (!file_) return Status();
  Status written = write_all(file_.get(), bytes);
  return written.ok() ? written : fail(std::move(written));
}

Status ContentCache::Incoming::finish() {
  if (!failure_.ok()) return failure_;
  if (appended_ != bytes_ || digester_.take() != digest_)
    return fail(Status(Code::kInvalidArgument, "the content has another digest"));
  if (!file_) return Status();
  if (renameat(cache_->own_.get(), name_.c_str(), cache_->own_.get(), to_hex(digest_).c_str()) != 0)
    return fail(Status::from_errno(errno, "cannot write to the cache"));
  file_.reset();
  return Status();
}

std::vector<std::string> ContentCache::folders() const {
  std::vector<std::string> names;
  const Folder folder = read_folder(directory_.get(), ".");
  if (folder == nullptr) return names;
  while (const dirent* entry = readdir(folder.get())) {
    const std::string name = entry->d_name;
    if (name.size() == to_hex(Digest{}).size()) names.push_back(name);
  }
  return names;
}

std::vector<ContentCache::Entry> ContentCache::list(const std::string& name) const {
  std::vector<Entry> entries;
  const Folder folder = read_folder(directory_.get(), name);
  if (folder == nullptr) return entries;
  while (const dirent* entry = readdir(folder.get())) {
    struct stat info {};
    if (entry->d_name[0] == '.' ||
        fstatat(dirfd(folder.get()), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) != 0)
      continue;
    Entry found{name, entry->d_name, static_cast<uint64_t>(info.st_size), ns_of(info.st_mtim)};
    const bool unfinished = found.name.starts_with(kUnfinished);
    const bool abandoned = unfinished && found.used_ns + kAbandonedNs < static_cast<int64_t>(wall_ns());
    if (!abandoned || !remove(found)) entries.push_back(std::move(found));
  }
  return entries;
}

bool ContentCache::remove(const Entry& entry) const {
  return unlinkat(directory_.get(), (entry.folder + "/" + entry.name).c_str(), 0) == 0;
}

Status ContentCache::make_room(uint64_t bytes) {
  std::vector<Entry> all;
  uint64_t total = 0, own = 0;
  for (const std::string& folder : folders()) {
    for (Entry& entry : list(folder)) {
      total += entry.bytes;
      if (entry.folder == own_name_) own += entry.bytes;
      all.push_back(std::move(entry));
    }
  }
  const auto fits = [&] {
    return total + bytes <= options_.most_bytes && own + bytes <= options_.most_identity_bytes;
  };
  if (fits()) return Status();
  // One's own first, so that nobody can drive others out by being the last to come; of each, the oldest.
  std::sort(all.begin(), all.end(), [&](const Entry& a, const Entry& b) {
    const bool a_own = a.folder == own_name_, b_own = b.folder == own_name_;
    return a_own != b_own ? a_own : a.used_ns < b.used_ns;
  });
  for (const Entry& entry : all) {
    if (fits()) return Status();
    // Whoever still writes has the room that it was given.
    if (entry.name.starts_with(kUnfinished) || !remove(entry)) continue;
    total -= entry.bytes;
    if (entry.folder == own_name_) own -= entry.bytes;
  }
  return fits() ? Status() : Status(Code::kResourceExhausted, "the cache is full of what cannot be removed");
}

uint64_t ContentCache::used_bytes() const {
  uint64_t bytes = 0;
  for (const Entry& entry : list(own_name_)) bytes += entry.bytes;
  return bytes;
}

}  // namespace tessera::cache
