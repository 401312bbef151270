// Our libcuda.so.1: finds the driver, and puts the vGPU before it where the program runs in a slice; or takes
// its calls to the server of a GPU that is elsewhere.
#include "common/log.h"
#include "common/strings.h"
#include "guest/once.h"
#include "guest/upper.h"
#include "remote/client/connection.h"
#include "virtualization/driver_loader.h"
#include "virtualization/driver_locator.h"
#include "virtualization/vgpu/allocation_recorder.h"
#include "virtualization/vgpu/vgpu.h"

TESSERA_MARK_AS_GUEST();

namespace tessera::guest {
namespace {

using cuda::DriverTable;

constinit const DriverTable kNoDriver{};

Result<DriverTable> find_and_load() {
  TESSERA_RETURN_IF_ERROR(vgpu::check_privileges());
  vgpu::DriverSearch search = vgpu::locate_driver();
  if (!search.driver) return Status(Code::kNotFound, "no CUDA driver found: " + search.explanation());
  LOG_INFO("guest", "driver: %s (%s)", search.driver->libcuda.c_str(),
           vgpu::driver_kind_name(search.driver->kind));
  return vgpu::load_driver(search.driver->libcuda);
}

// All of it lives until the process ends: programs call into the driver from their last destructors.
const DriverTable* load() {
  log_init("tessera", "TESSERA_LOG");
  auto remote = remote::RemoteConfig::from_environment();
  if (!remote.ok()) {
    LOG_ERROR("guest", "%s", remote.status().message().c_str());
    return &kNoDriver;
  }
  if (!remote->server.empty()) {
    auto* far = new DriverTable;
    remote::install_remote(*far, exported<DriverTable>(), *std::move(remote));
    return far;
  }
  auto loaded = find_and_load();
  if (!loaded.ok()) {
    LOG_ERROR("guest", "%s. `tessera doctor` says more", loaded.status().message().c_str());
    return &kNoDriver;
  }
  auto* lower = new DriverTable(*loaded);
  auto access = vgpu::SliceAccess::from_environment();
  if (access.token.empty()) {
    LOG_INFO("guest", "TESSERA_SLICE is not set: calls are passed on without limits");
    return lower;
  }
  auto* upper_functions = new DriverTable;
  vgpu::install(*upper_functions, *lower,
                *new vgpu::Vgpu(*lower, exported<DriverTable>(), std::move(access)));
  if (const std::string log = env_or("TESSERA_TRACE", ""); !log.empty()) {
    vgpu::record_allocations(*upper_functions, log);
  }
  return upper_functions;
}

}  // namespace

template <>
const DriverTable& load_upper<DriverTable>() {
  return load_once(upper_table<DriverTable>, kNoDriver, load);
}

template <>
CUresult missing<CUresult>(const char* name) {
  if (upper_table<DriverTable>.load(std::memory_order_acquire) == &kNoDriver) return CUDA_ERROR_NO_DEVICE;
  LOG_INFO("guest", "the driver has no %s", name);
  return CUDA_ERROR_CALL_REQUIRES_NEWER_DRIVER;
}

}  // namespace tessera::guest
