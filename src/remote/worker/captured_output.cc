#include "remote/worker/captured_output.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "common/log.h"

namespace tessera::remote {

CapturedOutput::CapturedOutput(FILE* stream, int descriptor) : stream_(stream) {
  fflush(stream);
  file_.reset(memfd_create("tessera-output", MFD_CLOEXEC));
  if (!file_ || dup2(file_.get(), descriptor) < 0) {
    LOG_WARN("session", "what kernels print stays on the server: no file in memory");
    file_.reset();
  }
}

void CapturedOutput::collect(const std::function<void(ByteSpan)>& take) {
  if (!file_) return;
  std::lock_guard lock(lock_);
  struct stat state {};
  fflush(stream_);
  if (fstat(file_.get(), &state) != 0) return;
  std::byte piece[16 << 10];
  while (taken_ < static_cast<uint64_t>(state.st_size)) {
    const ssize_t got = pread(file_.get(), piece,
                              std::min<uint64_t>(sizeof piece, static_cast<uint64_t>(state.st_size) - taken_),
                              static_cast<off_t>(taken_));
    if (got <= 0) return;
    taken_ += static_cast<uint64_t>(got);
    take(ByteSpan(piece, static_cast<size_t>(got)));
  }
  // The file's memory is given back; its descriptor goes on writing where it is.
  if (taken_ > 0) {
    (void)fallocate(file_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, static_cast<off_t>(taken_));
  }
}

}  // namespace tessera::remote
