// What NVML's exported functions begin and end with. Nothing may be thrown across the C interface.
#pragma once

#include <cstdio>
#include <exception>
#include <new>
#include <string>
#include <type_traits>

#include "common/log.h"
#include "softgpu/nvml/observer.h"

namespace tessera::softgpu {

template <typename Body>
nvmlReturn_t nvml_guarded(Body&& body) noexcept {
  try {
    return body();
  } catch (const std::bad_alloc&) {
    return NVML_ERROR_MEMORY;
  } catch (const std::exception& error) {
    LOG_ERROR("nvml", "internal error: %s", error.what());
    return NVML_ERROR_UNKNOWN;
  }
}

// Runs `body(const ObservedDevice&)` for a device that exists.
template <typename Body>
nvmlReturn_t on_device(nvmlDevice_t handle, Body&& body) noexcept {
  return nvml_guarded([&]() -> nvmlReturn_t {
    ObservedDevice device;
    const nvmlReturn_t result = Observer::instance().find(handle, &device);
    return result == NVML_SUCCESS ? body(device) : result;
  });
}

// Runs `body(const ObservedDevice&, const DeviceUse&)`.
template <typename Body>
nvmlReturn_t on_device_in_use(nvmlDevice_t handle, Body&& body) noexcept {
  return on_device(handle, [&](const ObservedDevice& device) -> nvmlReturn_t {
    DeviceUse use;
    const nvmlReturn_t result = Observer::instance().use(device, &use);
    return result == NVML_SUCCESS ? body(device, use) : result;
  });
}

template <typename T>
nvmlReturn_t give(T* target, std::type_identity_t<T> value) {
  if (target == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
  *target = value;
  return NVML_SUCCESS;
}

inline nvmlReturn_t give_text(const std::string& text, char* buffer, unsigned int size) {
  if (buffer == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
  if (text.size() + 1 > size) return NVML_ERROR_INSUFFICIENT_SIZE;
  snprintf(buffer, size, "%s", text.c_str());
  return NVML_SUCCESS;
}

}  // namespace tessera::softgpu
