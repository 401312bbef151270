// An event that other processes can open (CU_EVENT_INTERPROCESS), or have opened here.
//
// A wait means the newest recording, whichever process made it. Recordings of this process are its
// operations; those of others are looked at in the device's file. There they count in their order: to the
// others one is over when those before it are.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>

#include "common/status.h"
#include "softgpu/driver/ipc_handle.h"
#include "softgpu/driver/op.h"

namespace tessera::softgpu {

class InterprocessEvent {
 public:
  static Result<std::shared_ptr<InterprocessEvent>> create(Device& device);
  // As hold_shared_event().
  static Result<std::shared_ptr<InterprocessEvent>> open(Device& device, uint64_t id);

  IpcHandle handle() const;
  // A recording that begins: the operation, to be submitted, that tells all processes when its turn comes.
  OpRef begin();
  // What has to finish for the newest recording to be over; null where it is.
  OpRef newest();

 private:
  class Hold;
  class Recording;
  class Elsewhere;
  struct Known {
    uint64_t number = 0;
    OpRef op;
  };

  explicit InterprocessEvent(std::shared_ptr<Hold> hold) : hold_(std::move(hold)) {}

  const std::shared_ptr<Hold> hold_;
  std::mutex mutex_;
  Known own_, elsewhere_;
};

}  // namespace tessera::softgpu
