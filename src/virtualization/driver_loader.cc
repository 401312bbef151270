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
Result<Table> load_table(const std::string& path, const cuda::ApiEntry (&entries)[Count]) {
  TESSERA_ASSIGN_OR_RETURN(void* library, load_library(path));
  Table table;
  auto* slots = reinterpret_cast<void**>(&table);
  for (size_t i = 0; i < Count; ++i) slots[i] = dlsym(library, entries[i].symbol);
  return table;
}

}  // namespace

Result<cuda::DriverTable> load_driver(const std::string& path) {
  TESSERA_ASSIGN_OR_RETURN(auto table, load_table<cuda::DriverTable>(path, cuda::kDriverEntries));
  if (table.cuInit == nullptr || table.cuDriverGetVersion == nullptr) {
    return Status::error(Code::kInvalidData, "%s is not a CUDA driver: it lacks cuInit", path.c_str());
  }
  return table;
}

Result<cuda::NvmlTable> load_nvml(const std::string& path) {
  TESSERA_ASSIGN_OR_RETURN(auto table, load_table<cuda::NvmlTable>(path, cuda::kNvmlEntries));
  if (table.nvmlInit_v2 == nullptr || table.nvmlDeviceGetCount_v2 == nullptr) {
    return Status::error(Code::kInvalidData, "%s is not NVML: it lacks nvmlInit_v2", path.c_str());
  }
  return table;
}

}  // namespace tessera::vgpu
