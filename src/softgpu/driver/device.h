// One software device as this process sees it: its shared file, memory, engines and primary context.
#pragma once

#include <memory>
#include <mutex>

#include "cuda/abi.h"
#include "softgpu/device/config.h"
#include "softgpu/device/device_file.h"
#include "softgpu/memory/address_map.h"

namespace tessera::softgpu {

class ComputeEngine;
class Context;
class DeviceFaults;
class DeviceMemory;
class MemoryPool;
class WorkThread;
struct DeviceModel;

class Device {
 public:
  Device(int ordinal, int physical_index, Config config, std::unique_ptr<DeviceFile> file);
  ~Device();
  // Reserves the address range. Once, at cuInit.
  Status initialise();

  int ordinal() const { return ordinal_; }                // CUdevice, after CUDA_VISIBLE_DEVICES
  int physical_index() const { return physical_index_; }  // among the machine's
  const Config& config() const { return config_; }        // config().model names the model
  const DeviceModel& model() const { return *model_; }
  int sm_count() const { return file_->sm_count(); }
  uint64_t total_memory() const { return file_->capacity_bytes(); }
  DeviceUuid uuid() const { return file_->uuid(); }
  DeviceFile& file() { return *file_; }

  // What kernels on this device may touch.
  AddressMap& addresses() { return addresses_; }
  DeviceMemory& memory() { return *memory_; }
  DeviceFaults& faults() { return *faults_; }
  ComputeEngine& compute() { return *compute_; }
  WorkThread& copies() { return *copies_; }
  WorkThread& callbacks() { return *callbacks_; }

  // The primary context, whether active or not; always the same object and handle.
  const std::shared_ptr<Context>& primary() const { return primary_; }
  CUresult retain_primary(std::shared_ptr<Context>* context);
  CUresult release_primary();
  CUresult reset_primary();
  CUresult set_primary_flags(unsigned flags);
  void primary_state(unsigned* flags, bool* active) const;

  // Waits for everything that was submitted to any context on this device.
  void wait_idle();
  // Living contexts of this process, for the device file.
  void count_contexts(int change);

  // The pool of cuMemAllocAsync: the default one, or the one set.
  std::shared_ptr<MemoryPool> default_pool() const { return default_pool_; }
  std::shared_ptr<MemoryPool> current_pool() const;
  void set_current_pool(std::shared_ptr<MemoryPool> pool);

 private:
  const int ordinal_;
  const int physical_index_;
  const Config config_;
  const DeviceModel* model_ = nullptr;  // set by initialise()
  std::unique_ptr<DeviceFile> file_;
  AddressMap addresses_;
  std::unique_ptr<DeviceMemory> memory_;
  std::unique_ptr<DeviceFaults> faults_;
  std::unique_ptr<ComputeEngine> compute_;
  std::unique_ptr<WorkThread> copies_;
  std::unique_ptr<WorkThread> callbacks_;
  std::shared_ptr<Context> primary_;
  std::shared_ptr<MemoryPool> default_pool_;

  // Held while the primary context comes up or goes down, so that nobody gets one that is half of either.
  // Taken before mutex_.
  std::mutex primary_life_;
  mutable std::mutex mutex_;  // the members below
  std::shared_ptr<MemoryPool> current_pool_;
  int primary_retains_ = 0;
  unsigned primary_flags_ = 0;

  std::mutex contexts_mutex_;
  uint32_t contexts_ = 0;
};

}  // namespace tessera::softgpu
