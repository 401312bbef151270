#include "virtualization/driver_locator.h"

#include <unistd.h>

#include <span>

#include "common/fd.h"
#include "common/mappings.h"
#include "common/strings.h"
#include "virtualization/inherited.h"
#include "virtualization/ld_cache.h"

namespace tessera::vgpu {
namespace {

constexpr const char* kCuda = "libcuda.so.1";
constexpr const char* kNvml = "libnvidia-ml.so.1";

// A driver library without a card is a leftover of an image or a package, and only answers "no device".
constexpr const char* kCardFiles[] = {"/dev/nvidiactl", "/proc/driver/nvidia/version", "/dev/dxg"};

// Where installers put NVIDIA's libraries when the linker's cache does not say (containers, NixOS, WSL).
constexpr const char* kNvidiaFolders[] = {
#if defined(__x86_64__)
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu/nvidia/current",
#else
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu/nvidia/current",
#endif
    "/usr/lib64",
    "/usr/lib",
    "/usr/local/nvidia/lib64",
    "/run/opengl-driver/lib",
    "/usr/lib/wsl/lib"};

// From the folder of our own library, of a program in bin/ of a build tree, of one in an installed bin/.
constexpr const char* kSoftwareFolders[] = {"softgpu", "../lib/softgpu", "../lib/tessera/softgpu",
                                            "../lib64/tessera/softgpu",
#if defined(__x86_64__)
                                            "../lib/x86_64-linux-gnu/tessera/softgpu"};
#else
                                            "../lib/aarch64-linux-gnu/tessera/softgpu"};
#endif

std::string folder_of(const std::string& path) {
  size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, slash);
}

class Search {
 public:
  Search(const DriverRequest& request, const FileProbe& files) : request_(request), files_(files) {}

  DriverSearch run() {
    const std::string& wanted = request_.wanted;
    if (wanted.find('/') != std::string::npos) {
      find_named();
    } else if (wanted.empty()) {
      if (card_present()) find_nvidia();
      if (!result_.driver) find_software();
    } else if (wanted == "nvidia") {
      find_nvidia();
    } else if (wanted == "software") {
      find_software();
    } else {
      note("TESSERA_DRIVER=%s: expected nvidia, software or the absolute path of a libcuda.so.1",
           wanted.c_str());
    }
    return std::move(result_);
  }

 private:
  template <typename... Args>
  void note(const char* format, Args... args) {
    result_.notes.push_back(str_format(format, args...));
  }

  bool card_present() {
    for (const char* path : kCardFiles) {
      if (files_.exists(path)) {
        note("%s exists: looking for NVIDIA's driver", path);
        return true;
      }
    }
    note("no NVIDIA card: none of %s, %s, %s exists", kCardFiles[0], kCardFiles[1], kCardFiles[2]);
    return false;
  }

  // Whether `path` can be loaded as a driver; says so in the notes unless the file is simply not there.
  bool usable(const std::string& path) {
    LibraryFile file = files_.inspect(path);
    LibraryFile own = files_.inspect(request_.own_path);
    bool is_own = own.kind != LibraryFile::Kind::kMissing && file.same_file(own);
    switch (file.kind) {
      case LibraryFile::Kind::kMissing:
        return false;
      case LibraryFile::Kind::kForeign:
        note("%s: not a library for this machine", path.c_str());
        return false;
      case LibraryFile::Kind::kGuest:
        break;
      case LibraryFile::Kind::kUsable:
        if (!is_own) return true;
        break;
    }
    note("%s: Tessera's own guest library, not a driver", path.c_str());
    return false;
  }

  // Candidates for one NVIDIA library, best first.
  std::vector<std::string> nvidia_candidates(const std::string& soname) {
    std::string cache = files_.read("/etc/ld.so.cache");
    auto paths = ld_cache_paths(std::as_bytes(std::span<const char>(cache)), soname);
    for (const char* folder : kNvidiaFolders) paths.push_back(std::string(folder) + "/" + soname);
    // Where the guest is mounted over the soname, the versioned file beside it is still the driver.
    std::string version(trim(files_.read("/sys/module/nvidia/version")));
    if (version.empty() || version.find('/') != std::string::npos) return paths;
    std::string versioned = soname.substr(0, soname.rfind('.') + 1) + version;
    for (size_t i = 0, count = paths.size(); i < count; ++i) {
      paths.push_back(folder_of(paths[i]) + "/" + versioned);
    }
    return paths;
  }

  std::string first_usable(const std::vector<std::string>& paths) {
    for (const std::string& path : paths) {
      if (usable(path)) return path;
    }
    return {};
  }

