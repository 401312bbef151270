#include "softgpu/device/control_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string_view>

#include "common/fd.h"
#include "common/strings.h"

namespace tessera::softgpu {
namespace {

ControlStamp stamp_of(const struct stat& info) {
  return {info.st_dev, info.st_ino, static_cast<uint64_t>(info.st_size),
          static_cast<uint64_t>(info.st_mtim.tv_sec) * 1'000'000'000 +
              static_cast<uint64_t>(info.st_mtim.tv_nsec)};
}

// FNV-1a: to notice another text, not to resist an attack.
uint64_t digest_of(std::string_view text) {
  uint64_t value = 0xcbf29ce484222325;
  for (unsigned char c : text) value = (value ^ c) * 0x100000001b3;
  return value;
}

Result<std::string> read_up_to(int fd, uint64_t limit, const std::string& path) {
  std::string text(limit, '\0');
  size_t filled = 0;
  while (filled < limit) {
    const ssize_t got = pread(fd, text.data() + filled, limit - filled, static_cast<off_t>(filled));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Status::from_errno(errno, "cannot read %s", path.c_str());
    if (got == 0) break;
    filled += static_cast<size_t>(got);
  }
  text.resize(filled);
  return text;
}

Status check_file(const struct stat& info, const std::string& path) {
  if (!S_ISREG(info.st_mode))
    return Status::error(Code::kInvalidData, "%s is no plain file; it is not looked at", path.c_str());
  if (info.st_uid != geteuid() || (info.st_mode & 022) != 0) {
    return Status::error(Code::kPermissionDenied,
                         "%s must belong to this user, and nobody else may write it; it is not looked at",
                         path.c_str());
  }
  if (static_cast<uint64_t>(info.st_size) > kMaxControlFileBytes) {
    return Status::error(Code::kInvalidData, "%s has more than %llu bytes and is not looked at; empty it",
                         path.c_str(), static_cast<unsigned long long>(kMaxControlFileBytes));
  }
  return {};
}

// From where on `text` is new.
size_t begin_of_news(std::string_view text, const ControlStamp& stamp, const ControlPosition& position) {
  const bool same_file = stamp.device == position.stamp.device && stamp.inode == position.stamp.inode;
  const bool grown = stamp.bytes > position.stamp.bytes;
  if (!same_file || !grown || text.size() < position.taken) return 0;
  const auto taken = static_cast<size_t>(position.taken);
  return digest_of(text.substr(0, taken)) == position.digest ? taken : 0;
}

}  // namespace

ControlStamp control_stamp(const std::string& path) {
  struct stat info {};
  return lstat(path.c_str(), &info) == 0 ? stamp_of(info) : ControlStamp{};
}

Result<std::vector<std::string>> take_lines(const std::string& path, ControlPosition& position) {
  struct stat info {};
  // Not opened before it is known to be a file: opening a device or a pipe can do things.
  if (lstat(path.c_str(), &info) != 0) return std::vector<std::string>();
  const ControlStamp stamp = stamp_of(info);
  if (stamp == position.stamp) return std::vector<std::string>();
  Status status = check_file(info, path);
  if (!status.ok()) {
    position = {stamp, 0, digest_of("")};
    return status;
  }
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!fd) return Status::from_errno(errno, "cannot open %s", path.c_str());
  TESSERA_ASSIGN_OR_RETURN(const std::string text, read_up_to(fd.get(), stamp.bytes, path));
  const size_t begin = begin_of_news(text, stamp, position);
  const size_t end = text.rfind('\n') == std::string::npos ? begin : std::max(begin, text.rfind('\n') + 1);
  position = {stamp, end, digest_of(std::string_view(text).substr(0, end))};

  std::vector<std::string> lines;
  for (std::string_view line : split(std::string_view(text).substr(begin, end - begin), '\n')) {
    line = trim(line);
    if (!line.empty() && line.front() != '#') lines.emplace_back(line);
  }
  return lines;
}

}  // namespace tessera::softgpu
