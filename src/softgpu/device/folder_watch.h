// Waiting for something to happen to any device: in the folder that their files lie in, a control file is
// written, a device's file is replaced, or a process says there that the health of one has changed
// (DeviceFile does so). Nobody has to look again and again meanwhile.
#pragma once

#include <cstdint>
#include <string>

#include "common/fd.h"

namespace tessera::softgpu {

class FolderWatch {
 public:
  // What the folder does not tell (a control file written by another name of it, a time that is over) is
  // found so late.
  static constexpr uint64_t kLookNs = 500'000'000;
  // The same where the folder cannot be watched: the system has a bound on how many are.
  static constexpr uint64_t kUnwatchedLookNs = 20'000'000;

  explicit FolderWatch(const std::string& folder);

  bool watches() const { return static_cast<bool>(events_); }
  // Until something has happened since the last time (true), or it is time to look all the same; `most_ns` at
  // most.
  bool wait(uint64_t most_ns);

 private:
  UniqueFd events_;
};

}  // namespace tessera::softgpu
