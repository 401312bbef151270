// Time. Policies never call these: they are given times.
#pragma once

#include <cstdint>

namespace tessera {

// CLOCK_MONOTONIC in nanoseconds; the same clock in every process of the machine.
uint64_t monotonic_ns();
// CLOCK_REALTIME in nanoseconds since 1970.
uint64_t wall_ns();

}  // namespace tessera
