// What is really held on device 0, by anybody: from the management library below, which no slice colours.
#pragma once

#include <dlfcn.h>

#include "../driver_check.h"
#include "cuda/nvml.h"

namespace walk {

class DeviceUse {
 public:
  // The path of the driver's own libnvidia-ml.so.1; the device must be nobody else's.
  explicit DeviceUse(const char* path) : library_(dlopen(path, RTLD_NOW | RTLD_LOCAL)) {
    REQUIRE(library_ != nullptr, "%s", dlerror());
    REQUIRE(find<decltype(&nvmlInit_v2)>("nvmlInit_v2")() == NVML_SUCCESS, "nvmlInit");
    const auto get = find<decltype(&nvmlDeviceGetHandleByIndex_v2)>("nvmlDeviceGetHandleByIndex_v2");
    REQUIRE(get(0, &device_) == NVML_SUCCESS, "no device 0");
    get_memory_ = find<decltype(&nvmlDeviceGetMemoryInfo)>("nvmlDeviceGetMemoryInfo");
  }
  uint64_t bytes() const {
    nvmlMemory_t memory{};
    REQUIRE(get_memory_(device_, &memory) == NVML_SUCCESS, "nvmlDeviceGetMemoryInfo");
    return memory.used;
  }

 private:
  template <typename Function>
  Function find(const char* name) const {
    void* const found = dlsym(library_, name);
    REQUIRE(found != nullptr, "there is no %s", name);
    return reinterpret_cast<Function>(found);
  }

  void* const library_;
  nvmlDevice_t device_{};
  decltype(&nvmlDeviceGetMemoryInfo) get_memory_ = nullptr;
};

}  // namespace walk
