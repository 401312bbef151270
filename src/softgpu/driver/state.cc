#include "softgpu/driver/state.h"

#include <pthread.h>

#include <atomic>
#include <cstdlib>
#include <mutex>
#include <string>

#include "common/log.h"
#include "softgpu/device/visible.h"
#include "softgpu/driver/device.h"
#include "softgpu/memory/memory_file.h"

namespace tessera::softgpu {
namespace {

enum class Stage { kFresh, kReady, kFailed, kForked };

struct State {
  std::mutex mutex;
  std::atomic<Stage> stage{Stage::kFresh};
  CUresult failure = CUDA_SUCCESS;
  std::vector<Device*> devices;
};

State& state() {
  static auto* made = new State();
  return *made;
}

// The parent's threads, locks and place in the device file are not the child's: CUDA does not survive a fork
// either.
void after_fork_in_child() {
  if (state().stage.load() == Stage::kReady) state().stage = Stage::kForked;
}

CUresult open_devices(std::vector<Device*>* opened) {
  auto config = load_config();
  if (!config.ok()) {
    LOG_ERROR("driver", "%s", config.status().message().c_str());
    return CUDA_ERROR_SYSTEM_NOT_READY;
  }
  if (!config->zeroing) MemoryFile::keep_in(config->state_dir);
  std::vector<std::string> uuids;
  for (int i = 0; i < config->devices; ++i) uuids.push_back(format_uuid(device_uuid(i)));
  const std::vector<int> visible = visible_devices(getenv("CUDA_VISIBLE_DEVICES"), uuids);
  if (visible.empty()) return CUDA_ERROR_NO_DEVICE;
  std::vector<std::unique_ptr<Device>> devices;
  for (int index : visible) {
    auto file = DeviceFile::open(*config, index, true);
    Status status = file.status();
    if (file.ok()) {
      const int ordinal = static_cast<int>(devices.size());
      devices.push_back(std::make_unique<Device>(ordinal, index, *config, std::move(file).value()));
      status = devices.back()->initialise();
    }
    if (!status.ok()) {
      LOG_ERROR("driver", "device %d: %s", index, status.message().c_str());
      return CUDA_ERROR_SYSTEM_NOT_READY;
    }
  }
  for (auto& device : devices) opened->push_back(device.release());  // as long as the process
  return CUDA_SUCCESS;
}

}  // namespace

CUresult initialise() {
  State& driver = state();
  if (driver.stage.load() == Stage::kForked) return CUDA_ERROR_NOT_INITIALIZED;
  std::lock_guard lock(driver.mutex);
  if (driver.stage.load() == Stage::kReady) return CUDA_SUCCESS;
  if (driver.stage.load() == Stage::kFailed) return driver.failure;
  log_init("softgpu", "SOFTGPU_LOG");
  driver.failure = open_devices(&driver.devices);
  pthread_atfork(nullptr, nullptr, after_fork_in_child);
  driver.stage = driver.failure == CUDA_SUCCESS ? Stage::kReady : Stage::kFailed;
  return driver.failure;
}

CUresult require_initialised() {
  return state().stage.load(std::memory_order_acquire) == Stage::kReady ? CUDA_SUCCESS
                                                                        : CUDA_ERROR_NOT_INITIALIZED;
}

const std::vector<Device*>& devices() { return state().devices; }

CUresult find_device(CUdevice ordinal, Device** device) {
  const CUresult result = require_initialised();
  if (result != CUDA_SUCCESS) return result;
  if (ordinal < 0 || static_cast<size_t>(ordinal) >= devices().size()) return CUDA_ERROR_INVALID_DEVICE;
  *device = devices()[static_cast<size_t>(ordinal)];
  return CUDA_SUCCESS;
}

}  // namespace tessera::softgpu
