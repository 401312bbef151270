#include "guest/memory_space/program_driver.h"

#include "cuda/result_names.h"
#include "virtualization/driver_loader.h"
#include "virtualization/driver_locator.h"
#include "virtualization/inherited.h"

namespace tessera::guest {
namespace {

Status status_of(CUresult result, const char* call) {
  if (result == CUDA_SUCCESS) return {};
  const char* name = cuda::result_name(result);
  const Code code = result == CUDA_ERROR_NO_DEVICE ? Code::kNotFound : Code::kUnavailable;
  return Status::error(code, "%s: %s", call, name != nullptr ? name : "an error that CUDA does not define");
}

Result<cuda::DriverTable> find_driver(const char* wanted) {
  const bool in_slice = !vgpu::inherited("TESSERA_SLICE").empty();
  if (wanted == nullptr && (in_slice || vgpu::inherited("TESSERA_DRIVER").empty())) {
    auto own = vgpu::load_program_driver();
    if (own.ok() || in_slice) return own;
  }
  const vgpu::DriverSearch search = wanted == nullptr ? vgpu::locate_driver() : vgpu::locate_driver(wanted);
  if (!search.driver) return Status(Code::kNotFound, "no CUDA driver found: " + search.explanation());
  return vgpu::load_driver(search.driver->libcuda);
}

}  // namespace

Result<cuda::DriverTable> load_program_driver(const char* wanted) {
  TESSERA_ASSIGN_OR_RETURN(cuda::DriverTable driver, find_driver(wanted));
  TESSERA_RETURN_IF_ERROR(status_of(driver.cuInit(0), "cuInit"));
  return driver;
}

Status check_device(const cuda::DriverTable& driver, CUdevice device) {
  int count = 0;
  TESSERA_RETURN_IF_ERROR(status_of(driver.cuDeviceGetCount(&count), "cuDeviceGetCount"));
  if (device >= 0 && device < count) return {};
  return Status::error(Code::kNotFound, "no GPU %d: the driver has %d", device, count);
}

}  // namespace tessera::guest
