// What benchmarks of memory that leaves a device share.
#pragma once

#include <errno.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

namespace tessera::bench {

inline constexpr uint64_t kGranule = uint64_t{2} << 20;
inline constexpr size_t kBatch = 16;  // as ResidentMemory copies them

inline void require(bool ok, const char* what) {
  if (ok) return;
  std::fprintf(stderr, "%s: %s failed\n", program_invocation_short_name, what);
  std::exit(1);
}

inline double seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace tessera::bench
