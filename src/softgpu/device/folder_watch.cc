#include "softgpu/device/folder_watch.h"

#include <poll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <ctime>

namespace tessera::softgpu {
namespace {

constexpr uint64_t kNsPerSecond = 1'000'000'000;

}  // namespace

FolderWatch::FolderWatch(const std::string& folder) : events_(inotify_init1(IN_NONBLOCK | IN_CLOEXEC)) {
  constexpr uint32_t kWanted = IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_ATTRIB;
  if (events_ && inotify_add_watch(events_.get(), folder.c_str(), kWanted) < 0) events_.reset();
}

bool FolderWatch::wait(uint64_t most_ns) {
  most_ns = std::min(most_ns, watches() ? kLookNs : kUnwatchedLookNs);
  pollfd entry{events_.get(), POLLIN, 0};  // one below 0 is passed over
  const timespec timeout{static_cast<time_t>(most_ns / kNsPerSecond),
                         static_cast<long>(most_ns % kNsPerSecond)};
  if (ppoll(&entry, 1, &timeout, nullptr) <= 0) return false;
  // Which they are does not matter, and where more are lost than the system keeps there is one that says so.
  std::array<char, 4096> told;
  while (read(events_.get(), told.data(), told.size()) > 0) {
  }
  return true;
}

}  // namespace tessera::softgpu
