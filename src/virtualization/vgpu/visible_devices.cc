#include "virtualization/vgpu/visible_devices.h"

#include "common/strings.h"

namespace tessera::vgpu {
namespace {

// Index in the slice of what one entry names; nothing where it names none, or more than one.
std::optional<size_t> find_device(const std::vector<std::string>& slice, std::string_view entry) {
  if (auto number = parse_uint(entry)) {
    if (*number < slice.size()) return *number;
    return std::nullopt;
  }
  if (!entry.starts_with("GPU-") && !entry.starts_with("MIG-")) return std::nullopt;
  std::optional<size_t> found;
  for (size_t i = 0; i < slice.size(); ++i) {
    if (!slice[i].starts_with(entry)) continue;
    if (found) return std::nullopt;
    found = i;
  }
  return found;
}

}  // namespace

std::string visible_devices(const std::vector<std::string>& slice, const std::optional<std::string>& asked) {
  std::string value;
  auto show = [&](const std::string& uuid) { value += (value.empty() ? "" : ",") + uuid; };
  if (!asked) {
    for (const std::string& uuid : slice) show(uuid);
    return value;
  }
  for (std::string_view entry : split(*asked, ',')) {
    auto device = find_device(slice, trim(entry));
    if (!device) break;
    show(slice[*device]);
  }
  return value.empty() ? kNoDevices : value;
}

bool same_uuid(std::string_view a, std::string_view b) {
  size_t start_a = a.find('-');
  size_t start_b = b.find('-');
  if (start_a == std::string_view::npos || start_b == std::string_view::npos) return false;
  return a.substr(start_a) == b.substr(start_b);
}

}  // namespace tessera::vgpu
