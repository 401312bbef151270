#include "node/inventory.h"

#include <dlfcn.h>

#include <algorithm>
#include <map>
#include <span>
#include <utility>

#include "common/clock.h"
#include "cuda/device_scheduling_table.h"
#include "cuda/multi_process_service.h"
#include "node/topology/pci_address.h"
#include "virtualization/driver_loader.h"
#include "virtualization/driver_locator.h"

namespace tessera::node {
namespace {

// The little of NVML that is needed here, as declared by NVIDIA's nvml.h.
using nvmlReturn = int;
constexpr nvmlReturn kSuccess = 0;
constexpr nvmlReturn kGpuIsLost = 15;
constexpr int kUncorrectedError = 1;  // NVML_MEMORY_ERROR_TYPE_UNCORRECTED
constexpr int kVolatileEcc = 0;       // NVML_VOLATILE_ECC
struct nvmlDevice_st;
using nvmlDevice = nvmlDevice_st*;
struct nvmlMemory {
  unsigned long long total;
  unsigned long long free;
  unsigned long long used;
};
struct nvmlUtilization {
  unsigned int gpu;
  unsigned int memory;
};

struct nvmlPci {  // nvmlPciInfo_t
  char legacy_bus_id[16];
  unsigned int domain, bus, device, ids[2];
  char bus_id[32];
};

struct nvmlAttributes {  // nvmlDeviceAttributes_t
  unsigned int multiprocessors;
  unsigned int others[7];
  unsigned long long memory_mib;
};

struct nvmlProcessSample {  // nvmlProcessUtilizationSample_t
  unsigned int pid;
  unsigned long long time_us;  // since 1970
  unsigned int sm_percent;
  unsigned int others[3];
};

struct Nvml {
  nvmlReturn (*init)() = nullptr;
  nvmlReturn (*shutdown)() = nullptr;
  const char* (*error_string)(nvmlReturn) = nullptr;
  nvmlReturn (*driver_version)(char*, unsigned int) = nullptr;
  nvmlReturn (*count)(unsigned int*) = nullptr;
  nvmlReturn (*handle)(unsigned int, nvmlDevice*) = nullptr;
  nvmlReturn (*name)(nvmlDevice, char*, unsigned int) = nullptr;
  nvmlReturn (*uuid)(nvmlDevice, char*, unsigned int) = nullptr;
  nvmlReturn (*memory)(nvmlDevice, nvmlMemory*) = nullptr;
  nvmlReturn (*utilization)(nvmlDevice, nvmlUtilization*) = nullptr;
  nvmlReturn (*ecc_errors)(nvmlDevice, int, int, unsigned long long*) = nullptr;
  // Not every version has these:
  nvmlReturn (*pci)(nvmlDevice, nvmlPci*) = nullptr;
  nvmlReturn (*attributes)(nvmlDevice, nvmlAttributes*) = nullptr;
  nvmlReturn (*cores)(nvmlDevice, unsigned int*) = nullptr;
  nvmlReturn (*capability)(nvmlDevice, int*, int*) = nullptr;
  nvmlReturn (*process_samples)(nvmlDevice, nvmlProcessSample*, unsigned int*, unsigned long long) = nullptr;

  Status check(nvmlReturn result, const char* function) const {
    if (result == kSuccess) return Status();
    return Status::error(Code::kUnavailable, "%s: %s (%d)", function, error_string(result), result);
  }
};

Result<Nvml> load_nvml(const std::string& path) {
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return Status::error(Code::kUnavailable, "cannot load NVML: %s", dlerror());
  Nvml nvml;
  Status status;
  auto find = [&](auto& function, const char* symbol) {
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(library, symbol));
    if (function == nullptr && status.ok()) {
      status = Status::error(Code::kUnsupported, "%s has no %s", path.c_str(), symbol);
    }
  };
  find(nvml.init, "nvmlInit_v2");
  find(nvml.shutdown, "nvmlShutdown");
  find(nvml.error_string, "nvmlErrorString");
  find(nvml.driver_version, "nvmlSystemGetDriverVersion");
  find(nvml.count, "nvmlDeviceGetCount_v2");
  find(nvml.handle, "nvmlDeviceGetHandleByIndex_v2");
  find(nvml.name, "nvmlDeviceGetName");
  find(nvml.uuid, "nvmlDeviceGetUUID");
  find(nvml.memory, "nvmlDeviceGetMemoryInfo");
  find(nvml.utilization, "nvmlDeviceGetUtilizationRates");
  find(nvml.ecc_errors, "nvmlDeviceGetTotalEccErrors");
  if (!status.ok()) return status;
  auto find_where_there = [&](auto& function, const char* symbol) {
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(library, symbol));
  };
  find_where_there(nvml.pci, "nvmlDeviceGetPciInfo_v3");
  find_where_there(nvml.attributes, "nvmlDeviceGetAttributes_v2");
  find_where_there(nvml.cores, "nvmlDeviceGetNumGpuCores");
  find_where_there(nvml.capability, "nvmlDeviceGetCudaComputeCapability");
  find_where_there(nvml.process_samples, "nvmlDeviceGetProcessUtilization");
  return nvml;
}

