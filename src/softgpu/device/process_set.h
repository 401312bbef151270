// Processes on a device, by their places in its file: who holds what they share.
#pragma once

#include <algorithm>
#include <cstdint>

namespace tessera::softgpu {

constexpr uint32_t kMaxProcesses = 1024;

// Plain bytes of the device file. Each process sets and clears its own bit only, but for the dead's, under
// the device's lock: whoever is killed between two writes leaves a bit of its own, which goes with it.
struct ProcessSet {
  static constexpr uint32_t kWordBits = 64;
  uint64_t words[kMaxProcesses / kWordBits];

  bool empty() const {
    return std::all_of(words, words + kMaxProcesses / kWordBits, [](uint64_t word) { return word == 0; });
  }
  bool has(uint32_t process) const { return (words[process / kWordBits] >> process % kWordBits & 1) != 0; }
  void add(uint32_t process) { words[process / kWordBits] |= uint64_t{1} << process % kWordBits; }
  void remove(uint32_t process) { words[process / kWordBits] &= ~(uint64_t{1} << process % kWordBits); }
};

}  // namespace tessera::softgpu
