// The control file of a device: a text that people and scripts append commands to, one a line. Processes on
// the device look at it and take what is new; where they are lies in the device's shared file, so that each
// line is taken once, by whoever looks first.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/status.h"

namespace tessera::softgpu {

constexpr uint64_t kMaxControlFileBytes = 64u << 10;

// How the file looked; equal stamps mean that there is nothing new.
struct ControlStamp {
  uint64_t device = 0, inode = 0, bytes = 0, modified_ns = 0;
  bool operator==(const ControlStamp&) const = default;
};

struct ControlPosition {
  ControlStamp stamp;   // of the file when it was read last
  uint64_t taken = 0;   // bytes, up to the end of a line
  uint64_t digest = 0;  // of these bytes: a file that begins otherwise was written anew
};

// All zero where there is no file.
ControlStamp control_stamp(const std::string& path);

// The complete lines that came since, without blank ones and comments ('#'), and moves `position` behind
// them. kPermissionDenied for a file that others may write, kInvalidData for one that is no plain file or is
// too large; `position` moves all the same, so that it is said once.
Result<std::vector<std::string>> take_lines(const std::string& path, ControlPosition& position);

}  // namespace tessera::softgpu