// Of one multiprocessor, by compute capability (CUDA C++ programming guide, "Arithmetic Instructions":
// results of 32-bit floating-point addition per cycle); 0 where it is not known.
unsigned int cores_per_sm(int major, int minor) {
  if (major == 5 || (major == 6 && minor > 0)) return 128;
  if (major == 6 || major == 7 || (major == 8 && minor == 0)) return 64;
  return major >= 8 && major <= 12 ? 128 : 0;
}

// NVML tells the number itself for MIG devices only.
uint32_t read_sm_count(const Nvml& nvml, nvmlDevice device) {
  nvmlAttributes attributes{};
  if (nvml.attributes != nullptr && nvml.attributes(device, &attributes) == kSuccess)
    return attributes.multiprocessors;
  unsigned int cores = 0;
  int major = 0, minor = 0;
  if (nvml.cores == nullptr || nvml.capability == nullptr || nvml.cores(device, &cores) != kSuccess ||
      nvml.capability(device, &major, &minor) != kSuccess) {
    return 0;
  }
  const unsigned int each = cores_per_sm(major, minor);
  return each == 0 ? 0 : cores / each;
}

std::string read_pci(const Nvml& nvml, nvmlDevice device) {
  nvmlPci pci{};
  if (nvml.pci == nullptr || nvml.pci(device, &pci) != kSuccess) return {};
  pci.bus_id[sizeof pci.bus_id - 1] = 0;
  return pci_address(pci.bus_id);
}

