// Which processor an SM is: each slot has its own, as far as there are enough, so that blocks that run at the
// same time never share one while another idles. The operating system alone leaves two workers that wake
// together on one processor for milliseconds.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace tessera::softgpu {

class SmPlacement {
 public:
  // Over these processors, or over all that the process may use where none is named.
  explicit SmPlacement(std::vector<int> processors);
  // Moves the calling thread to the slot's processor, where it is not there yet. `current` is what the thread
  // was moved to last, -1 at first. A processor that the process may not use is not tried again.
  void move_to(uint32_t slot, int& current) const;
  // Whether there are enough for so many slots.
  bool is_enough_for(int slots) const { return static_cast<size_t>(slots) <= processors_.size(); }

 private:
  std::vector<int> processors_;
};

}  // namespace tessera::softgpu
