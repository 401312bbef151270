#include "common/fd.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

namespace tessera {

void UniqueFd::reset(int fd) {
  if (fd_ >= 0) close(fd_);
  fd_ = fd;
}

Result<std::string> read_file(const std::string& path, size_t limit_bytes) {
  UniqueFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return Status::from_errno(errno, "cannot open %s", path.c_str());
  std::string text;
  char buffer[4096];
  for (;;) {
    ssize_t count = read(file.get(), buffer, sizeof buffer);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return Status::from_errno(errno, "cannot read %s", path.c_str());
    if (count == 0) return text;
    text.append(buffer, static_cast<size_t>(count));
    if (text.size() > limit_bytes) {
      return Status::error(Code::kResourceExhausted, "%s is larger than %zu bytes", path.c_str(),
                           limit_bytes);
    }
  }
}

}  // namespace tessera
