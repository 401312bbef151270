// Rates of bytes as people write them: "1Gbit", "800Mbit/s", "100MB/s", "64MiB".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/status.h"

namespace tessera::remote {

// Bytes a second. Bits count in powers of 1000, as links do, and so do "kB", "MB" and "GB"; "KiB", "MiB" and
// "GiB" are powers of 1024; "/s" may follow. A plain number is bytes. From 1000 bytes a second to a terabyte;
// kInvalidArgument else.
Result<uint64_t> parse_rate(std::string_view text);
// In bits, as links are: "1Gbit/s", "1.5Mbit/s".
std::string format_rate(uint64_t bytes_per_second);

}  // namespace tessera::remote
