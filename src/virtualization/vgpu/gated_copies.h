// Copies and sets of memory that wait at the gate where that was asked for; see Gate::copying.
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
  template <typename Other>
  void look_at(const Other&) {}
};

template <bool PerThread, typename... Args>
void wait_to_copy(const Args&... args) {
  active_vgpu->copying([&] {
    StreamArgument argument;
    (argument.look_at(args), ...);
    CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;
    return argument.found && lower().cuStreamIsCapturing != nullptr &&
           lower().cuStreamIsCapturing(shared_handle(argument.stream, PerThread), &status) == CUDA_SUCCESS &&
           status != CU_STREAM_CAPTURE_STATUS_NONE;
  });
}

}  // namespace tessera::vgpu
