// What is said where a process was asked for memory and not all of it has left the device. Nothing is lost
// then: others wait, and the daemon asks again. Pure.
#pragma once

#include "common/log.h"
#include "common/status.h"

namespace tessera::vgpu {

struct UnmovedNotice {
  LogLevel level;
  const char* text;
};

inline UnmovedNotice notice_of_unmoved(Code why) {
  switch (why) {
    case Code::kFailedPrecondition:  // between two contexts, or as it ends: what it has goes without being
                                     // moved
      return {LogLevel::kInfo, "no memory leaves the device for the moment"};
    case Code::kResourceExhausted:
      return {LogLevel::kWarn,
              "memory stays on the device, and others wait for it: there is no place for it"};
    default:
      return {LogLevel::kWarn, "memory stays on the device, and others wait for it: it cannot be moved"};
  }
}

}  // namespace tessera::vgpu
