// What figures are of: a GPU, a slice, or a slice on a GPU.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>

namespace tessera::monitoring {

struct Subject {
  std::string slice;            // empty: none
  std::optional<uint32_t> gpu;  // none: all of the slice
  auto operator<=>(const Subject&) const = default;
};

}  // namespace tessera::monitoring
