#include "softgpu/nvml/observer.h"

#include <algorithm>

#include "common/log.h"
#include "common/strings.h"

namespace tessera::softgpu {
namespace {

// A handle is the address of a device's place here; nothing is ever read through it.
char places[kMaxDevices];

}  // namespace

Observer& Observer::instance() {
  static auto* made = new Observer();
  return *made;
}

nvmlReturn_t Observer::init() {
  std::lock_guard lock(mutex_);
  if (initialised_ > 0) {
    ++initialised_;
    return NVML_SUCCESS;
  }
  log_init("softgpu-nvml", "SOFTGPU_LOG");
  auto config = load_config();
  if (!config.ok()) {
    LOG_ERROR("nvml", "%s", config.status().message().c_str());
    return NVML_ERROR_DRIVER_NOT_LOADED;
  }
  std::vector<Open> devices;
  for (int index = 0; index < config->devices; ++index) {
    auto file = DeviceFile::open(*config, index, false);
    if (!file.ok()) {
      LOG_ERROR("nvml", "device %d: %s", index, file.status().message().c_str());
      return NVML_ERROR_DRIVER_NOT_LOADED;
    }
    const ObservedDevice device = {index, &model_of(*config), (*file)->uuid(), pci_address(index)};
    devices.push_back({device, std::move(file).value()});
  }
  config_ = std::move(config).value();
  devices_ = std::move(devices);
  initialised_ = 1;
  return NVML_SUCCESS;
}

nvmlReturn_t Observer::shutdown() {
  std::lock_guard lock(mutex_);
  if (initialised_ == 0) return NVML_ERROR_UNINITIALIZED;
  if (--initialised_ == 0) devices_.clear();
  return NVML_SUCCESS;
}

nvmlReturn_t Observer::count(unsigned int* count) {
  std::lock_guard lock(mutex_);
  if (initialised_ == 0) return NVML_ERROR_UNINITIALIZED;
  if (count == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
  *count = static_cast<unsigned int>(devices_.size());
  return NVML_SUCCESS;
}

nvmlReturn_t Observer::handle(unsigned int index, nvmlDevice_t* handle) {
  std::lock_guard lock(mutex_);
  if (initialised_ == 0) return NVML_ERROR_UNINITIALIZED;
  if (handle == nullptr || index >= devices_.size()) return NVML_ERROR_INVALID_ARGUMENT;
  *handle = reinterpret_cast<nvmlDevice_t>(&places[index]);
  return NVML_SUCCESS;
}

nvmlReturn_t Observer::find(nvmlDevice_t handle, ObservedDevice* device) {
  std::lock_guard lock(mutex_);
  if (initialised_ == 0) return NVML_ERROR_UNINITIALIZED;
  const auto index = reinterpret_cast<uintptr_t>(handle) - reinterpret_cast<uintptr_t>(places);
  if (index >= devices_.size()) return NVML_ERROR_INVALID_ARGUMENT;
  *device = devices_[index].device;
  return NVML_SUCCESS;
}

nvmlReturn_t Observer::all(std::vector<ObservedDevice>* devices) {
  std::lock_guard lock(mutex_);
  if (initialised_ == 0) return NVML_ERROR_UNINITIALIZED;
  for (const Open& open : devices_) devices->push_back(open.device);
  return NVML_SUCCESS;
}

nvmlReturn_t Observer::open_locked(const ObservedDevice& device, DeviceFile** file) {
  const auto index = static_cast<size_t>(device.index);
  if (initialised_ == 0 || index >= devices_.size()) return NVML_ERROR_UNINITIALIZED;
  Open& open = devices_[index];
  if (open.file->replaced()) {
    auto opened = DeviceFile::open(config_, device.index, false);
    if (!opened.ok()) {
      LOG_ERROR("nvml", "device %d: %s", device.index, opened.status().message().c_str());
      return NVML_ERROR_GPU_IS_LOST;
    }
    open.file = std::move(opened).value();
  }
  *file = open.file.get();
  return NVML_SUCCESS;
}

nvmlReturn_t Observer::use(const ObservedDevice& device, DeviceUse* use) {
  std::lock_guard lock(mutex_);
  DeviceFile* file = nullptr;
  const nvmlReturn_t result = open_locked(device, &file);
  if (result != NVML_SUCCESS) return result;
  *use = file->use(kUtilisationWindowNs);
  return use->health.lost != 0 ? NVML_ERROR_GPU_IS_LOST : NVML_SUCCESS;
}

nvmlReturn_t Observer::health(const ObservedDevice& device, Health* health) {
  std::lock_guard lock(mutex_);
  DeviceFile* file = nullptr;
  const nvmlReturn_t result = open_locked(device, &file);
  if (result == NVML_SUCCESS) *health = file->health();
  return result;
}

std::string Observer::folder() {
  std::lock_guard lock(mutex_);
  return initialised_ == 0 ? std::string() : config_.state_dir;
}

nvmlReturn_t Observer::clear_error_counts(const ObservedDevice& device, bool aggregate) {
  std::lock_guard lock(mutex_);
  DeviceFile* file = nullptr;
  const nvmlReturn_t result = open_locked(device, &file);
  if (result == NVML_SUCCESS) file->clear_error_counts(aggregate);
  return result;
}

std::string serial_of(const ObservedDevice& device) {
  uint64_t number = 0;
  for (size_t i = 0; i < 5; ++i) number = number << 8 | device.uuid[i];
  return str_format("%013llu", static_cast<unsigned long long>(number));
}

unsigned int utilisation_percent(uint64_t busy_ns, const DeviceUse& use) {
  const uint64_t available = use.window_ns * static_cast<uint64_t>(std::max(use.sm_count, 1));
  if (available == 0) return 0;
  // Rounded up, so that work that was done shows.
  return static_cast<unsigned int>(std::min<uint64_t>(100, (busy_ns * 100 + available - 1) / available));
}

}  // namespace tessera::softgpu
