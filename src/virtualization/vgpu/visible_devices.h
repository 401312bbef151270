// Which of the slice's devices the program sees, in CUDA's order.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tessera::vgpu {

inline constexpr const char* kNoDevices = "-1";

// The value of CUDA_VISIBLE_DEVICES that shows the slice's devices and nothing else. `asked` is what the user
// had set there: numbers count in the slice's list, UUIDs (or the beginning of one) name its members, and the
// list ends at the first entry that is neither, as CUDA's own does.
std::string visible_devices(const std::vector<std::string>& slice, const std::optional<std::string>& asked);

// Whether two UUID texts name one device, whatever stands before the digits ("GPU-", "MIG-").
bool same_uuid(std::string_view a, std::string_view b);

}  // namespace tessera::vgpu
