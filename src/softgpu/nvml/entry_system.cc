// NVML as a library, the system, and finding devices.
#include <unistd.h>

#include <string>

#include "common/fd.h"
#include "common/strings.h"
#include "softgpu/device/version.h"
#include "softgpu/nvml/entry.h"

namespace tessera::softgpu {
namespace {

struct ResultText {
  nvmlReturn_t result;
  const char* text;
};

constexpr ResultText kResultTexts[] = {
    {NVML_SUCCESS, "Success"},
    {NVML_ERROR_UNINITIALIZED, "Uninitialized"},
    {NVML_ERROR_INVALID_ARGUMENT, "Invalid Argument"},
    {NVML_ERROR_NOT_SUPPORTED, "Not Supported"},
    {NVML_ERROR_NO_PERMISSION, "Insufficient Permissions"},
    {NVML_ERROR_ALREADY_INITIALIZED, "Already Initialized"},
    {NVML_ERROR_NOT_FOUND, "Not Found"},
    {NVML_ERROR_INSUFFICIENT_SIZE, "Insufficient Size"},
    {NVML_ERROR_INSUFFICIENT_POWER, "Insufficient External Power"},
    {NVML_ERROR_DRIVER_NOT_LOADED, "Driver Not Loaded"},
    {NVML_ERROR_TIMEOUT, "Timeout"},
    {NVML_ERROR_IRQ_ISSUE, "Interrupt Request Issue"},
    {NVML_ERROR_LIBRARY_NOT_FOUND, "NVML Shared Library Not Found"},
    {NVML_ERROR_FUNCTION_NOT_FOUND, "Function Not Found"},
    {NVML_ERROR_CORRUPTED_INFOROM, "Corrupted infoROM"},
    {NVML_ERROR_GPU_IS_LOST, "GPU is lost"},
    {NVML_ERROR_RESET_REQUIRED, "GPU requires reset"},
    {NVML_ERROR_OPERATING_SYSTEM, "GPU access blocked by the operating system"},
    {NVML_ERROR_LIB_RM_VERSION_MISMATCH, "Driver/library version mismatch"},
    {NVML_ERROR_IN_USE, "In use by another client"},
    {NVML_ERROR_MEMORY, "Insufficient Memory"},
    {NVML_ERROR_NO_DATA, "No data"},
    {NVML_ERROR_VGPU_ECC_NOT_SUPPORTED, "ECC is not supported on vGPU"},
    {NVML_ERROR_INSUFFICIENT_RESOURCES, "Insufficient Resources"},
    {NVML_ERROR_FREQ_NOT_SUPPORTED, "Requested frequency is not supported"},
    {NVML_ERROR_ARGUMENT_VERSION_MISMATCH, "Version mismatch of an argument"},
    {NVML_ERROR_DEPRECATED, "Deprecated"},
    {NVML_ERROR_NOT_READY, "Not Ready"},
    {NVML_ERROR_GPU_NOT_FOUND, "GPU Not Found"},
    {NVML_ERROR_INVALID_STATE, "Invalid State"},
    {NVML_ERROR_RESET_TYPE_NOT_SUPPORTED, "Reset type is not supported"},
    {NVML_ERROR_UNKNOWN, "Unknown Error"},
};

// The handle of the first device that `matches` takes.
template <typename Matches>
nvmlReturn_t find_handle(nvmlDevice_t* device, Matches&& matches) {
  std::vector<ObservedDevice> devices;
  const nvmlReturn_t result = Observer::instance().all(&devices);
  if (result != NVML_SUCCESS) return result;
  for (const ObservedDevice& candidate : devices) {
    if (matches(candidate))
      return Observer::instance().handle(static_cast<unsigned int>(candidate.index), device);
  }
  return NVML_ERROR_NOT_FOUND;
}

nvmlReturn_t find_by_pci(const char* text, nvmlDevice_t* device) {
  return nvml_guarded([&] {
    const auto address = text != nullptr ? parse_pci(text) : std::nullopt;
    if (!address || device == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
    return find_handle(device, [&](const ObservedDevice& candidate) { return candidate.pci == *address; });
  });
}

nvmlReturn_t require_initialised() {
  unsigned int count = 0;
  return Observer::instance().count(&count);
}

// These two work without nvmlInit.
nvmlReturn_t give_cuda_version(int* version) { return give(version, kDriverVersion); }

}  // namespace
}  // namespace tessera::softgpu

using namespace tessera::softgpu;  // NOLINT(google-build-using-namespace): the definitions below are C
                                   // functions

extern "C" {

nvmlReturn_t nvmlInit() {
  return nvml_guarded([] { return Observer::instance().init(); });
}
nvmlReturn_t nvmlInit_v2() { return nvmlInit(); }

nvmlReturn_t nvmlInitWithFlags(unsigned int flags) {
  if ((flags & ~(NVML_INIT_FLAG_NO_GPUS | NVML_INIT_FLAG_NO_ATTACH)) != 0) return NVML_ERROR_INVALID_ARGUMENT;
  return nvmlInit();
}

nvmlReturn_t nvmlShutdown() {
  return nvml_guarded([] { return Observer::instance().shutdown(); });
}

const char* nvmlErrorString(nvmlReturn_t result) {
  for (const ResultText& known : kResultTexts) {
    if (known.result == result) return known.text;
  }
  return "Unknown Error";
}

nvmlReturn_t nvmlSystemGetDriverVersion(char* version, unsigned int length) {
  const nvmlReturn_t result = require_initialised();
  return result == NVML_SUCCESS ? give_text(kDriverPackageVersion, version, length) : result;
}

nvmlReturn_t nvmlSystemGetNVMLVersion(char* version, unsigned int length) {
  return nvml_guarded([&] {  // the major version of CUDA, then the driver's
    return give_text(std::to_string(kDriverVersion / 1000) + "." + kDriverPackageVersion, version, length);
  });
}

nvmlReturn_t nvmlSystemGetCudaDriverVersion(int* cudaDriverVersion) {
  return give_cuda_version(cudaDriverVersion);
}
nvmlReturn_t nvmlSystemGetCudaDriverVersion_v2(int* cudaDriverVersion) {
  return give_cuda_version(cudaDriverVersion);
}

nvmlReturn_t nvmlSystemGetProcessName(unsigned int pid, char* name, unsigned int length) {
  return nvml_guarded([&]() -> nvmlReturn_t {
    const nvmlReturn_t result = require_initialised();
    if (result != NVML_SUCCESS) return result;
    if (name == nullptr || length == 0) return NVML_ERROR_INVALID_ARGUMENT;
    constexpr size_t kLongestCommandLine = 1u << 20;
    auto command = tessera::read_file(tessera::str_format("/proc/%u/cmdline", pid), kLongestCommandLine);
    if (!command.ok()) return NVML_ERROR_NOT_FOUND;
    snprintf(name, length, "%s",
             command->c_str());  // up to the first zero: the program; cut where it is too long
    return NVML_SUCCESS;
  });
}

nvmlReturn_t nvmlUnitGetCount(unsigned int* unitCount) {
  const nvmlReturn_t result = require_initialised();
  return result == NVML_SUCCESS ? give(unitCount, 0) : result;
}

nvmlReturn_t nvmlGetExcludedDeviceCount(unsigned int* deviceCount) {
  const nvmlReturn_t result = require_initialised();
  return result == NVML_SUCCESS ? give(deviceCount, 0) : result;
}

nvmlReturn_t nvmlDeviceGetCount(unsigned int* deviceCount) { return Observer::instance().count(deviceCount); }
nvmlReturn_t nvmlDeviceGetCount_v2(unsigned int* deviceCount) {
  return Observer::instance().count(deviceCount);
}

nvmlReturn_t nvmlDeviceGetHandleByIndex(unsigned int index, nvmlDevice_t* device) {
  return Observer::instance().handle(index, device);
}
nvmlReturn_t nvmlDeviceGetHandleByIndex_v2(unsigned int index, nvmlDevice_t* device) {
  return Observer::instance().handle(index, device);
}

nvmlReturn_t nvmlDeviceGetHandleByUUID(const char* uuid, nvmlDevice_t* device) {
  return nvml_guarded([&] {
    if (uuid == nullptr || device == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
    return find_handle(device,
                       [&](const ObservedDevice& candidate) { return format_uuid(candidate.uuid) == uuid; });
  });
}

nvmlReturn_t nvmlDeviceGetHandleBySerial(const char* serial, nvmlDevice_t* device) {
  return nvml_guarded([&] {
    if (serial == nullptr || device == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
    return find_handle(device,
                       [&](const ObservedDevice& candidate) { return serial_of(candidate) == serial; });
  });
}

nvmlReturn_t nvmlDeviceGetHandleByPciBusId(const char* pciBusId, nvmlDevice_t* device) {
  return find_by_pci(pciBusId, device);
}
nvmlReturn_t nvmlDeviceGetHandleByPciBusId_v2(const char* pciBusId, nvmlDevice_t* device) {
  return find_by_pci(pciBusId, device);
}

}  // extern "C"
