// Byte sizes as people write them: "2GiB", "512M", "1.5g", "4096".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/status.h"

namespace tessera {

constexpr uint64_t kKiB = 1024;
constexpr uint64_t kMiB = 1024 * kKiB;
constexpr uint64_t kGiB = 1024 * kMiB;
constexpr uint64_t kTiB = 1024 * kGiB;

// Parses a size in bytes. Suffixes K, M, G, T (with or without "iB" or "B", any case) are powers of 1024, as
// in nvidia-smi and HAMi; a plain number is bytes. Fractions are allowed with a suffix. Zero, negative and
// overflowing sizes are kInvalidArgument.
Result<uint64_t> parse_size(std::string_view text);

// Shortest exact-looking form with at most one decimal: "2GiB", "1.5GiB", "640MiB", "17B".
std::string format_size(uint64_t bytes);

}  // namespace tessera