// Of the driver; the tables can be asked for before it is initialised.
bool has_scheduling_table(const std::string& libcuda) {
  void* library = dlopen(libcuda.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return false;
  using GetExportTable = CUresult (*)(const void** table, const CUuuid* id);
  auto get = reinterpret_cast<GetExportTable>(dlsym(library, "cuGetExportTable"));
  const void* table = nullptr;
  return get != nullptr && get(&table, &cuda::kDeviceSchedulingTable) == CUDA_SUCCESS && table != nullptr &&
         static_cast<const cuda::DeviceSchedulingTable*>(table)->bytes >= sizeof(cuda::DeviceSchedulingTable);
}

// Of several samples of a process the latest count; a process may have opened the device more than once, and
// has a sample of the same time for each.
void read_processes(const Nvml& nvml, nvmlDevice device, Gpu& gpu) {
  constexpr int kNotFound = 6;  // NVML_ERROR_NOT_FOUND: nobody worked
  constexpr uint64_t kNsPerUs = 1000;
  if (nvml.process_samples == nullptr) return;
  std::vector<nvmlProcessSample> samples(2 * kMaxGpuProcesses);
  auto count = static_cast<unsigned int>(samples.size());
  const uint64_t asked_ns = monotonic_ns();
  const nvmlReturn result =
      nvml.process_samples(device, samples.data(), &count, (wall_ns() - kProcessWindowNs) / kNsPerUs);
  if (result != kSuccess && result != kNotFound) return;
  gpu.processes_ns = asked_ns;
  samples.resize(result == kSuccess ? std::min<size_t>(count, samples.size()) : 0);
  std::map<unsigned int, nvmlProcessSample> latest;
  for (const nvmlProcessSample& sample : samples) {
    nvmlProcessSample& known = latest.try_emplace(sample.pid).first->second;
    if (sample.time_us == known.time_us) {
      known.sm_percent += sample.sm_percent;
    } else if (sample.time_us > known.time_us) {
      known = sample;
    }
  }
  for (const auto& [pid, sample] : latest) {
    if (sample.sm_percent == 0 || gpu.processes.size() == kMaxGpuProcesses) continue;
    gpu.processes.push_back({pid, std::min(sample.sm_percent, 100U)});
  }
}

constexpr unsigned long long kNotAvailable = ~0ULL;  // NVML_VALUE_NOT_AVAILABLE

// A driver that does not know it of one (under WSL, say) is not asked to sum up.
void read_memory(const cuda::NvmlTable& nvml, nvmlDevice_t device, Gpu& gpu) {
  std::vector<nvmlProcessInfo_t> infos(kMaxGpuProcesses);
  auto count = static_cast<unsigned int>(infos.size());
  const auto ask = nvml.nvmlDeviceGetComputeRunningProcesses_v3 != nullptr
                       ? nvml.nvmlDeviceGetComputeRunningProcesses_v3
                       : nvml.nvmlDeviceGetComputeRunningProcesses_v2;
  if (ask == nullptr || ask(device, &count, infos.data()) != NVML_SUCCESS) return;
  std::map<uint32_t, uint64_t> by_pid;
  for (const nvmlProcessInfo_t& info : std::span(infos).first(std::min<size_t>(count, infos.size()))) {
    if (info.usedGpuMemory == kNotAvailable) return;
    by_pid[info.pid] += info.usedGpuMemory;
  }
  gpu.memory.emplace();
  for (const auto& [pid, bytes] : by_pid) gpu.memory->push_back({pid, bytes});
}

// Takes what the driver answers about a GPU, and says whether it did.
class Answers {
 public:
  Answers(const Nvml& nvml, Gpu& gpu) : nvml_(nvml), gpu_(gpu) {}
  bool operator()(nvmlReturn result, const char* function) {
    if (result != kSuccess) gpu_.problem = nvml_.check(result, function).message();
    gpu_.lost = result == kGpuIsLost;
    return result == kSuccess;
  }

 private:
  const Nvml& nvml_;
  Gpu& gpu_;
};

// What stays as it is as long as NVML is open; false where the driver does not tell it.
bool read_identity(const Nvml& nvml, nvmlDevice device, Gpu& gpu) {
  Answers answered(nvml, gpu);
  char uuid[96] = "";
  char name[96] = "";
  if (!answered(nvml.uuid(device, uuid, sizeof uuid), "nvmlDeviceGetUUID")) return false;
  gpu.uuid = uuid;
  if (!answered(nvml.name(device, name, sizeof name), "nvmlDeviceGetName")) return false;
  gpu.name = name;
  gpu.pci = read_pci(nvml, device);
  return true;
}

using Identities = std::map<nvmlDevice, Gpu>;  // with nothing else in them

// What the GPU tells, up to the first question that it does not answer: one that is ill must not hide the
// others.
Gpu read_gpu(const Nvml& nvml, const cuda::NvmlTable& table, unsigned int index, Identities& identities) {
  Gpu gpu;
  Answers answered(nvml, gpu);
  nvmlDevice device = nullptr;
  if (!answered(nvml.handle(index, &device), "nvmlDeviceGetHandleByIndex_v2")) return gpu;
  auto known = identities.find(device);
  if (known == identities.end()) {
    if (!read_identity(nvml, device, gpu)) return gpu;
    known = identities.emplace(device, gpu).first;
  }
  gpu = known->second;
  nvmlMemory memory{};
  if (!answered(nvml.memory(device, &memory), "nvmlDeviceGetMemoryInfo")) return gpu;
  gpu.total_bytes = memory.total;
  gpu.used_bytes = memory.used;
  gpu.sm_count = read_sm_count(nvml, device);
  gpu.sensors = read_sensors(table, reinterpret_cast<nvmlDevice_t>(device));
  // Not every device tells its utilisation (MIG, some virtual GPUs): that is no error.
  nvmlUtilization utilization{};
  if (nvml.utilization(device, &utilization) == kSuccess) {
    gpu.utilization_percent = utilization.gpu;
    gpu.sensors[static_cast<size_t>(Sensor::kMemoryBusy)] = utilization.memory;
  }
  unsigned long long errors = 0;  // likewise
  if (nvml.ecc_errors(device, kUncorrectedError, kVolatileEcc, &errors) == kSuccess)
    gpu.uncorrected_errors = errors;
  read_processes(nvml, device, gpu);
  read_memory(table, reinterpret_cast<nvmlDevice_t>(device), gpu);
  return gpu;
}

Status read_gpus(const Nvml& nvml, const cuda::NvmlTable& table, Identities& identities,
                 Inventory& inventory) {
  char version[96] = "";
  TESSERA_RETURN_IF_ERROR(
      nvml.check(nvml.driver_version(version, sizeof version), "nvmlSystemGetDriverVersion"));
  inventory.driver_version = version;
  unsigned int count = 0;
  TESSERA_RETURN_IF_ERROR(nvml.check(nvml.count(&count), "nvmlDeviceGetCount_v2"));
  if (count > kMaxGpus)
    return Status::error(Code::kUnsupported, "%u GPUs; %zu are supported", count, kMaxGpus);
  for (unsigned int index = 0; index < count; ++index) {
    inventory.gpus.push_back(read_gpu(nvml, table, index, identities));
  }
  return Status();
}

// NVML, from its beginning to its end in this process.
class Source {
 public:
  static Result<Source> open();
  Source(Source&& other) noexcept
      : nvml_(other.nvml_),
        table_(other.table_),
        known_(std::move(other.known_)),
        identities_(std::move(other.identities_)),
        is_open_(std::exchange(other.is_open_, false)) {}
  Source& operator=(Source&&) = delete;
  ~Source() {
    if (is_open_) nvml_.shutdown();
  }
  Result<Inventory> read();

 private:
  Source(const Nvml& nvml, const cuda::NvmlTable& table, Inventory known)
      : nvml_(nvml), table_(table), known_(std::move(known)) {}
  Nvml nvml_;
  cuda::NvmlTable table_;
  Inventory known_;  // what stays as it is
  Identities identities_;
  bool is_open_ = true;
};

Result<Source> Source::open() {
  vgpu::DriverSearch search = vgpu::locate_driver();
  if (!search.driver) {
    return Status::error(Code::kNotFound, "no GPU driver: %s", search.explanation().c_str());
  }
  if (search.driver->libnvidia_ml.empty()) {
    return Status::error(Code::kNotFound, "%s has no libnvidia-ml.so.1 beside it; is the driver complete?",
                         search.driver->libcuda.c_str());
  }
  Inventory known;
  known.driver_kind = vgpu::driver_kind_name(search.driver->kind);
  known.driver_library = search.driver->libcuda;
  known.space = has_scheduling_table(known.driver_library);
  TESSERA_ASSIGN_OR_RETURN(Nvml nvml, load_nvml(search.driver->libnvidia_ml));
  TESSERA_ASSIGN_OR_RETURN(const cuda::NvmlTable table, vgpu::load_nvml(search.driver->libnvidia_ml));
  TESSERA_RETURN_IF_ERROR(nvml.check(nvml.init(), "nvmlInit_v2"));
  return Source(nvml, table, std::move(known));
}

Result<Inventory> Source::read() {
  Inventory inventory = known_;
  TESSERA_RETURN_IF_ERROR(read_gpus(nvml_, table_, identities_, inventory));
  inventory.mps = cuda::mps_is_offered();
  return inventory;
}

bool tells_of_trouble(const Result<Inventory>& answer) {
  return !answer.ok() || std::any_of(answer->gpus.begin(), answer->gpus.end(),
                                     [](const Gpu& gpu) { return !gpu.problem.empty(); });
}

}  // namespace

Result<Inventory> read_inventory() {
  TESSERA_ASSIGN_OR_RETURN(Source source, Source::open());
  return source.read();
}

int tell_inventory(FILE* input, FILE* output) {
  auto source = Source::open();
  for (;;) {
    const auto answer = source.ok() ? source->read() : Result<Inventory>(source.status());
    fprintf(output, "%s\n", inventory_answer_text(answer).c_str());
    if (fflush(output) != 0 || tells_of_trouble(answer)) return 0;
    int c = 0;
    while ((c = getc(input)) != '\n') {
      if (c == EOF) return 0;
    }
  }
}

}  // namespace tessera::node
