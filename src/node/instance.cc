#include "node/instance.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "common/strings.h"

namespace tessera::node {

Result<InstanceLock> InstanceLock::take(const std::string& socket_path) {
  std::string path = socket_path + ".pid";
  UniqueFd file(open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!file) return Status::from_errno(errno, "cannot open %s", path.c_str());
  if (flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return Status::from_errno(errno, "cannot lock %s", path.c_str());
    auto pid = read_file(path, 64);
    return Status::error(Code::kAlreadyExists, "tesserad (process %s) serves %s already",
                         pid.ok() ? std::string(trim(*pid)).c_str() : "?", socket_path.c_str());
  }
  // The file stays when the daemon ends: unlinking it would let two daemons lock two files of one name.
  InstanceLock lock(std::move(file));
  TESSERA_RETURN_IF_ERROR(lock.write_pid());
  return lock;
}

Status InstanceLock::write_pid() {
  std::string text = str_format("%d\n", static_cast<int>(getpid()));
  if (ftruncate(file_.get(), 0) != 0 ||
      pwrite(file_.get(), text.data(), text.size(), 0) != static_cast<ssize_t>(text.size())) {
    return Status::from_errno(errno, "cannot write the pid file");
  }
  return Status();
}

}  // namespace tessera::node
