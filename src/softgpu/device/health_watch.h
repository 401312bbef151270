// Waiting for a device's health to change. The control file tells nobody that somebody has written to it, so
// it has to be looked at; but each process that did so by itself would wake for it all the time. Of those
// that wait here one looks, and what it finds the others hear of (DeviceFile::health() tells them).
#pragma once

#include <cstdint>

#include "softgpu/device/device_file.h"

namespace tessera::softgpu {

class HealthWatch {
 public:
  static constexpr uint64_t kLookNs = 50'000'000;
  // How soon others see that the one that looked does so no longer.
  static constexpr uint64_t kFollowNs = 500'000'000;

  explicit HealthWatch(DeviceFile& file);
  // Until the health has changed since the last time, or this process should look at it. With `often` no
  // longer than kLookNs.
  void wait(bool often);
  // Whether it is this process that looks.
  bool looks() const;

 private:
  bool take_look(uint64_t now_ns);

  DeviceFile& file_;
  uint32_t seen_;         // the word of the layout
  uint64_t mine_ns_ = 0;  // its last look
};

}  // namespace tessera::softgpu
