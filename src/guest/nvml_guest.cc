// Our libnvidia-ml.so.1: NVML as the program's slice looks, or the server's GPU that it has.
#include "common/log.h"
#include "guest/once.h"
#include "guest/upper.h"
#include "remote/client/nvml_calls.h"
#include "virtualization/driver_loader.h"
#include "virtualization/driver_locator.h"
#include "virtualization/vgpu/nvml_view.h"

TESSERA_MARK_AS_GUEST();

namespace tessera::guest {
namespace {

using cuda::NvmlTable;

constinit const NvmlTable kNoNvml{};

Result<NvmlTable> find_and_load() {
  TESSERA_RETURN_IF_ERROR(vgpu::check_privileges());
  vgpu::DriverSearch search = vgpu::locate_driver();
  if (!search.driver || search.driver->libnvidia_ml.empty()) {
    return Status(Code::kNotFound, "no NVML found: " + search.explanation());
  }
  return vgpu::load_nvml(search.driver->libnvidia_ml);
}

const NvmlTable* load() {
  log_init("tessera", "TESSERA_LOG");
  auto remote = remote::RemoteConfig::from_environment();
  if (!remote.ok()) {
    LOG_ERROR("guest", "%s", remote.status().message().c_str());
    return &kNoNvml;
  }
  if (!remote->server.empty()) {
    auto* far = new NvmlTable{};
    remote::install_remote_nvml(*far, *std::move(remote));
    return far;
  }
  auto loaded = find_and_load();
  if (!loaded.ok()) {
    // Programs look for NVML to see whether there is a GPU at all: not an error of theirs.
    LOG_WARN("guest", "%s", loaded.status().message().c_str());
    return &kNoNvml;
  }
  auto* lower = new NvmlTable(*loaded);
  auto access = vgpu::SliceAccess::from_environment();
  if (access.token.empty()) return lower;
  auto* upper_functions = new NvmlTable;
  vgpu::install_nvml(*upper_functions, *lower, *new vgpu::NvmlView(*lower, std::move(access)));
  return upper_functions;
}

}  // namespace

template <>
const NvmlTable& load_upper<NvmlTable>() {
  return load_once(upper_table<NvmlTable>, kNoNvml, load);
}

template <>
nvmlReturn_t missing<nvmlReturn_t>(const char* name) {
  if (upper_table<NvmlTable>.load(std::memory_order_acquire) == &kNoNvml) return NVML_ERROR_DRIVER_NOT_LOADED;
  LOG_INFO("guest", "NVML has no %s", name);
  return NVML_ERROR_FUNCTION_NOT_FOUND;
}

// nvmlErrorString, the one function that answers with a text.
template <>
const char* missing<const char*>(const char*) {
  return "NVML is not there";
}

}  // namespace tessera::guest
