#include "softgpu/device/visible.h"

#include <algorithm>
#include <numeric>
#include <optional>
#include <string_view>

#include "common/strings.h"

namespace tessera::softgpu {
namespace {

constexpr std::string_view kUuidPrefix = "GPU-";

std::optional<int> find_one(std::string_view entry, const std::vector<std::string>& uuids) {
  if (entry.substr(0, kUuidPrefix.size()) == kUuidPrefix) {
    std::optional<int> found;
    for (size_t i = 0; i < uuids.size(); ++i) {
      if (std::string_view(uuids[i]).substr(0, entry.size()) != entry) continue;
      if (found) return std::nullopt;  // ambiguous
      found = static_cast<int>(i);
    }
    return found;
  }
  auto index = parse_uint(entry);
  if (!index || *index >= uuids.size()) return std::nullopt;
  return static_cast<int>(*index);
}

}  // namespace

std::vector<int> visible_devices(const char* text, const std::vector<std::string>& uuids) {
  std::vector<int> seen;
  if (text == nullptr) {
    seen.resize(uuids.size());
    std::iota(seen.begin(), seen.end(), 0);
    return seen;
  }
  for (std::string_view entry : split(text, ',')) {
    auto index = find_one(trim(entry), uuids);
    if (!index) break;
    if (std::find(seen.begin(), seen.end(), *index) != seen.end()) return {};
    seen.push_back(*index);
  }
  return seen;
}

}  // namespace tessera::softgpu
