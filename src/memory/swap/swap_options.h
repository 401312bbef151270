// How memory is kept that has been moved off a device.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "memory/swap/way_choice.h"

namespace tessera::memory {

enum class SwapEncoding : uint8_t { kNone, kAdaptive, kLz4, kZstd, kSnappy };

struct SwapOptions {
  SwapEncoding encoding = SwapEncoding::kNone;
  bool encrypt = false;   // then nothing is kept where it would not be
  std::string directory;  // of the file for what the host's memory is not to take; empty: none
  NeighbourUse neighbour_use = NeighbourUse::kAuto;
  std::optional<uint32_t> numa_node = {};  // whose memory it is to be, as long as that has any
};

const char* swap_encoding_name(SwapEncoding encoding);
std::optional<SwapEncoding> parse_swap_encoding(std::string_view name);

}  // namespace tessera::memory
