// Shows what NVML tells, in the manner of nvidia-smi, with nothing but the library: `smi [path of
// libnvidia-ml.so.1]`.
#include <dlfcn.h>

#include <cstdarg>
#include <cstdio>
#include <vector>

#include "cuda/nvml.h"

namespace {

void* library;

template <typename Function>
Function find(const char* name) {
  return reinterpret_cast<Function>(dlsym(library, name));
}
#define NVML(name) find<decltype(&::name)>(#name)

// One row of the table.
void row(const char* format, ...) __attribute__((format(printf, 1, 2)));
void row(const char* format, ...) {
  char text[128];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  std::printf("| %-75s |\n", text);
}

void rule() {
  std::printf("+%.77s+\n", "-----------------------------------------------------------------------------");
}

void print_processes(unsigned int index, nvmlDevice_t device) {
  unsigned int count = 0;
  NVML(nvmlDeviceGetComputeRunningProcesses_v3)(device, &count, nullptr);
  std::vector<nvmlProcessInfo_t> processes(count + 8);  // some more may come meanwhile
  count = static_cast<unsigned int>(processes.size());
  if (NVML(nvmlDeviceGetComputeRunningProcesses_v3)(device, &count, processes.data()) != NVML_SUCCESS) return;
  for (unsigned int i = 0; i < count; ++i) {
    char name[48] = "?";
    NVML(nvmlSystemGetProcessName)(processes[i].pid, name, sizeof name);
    row("%3u  %9u   C   %-42s %8lluMiB", index, processes[i].pid, name, processes[i].usedGpuMemory >> 20);
  }
}

// Errors of memory and why clocks are low, where the device tells.
void print_health(nvmlDevice_t device) {
  unsigned long long corrected = 0, uncorrected = 0, reasons = 0;
  const bool counts = NVML(nvmlDeviceGetTotalEccErrors)(device, NVML_MEMORY_ERROR_TYPE_CORRECTED,
                                                        NVML_VOLATILE_ECC, &corrected) == NVML_SUCCESS &&
                      NVML(nvmlDeviceGetTotalEccErrors)(device, NVML_MEMORY_ERROR_TYPE_UNCORRECTED,
                                                        NVML_VOLATILE_ECC, &uncorrected) == NVML_SUCCESS;
  if (counts) row("     memory errors: %llu corrected, %llu not", corrected, uncorrected);
  const nvmlReturn_t result = NVML(nvmlDeviceGetCurrentClocksThrottleReasons)(device, &reasons);
  if (result == NVML_SUCCESS && (reasons & nvmlClocksThrottleReasonHwSlowdown) != 0) {
    row("     slowed down: %s",
        (reasons & nvmlClocksThrottleReasonHwThermalSlowdown) != 0 ? "temperature" : "power");
  }
}

bool print_device(unsigned int index, nvmlDevice_t* device) {
  char name[96], uuid[96];
  nvmlPciInfo_t pci;
  nvmlMemory_t memory;
  nvmlUtilization_t utilisation;
  nvmlPstates_t state;
  unsigned int celsius, power, limit;
  if (NVML(nvmlDeviceGetHandleByIndex_v2)(index, device) != NVML_SUCCESS ||
      NVML(nvmlDeviceGetName)(*device, name, sizeof name) != NVML_SUCCESS ||
      NVML(nvmlDeviceGetUUID)(*device, uuid, sizeof uuid) != NVML_SUCCESS ||
      NVML(nvmlDeviceGetPciInfo_v3)(*device, &pci) != NVML_SUCCESS) {
    return false;
  }
  row("%3u  %-40s %s", index, name, pci.busId);
  row("     %s", uuid);
  const nvmlReturn_t result = NVML(nvmlDeviceGetMemoryInfo)(*device, &memory);
  if (result == NVML_ERROR_GPU_IS_LOST) {
    row("     %s", NVML(nvmlErrorString)(result));
    return true;
  }
  if (result != NVML_SUCCESS || NVML(nvmlDeviceGetUtilizationRates)(*device, &utilisation) != NVML_SUCCESS ||
      NVML(nvmlDeviceGetPerformanceState)(*device, &state) != NVML_SUCCESS ||
      NVML(nvmlDeviceGetTemperature)(*device, NVML_TEMPERATURE_GPU, &celsius) != NVML_SUCCESS ||
      NVML(nvmlDeviceGetPowerUsage)(*device, &power) != NVML_SUCCESS ||
      NVML(nvmlDeviceGetEnforcedPowerLimit)(*device, &limit) != NVML_SUCCESS) {
    return false;
  }
  row("     %2uC   P%u   %4uW / %4uW   %8lluMiB / %8lluMiB   %3u%%", celsius, state, power / 1000,
      limit / 1000, memory.used >> 20, memory.total >> 20, utilisation.gpu);
  print_health(*device);
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  library = dlopen(argc > 1 ? argv[1] : "libnvidia-ml.so.1", RTLD_NOW);
  if (library == nullptr) {
    std::fprintf(stderr, "smi: %s\n", dlerror());
    return 1;
  }
  const nvmlReturn_t result = NVML(nvmlInit_v2)();
  if (result != NVML_SUCCESS) {
    std::fprintf(stderr, "smi: NVML cannot be initialised: %s\n", NVML(nvmlErrorString)(result));
    return 1;
  }
  char version[80];
  int cuda = 0;
  unsigned int count = 0;
  if (NVML(nvmlSystemGetDriverVersion)(version, sizeof version) != NVML_SUCCESS ||
      NVML(nvmlSystemGetCudaDriverVersion_v2)(&cuda) != NVML_SUCCESS ||
      NVML(nvmlDeviceGetCount_v2)(&count) != NVML_SUCCESS) {
    return 1;
  }
  rule();
  row("Driver version %-18s CUDA version %d.%d", version, cuda / 1000, cuda % 1000 / 10);
  rule();
  std::vector<nvmlDevice_t> devices(count);
  for (unsigned int i = 0; i < count; ++i) {
    if (!print_device(i, &devices[i])) return 1;
  }
  rule();
  row("GPU        PID  Type Process                                        Memory");
  for (unsigned int i = 0; i < count; ++i) print_processes(i, devices[i]);
  rule();
  return NVML(nvmlShutdown)() == NVML_SUCCESS ? 0 : 1;
}
