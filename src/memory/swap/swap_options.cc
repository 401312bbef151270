#include "memory/swap/swap_options.h"

#include <array>
#include <utility>

namespace tessera::memory {
namespace {

constexpr std::array<std::pair<SwapEncoding, const char*>, 5> kNames = {{
    {SwapEncoding::kNone, "none"},
    {SwapEncoding::kAdaptive, "adaptive"},
    {SwapEncoding::kLz4, "lz4"},
    {SwapEncoding::kZstd, "zstd"},
    {SwapEncoding::kSnappy, "snappy"},
}};

}  // namespace

const char* swap_encoding_name(SwapEncoding encoding) {
  for (const auto& [known, name] : kNames) {
    if (known == encoding) return name;
  }
  return "unknown";
}

std::optional<SwapEncoding> parse_swap_encoding(std::string_view text) {
  for (const auto& [known, name] : kNames) {
    if (text == name) return known;
  }
  return std::nullopt;
}

}  // namespace tessera::memory
