#include "cli/installation.h"

#include <limits.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "virtualization/library_file.h"

namespace tessera::cli {
namespace {

constexpr const char* kGuestFolders[] = {"../lib/tessera", "../lib64/tessera",
#if defined(__x86_64__)
                                         "../lib/x86_64-linux-gnu/tessera",
#else
                                         "../lib/aarch64-linux-gnu/tessera",
#endif
                                         "../lib"};

Result<std::string> own_folder() {
  char path[PATH_MAX];
  ssize_t size = readlink("/proc/self/exe", path, sizeof path);
  if (size < 0) return Status::from_errno(errno, "cannot find this program's own path");
  std::string text(path, static_cast<size_t>(size));
  return text.substr(0, text.rfind('/'));
}

}  // namespace

Result<std::string> find_guest_folder() {
  TESSERA_ASSIGN_OR_RETURN(std::string own, own_folder());
  for (const char* folder : kGuestFolders) {
    std::string candidate = own + "/" + folder;
    if (vgpu::inspect_library(candidate + "/libcuda.so.1").kind != vgpu::LibraryFile::Kind::kGuest) continue;
    // Without "..": the path ends up in the environment of other programs.
    char resolved[PATH_MAX];
    if (realpath(candidate.c_str(), resolved) == nullptr) {
      return Status::from_errno(errno, "cannot resolve %s", candidate.c_str());
    }
    return std::string(resolved);
  }
  return Status::error(
      Code::kNotFound,
      "Tessera's own libcuda.so.1 is not in lib/ or lib/tessera/ beside %s; build or install all "
      "of Tessera",
      own.c_str());
}

Result<std::string> find_daemon() {
  TESSERA_ASSIGN_OR_RETURN(std::string own, own_folder());
  std::string path = own + "/tesserad";
  if (access(path.c_str(), X_OK) != 0) {
    return Status::error(Code::kNotFound, "%s is not there; build or install all of Tessera", path.c_str());
  }
  return path;
}

}  // namespace tessera::cli