  void find_nvidia() {
    std::string libcuda = first_usable(nvidia_candidates(kCuda));
    if (libcuda.empty()) {
      note("NVIDIA's %s is neither in the linker's cache nor in %s and the like", kCuda, kNvidiaFolders[0]);
      return;
    }
    std::vector<std::string> candidates = {folder_of(libcuda) + "/" + kNvml};
    for (std::string& path : nvidia_candidates(kNvml)) candidates.push_back(std::move(path));
    take(DriverKind::kNvidia, libcuda, first_usable(candidates));
  }

  std::vector<std::string> software_candidates() const {
    std::vector<std::string> paths;
    for (const char* folder : kSoftwareFolders) {
      paths.push_back(folder_of(request_.own_path) + "/" + folder + "/" + kCuda);
    }
    return paths;
  }

  void find_software() {
    std::string libcuda = first_usable(software_candidates());
    if (libcuda.empty()) {
      note("no software GPU: no softgpu/%s near %s", kCuda, request_.own_path.c_str());
      return;
    }
    take(DriverKind::kSoftware, libcuda, first_usable({folder_of(libcuda) + "/" + kNvml}));
  }

  void find_named() {
    const std::string& path = request_.wanted;
    if (path[0] != '/') {
      note("TESSERA_DRIVER=%s: the path must be absolute, programs change their folder", path.c_str());
      return;
    }
    if (!usable(path)) {
      if (files_.inspect(path).kind == LibraryFile::Kind::kMissing) {
        note("TESSERA_DRIVER=%s: no such file, or not readable", path.c_str());
      }
      return;
    }
    take(kind_of(path), path, first_usable({folder_of(path) + "/" + kNvml}));
  }

  DriverKind kind_of(const std::string& path) {
    LibraryFile file = files_.inspect(path);
    for (const std::string& candidate : software_candidates()) {
      if (file.same_file(files_.inspect(candidate))) return DriverKind::kSoftware;
    }
    for (const std::string& candidate : nvidia_candidates(kCuda)) {
      if (file.same_file(files_.inspect(candidate))) return DriverKind::kNvidia;
    }
    return DriverKind::kNamed;
  }

  void take(DriverKind kind, const std::string& libcuda, const std::string& libnvidia_ml) {
    note("%s: taken", libcuda.c_str());
    if (libnvidia_ml.empty()) {
      note("no %s for it: device details come from CUDA alone", kNvml);
    } else {
      note("%s: taken", libnvidia_ml.c_str());
    }
    result_.driver = LocatedDriver{kind, libcuda, libnvidia_ml};
  }

  const DriverRequest& request_;
  const FileProbe& files_;
  DriverSearch result_;
};

class RealFiles : public FileProbe {
 public:
  bool exists(const std::string& path) const override { return access(path.c_str(), F_OK) == 0; }
  LibraryFile inspect(const std::string& path) const override { return inspect_library(path); }
  std::string read(const std::string& path) const override {
    constexpr size_t kLimitBytes = 16 << 20;  // a linker's cache of a very full system is 1 MiB
    auto text = read_file(path, kLimitBytes);
    return text.ok() ? std::move(text).value() : std::string();
  }
};

// The object that holds this code, as the kernel names it: the dynamic linker keeps the name it was asked
// for, which may be relative to a folder that is no longer current.
std::string own_path() {
  const auto mappings = own_mappings();
  if (!mappings.ok()) return "/proc/self/exe";
  const auto address = reinterpret_cast<uintptr_t>(&own_path);
  for (const std::string_view line : split(*mappings, '\n')) {
    Mapping mapping;
    const bool holds = read_mapping(line, &mapping) && mapping.begin <= address && address < mapping.end;
    if (holds && !mapping.path.empty()) return std::string(mapping.path);
  }
  return "/proc/self/exe";
}

}  // namespace

const char* driver_kind_name(DriverKind kind) {
  switch (kind) {
    case DriverKind::kNvidia:
      return "nvidia";
    case DriverKind::kSoftware:
      return "software";
    case DriverKind::kNamed:
      return "named";
  }
  return "unknown";
}

std::string DriverSearch::explanation() const {
  std::string text;
  for (const std::string& line : notes) text += (text.empty() ? "" : "; ") + line;
  return text;
}

DriverSearch locate_driver(const DriverRequest& request, const FileProbe& files) {
  return Search(request, files).run();
}

DriverSearch locate_driver(const std::string& wanted) {
  return locate_driver({wanted, own_path()}, RealFiles());
}

DriverSearch locate_driver() { return locate_driver(inherited("TESSERA_DRIVER")); }

}  // namespace tessera::vgpu
