// NVML's view of the machine's software devices: it looks at the files that the processes on them share,
// holds nothing and needs no cuInit.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "cuda/nvml.h"
#include "softgpu/device/device_file.h"
#include "softgpu/device/model.h"
#include "softgpu/device/pci.h"

namespace tessera::softgpu {

// Utilisation is what happened in the past second, as nvidia-smi shows it.
constexpr uint64_t kUtilisationWindowNs = 1'000'000'000;

// What does not change while a device is there.
struct ObservedDevice {
  int index = 0;
  const DeviceModel* model = nullptr;
  DeviceUuid uuid{};
  PciAddress pci;
};

class Observer {
 public:
  // Of this process; never destroyed.
  static Observer& instance();

  // Counts calls: as many shutdowns end it. Devices are numbered as the machine has them; NVML does not look
  // at CUDA_VISIBLE_DEVICES.
  nvmlReturn_t init();
  nvmlReturn_t shutdown();

  nvmlReturn_t count(unsigned int* count);
  nvmlReturn_t handle(unsigned int index, nvmlDevice_t* handle);
  // A handle stays good through shutdown and init.
  nvmlReturn_t find(nvmlDevice_t handle, ObservedDevice* device);
  nvmlReturn_t all(std::vector<ObservedDevice>* devices);
  // Now, with the utilisation of the past window. NVML_ERROR_GPU_IS_LOST for one that fell off the bus.
  nvmlReturn_t use(const ObservedDevice& device, DeviceUse* use);
  // What is wrong with a device, lost or not.
  nvmlReturn_t health(const ObservedDevice& device, Health* health);
  // Where the devices' files lie; empty before init().
  std::string folder();
  nvmlReturn_t clear_error_counts(const ObservedDevice& device, bool aggregate);

 private:
  struct Open {
    ObservedDevice device;
    std::unique_ptr<DeviceFile> file;
  };

  // Its file, opened anew where it was replaced.
  nvmlReturn_t open_locked(const ObservedDevice& device, DeviceFile** file);

  std::mutex mutex_;
  int initialised_ = 0;
  Config config_;
  std::vector<Open> devices_;
};

// A number made from the UUID.
std::string serial_of(const ObservedDevice& device);
// Percent of the slot time that was used.
unsigned int utilisation_percent(uint64_t busy_ns, const DeviceUse& use);

}  // namespace tessera::softgpu
