// Finds the driver below us: NVIDIA's where there is a card, the software GPU's otherwise, or the one named
// by TESSERA_DRIVER. Never one of Tessera's own guest libraries.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "virtualization/library_file.h"

namespace tessera::vgpu {

enum class DriverKind { kNvidia, kSoftware, kNamed };  // kNamed: TESSERA_DRIVER's, of unknown make
const char* driver_kind_name(DriverKind kind);

struct LocatedDriver {
  DriverKind kind = DriverKind::kNvidia;
  std::string libcuda;       // absolute
  std::string libnvidia_ml;  // absolute; empty where there is none
};

struct DriverSearch {
  std::optional<LocatedDriver> driver;
  std::vector<std::string> notes;  // what was looked at and why it was taken or not, in order

  // The notes as one text, for an error or for `tessera doctor`.
  std::string explanation() const;
};

// The file system, as the search sees it.
class FileProbe {
 public:
  virtual ~FileProbe() = default;
  virtual bool exists(const std::string& path) const = 0;
  virtual LibraryFile inspect(const std::string& path) const = 0;
  virtual std::string read(const std::string& path) const = 0;  // empty where it cannot be read
};

struct DriverRequest {
  std::string wanted;    // "", "nvidia", "software" or the absolute path of a libcuda.so.1
  std::string own_path;  // the program or library that searches; the software GPU is looked for beside it
};

DriverSearch locate_driver(const DriverRequest& request, const FileProbe& files);

// For this process: TESSERA_DRIVER, the real files, the object that holds this code.
DriverSearch locate_driver();
// The same for another wish than TESSERA_DRIVER's.
DriverSearch locate_driver(const std::string& wanted);

}  // namespace tessera::vgpu
