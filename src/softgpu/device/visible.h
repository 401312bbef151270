// CUDA_VISIBLE_DEVICES: which devices a process sees, and in what order.
#pragma once

#include <string>
#include <vector>

namespace tessera::softgpu {

// Physical indices, in the order the process numbers them. `text` is null where the variable is unset: all
// are seen. The list ends at the first entry that is not an index or the prefix of exactly one UUID; a device
// named twice hides all.
std::vector<int> visible_devices(const char* text, const std::vector<std::string>& uuids);

}  // namespace tessera::softgpu
