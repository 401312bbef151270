// A tenant's view of NVML: the slice's devices in the slice's order, its memory, its processes.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "cuda/nvml_table.h"
#include "virtualization/lease/observer.h"
#include "virtualization/vgpu/slice_access.h"

namespace tessera::vgpu {

class NvmlView {
 public:
  NvmlView(const cuda::NvmlTable& lower, SliceAccess access);

  const cuda::NvmlTable& lower() const { return lower_; }

  // After NVML's own initialisation: finds the slice's devices. Refused, NVML is shut down again.
  nvmlReturn_t initialised();

  std::vector<nvmlDevice_t> devices();
  std::optional<uint32_t> index_of(nvmlDevice_t device);
  Result<UsageReply> usage(uint32_t device);
  Result<std::vector<int32_t>> processes();

  // In a forked child: the connection is the parent's.
  void abandon_in_child();

 private:
  struct State {
    std::mutex mutex;  // all below; held while the daemon is asked, one question at a time
    std::optional<Observer> observer;
    std::vector<nvmlDevice_t> devices;
  };

  Status connect(State& state) const;
  Status find_devices(State& state) const;
  template <typename Ask>
  auto ask(Ask question) -> decltype(question(std::declval<Observer&>()));

  const cuda::NvmlTable& lower_;
  SliceAccess access_;
  std::atomic<State*> state_;
};

// Makes `upper` the table that programs call. Once per process; `view` lives as long.
void install_nvml(cuda::NvmlTable& upper, const cuda::NvmlTable& lower, NvmlView& view);

}  // namespace tessera::vgpu
