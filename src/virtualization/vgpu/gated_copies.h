// Launches, copies and sets of memory by what their arguments say: those that only become part of a graph,
// and copies and sets that wait at the gate where that was asked for; see Gate::copying.
#pragma once

#include "virtualization/vgpu/calls.h"

namespace tessera::vgpu {

// Which of a call's arguments is its stream; `found` stays false where it has none.
struct StreamArgument {
  CUstream stream = nullptr;
  bool found = false;

  void look_at(CUstream argument) {
    stream = argument;
    found = true;
  }
  void look_at(const CUlaunchConfig* config) {
    if (config != nullptr) look_at(config->hStream);
  }
  template <typename Other>
  void look_at(const Other&) {}
};

// Asks the driver.
template <bool PerThread, typename... Args>
bool is_capturing(const Args&... args) {
  StreamArgument argument;
  (argument.look_at(args), ...);
  CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;
  return argument.found && lower().cuStreamIsCapturing != nullptr &&
         lower().cuStreamIsCapturing(shared_handle(argument.stream, PerThread), &status) == CUDA_SUCCESS &&
         status != CU_STREAM_CAPTURE_STATUS_NONE;
}

// The same, and costs one look where nothing is captured.
template <bool PerThread, typename... Args>
bool is_captured(const Args&... args) {
  const Tenant* tenant = active_vgpu->tenant();
  if (tenant == nullptr || tenant->captures.load(std::memory_order_relaxed) == 0) [[likely]]
    return false;
  return is_capturing<PerThread>(args...);
}

template <bool PerThread, typename... Args>
void wait_to_copy(const Args&... args) {
  active_vgpu->copying([&] { return is_capturing<PerThread>(args...); });
}

}  // namespace tessera::vgpu
