#include "virtualization/driver_loader.h"

#include <dlfcn.h>

#include <cassert>

#include "virtualization/library_file.h"

namespace tessera::vgpu {

Result<void*> load_library(const std::string& path) {
  assert(path.starts_with('/'));
  if (inspect_library(path).kind == LibraryFile::Kind::kGuest) {
    return Status::error(Code::kFailedPrecondition, "%s is Tessera's own guest library, not a driver",
                         path.c_str());
  }
  // Local: the driver's symbols have the names of ours, and nobody but us may find them.
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (library == nullptr) {
    const char* reason = dlerror();
    return Status::error(Code::kUnavailable, "cannot load %s: %s", path.c_str(),
                         reason != nullptr ? reason : "no reason given");
  }
  return library;
}

namespace {

// A table is one pointer per entry, in the order of the entries; the generated headers assert its size.
template <typename Table, size_t Count>
Table table_of(void* library, const cuda::ApiEntry (&entries)[Count]) {
  Table table;
  auto* slots = reinterpret_cast<void**>(&table);
  for (size_t i = 0; i < Count; ++i) slots[i] = dlsym(library, entries[i].symbol);
  return table;
}

Result<cuda::DriverTable> driver_in(void* library, const std::string& path) {
  auto table = table_of<cuda::DriverTable>(library, cuda::kDriverEntries);
  if (table.cuInit == nullptr || table.cuDriverGetVersion == nullptr) {
    return Status::error(Code::kInvalidData, "%s is not a CUDA driver: it lacks cuInit", path.c_str());
  }
  return table;
}

}  // namespace

Result<cuda::DriverTable> load_driver(const std::string& path) {
  TESSERA_ASSIGN_OR_RETURN(void* library, load_library(path));
  return driver_in(library, path);
}

Result<cuda::DriverTable> load_program_driver() { return load_program_driver("libcuda.so.1"); }

Result<cuda::DriverTable> load_program_driver(const std::string& path) {
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (library == nullptr) {
    const char* reason = dlerror();
    return Status::error(Code::kNotFound, "the program has no CUDA driver: %s",
                         reason != nullptr ? reason : "no reason given");
  }
  return driver_in(library, path);
}

void load_ahead(const std::string& path) {
  (void)dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);  // whoever needs it says what is wrong
}

Result<cuda::NvmlTable> load_nvml(const std::string& path) {
  TESSERA_ASSIGN_OR_RETURN(void* library, load_library(path));
  auto table = table_of<cuda::NvmlTable>(library, cuda::kNvmlEntries);
  if (table.nvmlInit_v2 == nullptr || table.nvmlDeviceGetCount_v2 == nullptr) {
    return Status::error(Code::kInvalidData, "%s is not NVML: it lacks nvmlInit_v2", path.c_str());
  }
  return table;
}

}  // namespace tessera::vgpu
