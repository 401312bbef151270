#include "node/runtime_path.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "common/fd.h"
#include "common/strings.h"

namespace tessera::node {
namespace {

std::string default_folder() {
  std::string runtime = env_or("XDG_RUNTIME_DIR", "");
  if (!runtime.empty() && runtime.front() == '/') return runtime + "/tessera";
  if (geteuid() == 0) return "/run/tessera";
  return str_format("/tmp/tessera-%u", geteuid());
}

std::string parent_of(const std::string& path) {
  size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace

std::string default_socket_path() { return env_or("TESSERA_SOCKET", default_folder() + "/tesserad.sock"); }

Status prepare_socket_folder(const std::string& socket_path) {
  std::string folder = parent_of(socket_path);
  bool ours = folder == default_folder();
  if (ours && mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) {
    return Status::from_errno(errno, "cannot make %s", folder.c_str());
  }
  UniqueFd opened(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!opened) {
    if (errno == ELOOP || errno == ENOTDIR) {
      return Status::error(Code::kPermissionDenied, "%s is not a folder; remove it, or name another --socket",
                           folder.c_str());
    }
    return Status::from_errno(errno, "cannot open the socket's folder %s", folder.c_str());
  }
  struct stat info {};
  if (fstat(opened.get(), &info) != 0) return Status::from_errno(errno, "cannot look at %s", folder.c_str());
  if (info.st_uid != geteuid() && (ours || info.st_uid != 0)) {
    return Status::error(Code::kPermissionDenied, "%s belongs to user %u, not to us (%u)", folder.c_str(),
                         info.st_uid, geteuid());
  }
  // In a sticky folder such as /tmp others can add files but not replace ours.
  bool open_to_others = (info.st_mode & 0022) != 0 && (info.st_mode & S_ISVTX) == 0;
  if (open_to_others || (ours && (info.st_mode & 0077) != 0)) {
    return Status::error(Code::kPermissionDenied, "%s is open to other users (mode %04o); 'chmod 700 %s'",
                         folder.c_str(), info.st_mode & 07777, folder.c_str());
  }
  return Status();
}

}  // namespace tessera::node
