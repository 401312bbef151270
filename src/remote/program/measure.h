// What a GPU costs across a wire, beside what the wire costs, in the same run.
#pragma once

#include <string>

#include "common/status.h"

namespace tessera::remote {

struct MeasureOptions {
  size_t copy_bytes = size_t{64} << 20;
  int rounds = 5;
  int calls = 1000;  // of each kind in a round
};

// Microseconds and bytes a second; medians of the rounds.
struct Floors {
  double ping_us = 0;
  double send = 0, receive = 0, memcpy = 0;
};
Result<Floors> measure_floors(const MeasureOptions& options);

struct WireFigures {
  double connect_ms = 0;  // to the end of cuInit
  double sync_call_us = 0, launch_and_wait_us = 0, enqueue_ns = 0;
  double to_device = 0, from_device = 0;
  double round_trip_us = 0;  // of an event query, the shortest
};
// Of the server at that address, as a program has it. In a process of its own; the driver's calls are made
// for real, and what comes back from the device is compared.
Result<WireFigures> measure_wire(const std::string& address, const std::string& ca,
                                 const MeasureOptions& options);

}  // namespace tessera::remote
