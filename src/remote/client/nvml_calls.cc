#include "remote/client/nvml_calls.h"

#include <dlfcn.h>

#include <atomic>
#include <cstdio>
#include <cstring>
#include <mutex>

namespace tessera::remote {
namespace {

struct Asked {
  std::mutex lock;  // of the asking
  bool is_done = false;
  RemoteConfig config;
  std::atomic<const ServerInfo*> info{nullptr};
  std::atomic<int> uses{0};  // nvmlInit less nvmlShutdown
};
Asked& asked() {
  static auto* found = new Asked;
  return *found;
}

nvmlReturn_t init() {
  std::lock_guard lock(asked().lock);
  if (!asked().is_done) asked().info = server_info_alone(asked().config);
  asked().is_done = true;
  const ServerInfo* const info = asked().info;
  if (info == nullptr || info->init_result != CUDA_SUCCESS) return NVML_ERROR_DRIVER_NOT_LOADED;
  asked().uses.fetch_add(1);
  return NVML_SUCCESS;
}
nvmlReturn_t init_with_flags(unsigned int) { return init(); }

nvmlReturn_t shutdown() {
  std::lock_guard lock(asked().lock);
  if (asked().uses.load() == 0) return NVML_ERROR_UNINITIALIZED;
  asked().uses.fetch_sub(1);
  return NVML_SUCCESS;
}

const ServerInfo* info() { return asked().uses.load() > 0 ? asked().info.load() : nullptr; }

// A handle is the device's place in the list, from 1 on: it holds when NVML is begun with anew.
nvmlDevice_t handle_of(size_t index) { return reinterpret_cast<nvmlDevice_t>(index + 1); }

template <typename Body>
nvmlReturn_t on_device(nvmlDevice_t handle, Body body) {
  const ServerInfo* const known = info();
  if (known == nullptr) return NVML_ERROR_UNINITIALIZED;
  const size_t index = reinterpret_cast<size_t>(handle) - 1;
  return index < known->devices.size() ? body(index, known->devices[index]) : NVML_ERROR_INVALID_ARGUMENT;
}

template <typename T>
nvmlReturn_t give(T* place, const T& value) {
  if (place == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
  *place = value;
  return NVML_SUCCESS;
}

nvmlReturn_t give_text(const std::string& text, char* place, unsigned int room) {
  if (place == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
  if (text.size() >= room) return NVML_ERROR_INSUFFICIENT_SIZE;
  memcpy(place, text.c_str(), text.size() + 1);
  return NVML_SUCCESS;
}

std::string uuid_text(const CUuuid& uuid) {
  std::string text = "GPU-";
  for (size_t i = 0; i < sizeof uuid.bytes; ++i) {
    char two[3];
    snprintf(two, sizeof two, "%02x", static_cast<unsigned char>(uuid.bytes[i]));
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    text += two;
  }
  return text;
}

int attribute(const RemoteDevice& device, CUdevice_attribute which) {
  const auto index = static_cast<size_t>(which);
  return index < device.attributes.size() ? device.attributes[index] : 0;
}

nvmlPciInfo_t pci_of(const RemoteDevice& device) {
  nvmlPciInfo_t pci{};
  pci.domain = static_cast<unsigned>(attribute(device, CU_DEVICE_ATTRIBUTE_PCI_DOMAIN_ID));
  pci.bus = static_cast<unsigned>(attribute(device, CU_DEVICE_ATTRIBUTE_PCI_BUS_ID));
  pci.device = static_cast<unsigned>(attribute(device, CU_DEVICE_ATTRIBUTE_PCI_DEVICE_ID));
  snprintf(pci.busIdLegacy, sizeof pci.busIdLegacy, "%04X:%02X:%02X.0", pci.domain & 0xffff, pci.bus & 0xff,
           pci.device & 0xff);
  snprintf(pci.busId, sizeof pci.busId, "%08X:%02X:%02X.0", pci.domain, pci.bus & 0xff, pci.device & 0xff);
  return pci;
}

// What the program itself has taken of a device, as its CUDA says where it has begun with that; nothing is
// begun for an answer.
class ProgramsCuda {
 public:
  uint64_t used(const RemoteDevice& device) {
    CUdevice number = 0;
    unsigned flags = 0;
    int is_active = 0;
    if (!find() || !number_of(device, &number) || state_(number, &flags, &is_active) != CUDA_SUCCESS ||
        is_active == 0)
      return 0;
    CUcontext context = nullptr;
    if (retain_(&context, number) != CUDA_SUCCESS) return 0;
    size_t left = 0, all = 0;
    CUresult result = push_(context);
    if (result == CUDA_SUCCESS) {
      result = left_(&left, &all);
      (void)pop_(&context);
    }
    (void)release_(number);
    return result == CUDA_SUCCESS && left <= device.total_bytes ? device.total_bytes - left : 0;
  }

 private:
  template <typename Function>
  bool entry(Function*& place, const char* name) {
    place = reinterpret_cast<Function*>(dlsym(library_, name));
    return place != nullptr;
  }
  bool find() {
    library_ = dlopen("libcuda.so.1", RTLD_NOW | RTLD_NOLOAD);
    return library_ != nullptr && entry(count_, "cuDeviceGetCount") && entry(uuid_, "cuDeviceGetUuid_v2") &&
           entry(state_, "cuDevicePrimaryCtxGetState") && entry(retain_, "cuDevicePrimaryCtxRetain") &&
           entry(release_, "cuDevicePrimaryCtxRelease_v2") && entry(push_, "cuCtxPushCurrent_v2") &&
           entry(pop_, "cuCtxPopCurrent_v2") && entry(left_, "cuMemGetInfo_v2");
  }
  // Its list may be another than NVML's.
  bool number_of(const RemoteDevice& device, CUdevice* number) {
    int count = 0;
    if (count_(&count) != CUDA_SUCCESS) return false;
    for (*number = 0; *number < count; ++*number) {
      CUuuid uuid{};
      if (uuid_(&uuid, *number) == CUDA_SUCCESS && memcmp(&uuid, &device.uuid, sizeof uuid) == 0) return true;
    }
    return false;
  }

  void* library_ = nullptr;
  CUresult (*count_)(int*) = nullptr;
  CUresult (*uuid_)(CUuuid*, CUdevice) = nullptr;
  CUresult (*state_)(CUdevice, unsigned*, int*) = nullptr;
  CUresult (*retain_)(CUcontext*, CUdevice) = nullptr;
  CUresult (*release_)(CUdevice) = nullptr;
  CUresult (*push_)(CUcontext) = nullptr;
  CUresult (*pop_)(CUcontext*) = nullptr;
  CUresult (*left_)(size_t*, size_t*) = nullptr;
};

template <typename Memory>
nvmlReturn_t memory_info(nvmlDevice_t handle, Memory* memory) {
  return on_device(handle, [&](size_t, const RemoteDevice& device) {
    if (memory == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
    memory->total = device.total_bytes;
    memory->used = ProgramsCuda().used(device);
    memory->free = memory->total - memory->used;
    if constexpr (requires { memory->reserved; }) memory->reserved = 0;
    return NVML_SUCCESS;
  });
}

nvmlReturn_t device_count(unsigned int* count) {
  const ServerInfo* const known = info();
  if (known == nullptr) return NVML_ERROR_UNINITIALIZED;
  return give(count, static_cast<unsigned int>(known->devices.size()));
}

nvmlReturn_t handle_by_index(unsigned int index, nvmlDevice_t* device) {
  return on_device(handle_of(index),
                   [&](size_t at, const RemoteDevice&) { return give(device, handle_of(at)); });
}

template <typename Is>
nvmlReturn_t handle_by(nvmlDevice_t* device, Is is_it) {
  const ServerInfo* const known = info();
  if (known == nullptr) return NVML_ERROR_UNINITIALIZED;
  for (size_t i = 0; i < known->devices.size(); ++i) {
    if (is_it(known->devices[i])) return give(device, handle_of(i));
  }
  return NVML_ERROR_NOT_FOUND;
}

nvmlReturn_t handle_by_uuid(const char* uuid, nvmlDevice_t* device) {
  if (uuid == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
  return handle_by(device, [&](const RemoteDevice& one) { return uuid_text(one.uuid) == uuid; });
}

nvmlReturn_t handle_by_pci(const char* bus_id, nvmlDevice_t* device) {
  if (bus_id == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
  return handle_by(device, [&](const RemoteDevice& one) {
    const nvmlPciInfo_t pci = pci_of(one);
    return strcasecmp(pci.busId, bus_id) == 0 || strcasecmp(pci.busIdLegacy, bus_id) == 0;
  });
}

nvmlReturn_t device_index(nvmlDevice_t handle, unsigned int* index) {
  return on_device(
      handle, [&](size_t at, const RemoteDevice&) { return give(index, static_cast<unsigned int>(at)); });
}

nvmlReturn_t device_name(nvmlDevice_t handle, char* name, unsigned int room) {
  return on_device(handle,
                   [&](size_t, const RemoteDevice& device) { return give_text(device.name, name, room); });
}

nvmlReturn_t device_uuid(nvmlDevice_t handle, char* uuid, unsigned int room) {
  return on_device(handle, [&](size_t, const RemoteDevice& device) {
    return give_text(uuid_text(device.uuid), uuid, room);
  });
}

nvmlReturn_t pci_info(nvmlDevice_t handle, nvmlPciInfo_t* pci) {
  return on_device(handle, [&](size_t, const RemoteDevice& device) { return give(pci, pci_of(device)); });
}

nvmlReturn_t compute_capability(nvmlDevice_t handle, int* major, int* minor) {
  return on_device(handle, [&](size_t, const RemoteDevice& device) {
    const nvmlReturn_t first = give(major, attribute(device, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR));
    const nvmlReturn_t second = give(minor, attribute(device, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR));
    return first == NVML_SUCCESS ? second : first;
  });
}

nvmlReturn_t cuda_version(int* version) {
  const ServerInfo* const known = info();
  return known == nullptr ? NVML_ERROR_UNINITIALIZED : give(version, known->driver_version);
}

const char* error_string(nvmlReturn_t result) {
  switch (result) {
    case NVML_SUCCESS:
      return "Success";
    case NVML_ERROR_UNINITIALIZED:
      return "Uninitialized";
    case NVML_ERROR_INVALID_ARGUMENT:
      return "Invalid Argument";
    case NVML_ERROR_NOT_SUPPORTED:
      return "Not Supported";
    case NVML_ERROR_NOT_FOUND:
      return "Not Found";
    case NVML_ERROR_INSUFFICIENT_SIZE:
      return "Insufficient Size";
    case NVML_ERROR_DRIVER_NOT_LOADED:
      return "Driver Not Loaded";
    case NVML_ERROR_FUNCTION_NOT_FOUND:
      return "Function Not Found";
    default:
      return "Unknown Error";
  }
}

}  // namespace

void install_remote_nvml(cuda::NvmlTable& table, RemoteConfig config) {
  asked().config = std::move(config);
  table.nvmlInit = table.nvmlInit_v2 = init;
  table.nvmlInitWithFlags = init_with_flags;
  table.nvmlShutdown = shutdown;
  table.nvmlErrorString = error_string;
  table.nvmlSystemGetCudaDriverVersion = table.nvmlSystemGetCudaDriverVersion_v2 = cuda_version;
  table.nvmlDeviceGetCount = table.nvmlDeviceGetCount_v2 = device_count;
  table.nvmlDeviceGetHandleByIndex = table.nvmlDeviceGetHandleByIndex_v2 = handle_by_index;
  table.nvmlDeviceGetHandleByUUID = handle_by_uuid;
  table.nvmlDeviceGetHandleByPciBusId = table.nvmlDeviceGetHandleByPciBusId_v2 = handle_by_pci;
  table.nvmlDeviceGetIndex = device_index;
  table.nvmlDeviceGetName = device_name;
  table.nvmlDeviceGetUUID = device_uuid;
  table.nvmlDeviceGetMemoryInfo = memory_info<nvmlMemory_t>;
  table.nvmlDeviceGetMemoryInfo_v2 = memory_info<nvmlMemory_v2_t>;
  table.nvmlDeviceGetPciInfo_v3 = pci_info;
  table.nvmlDeviceGetCudaComputeCapability = compute_capability;
}

}  // namespace tessera::remote
