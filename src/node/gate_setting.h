// What a slice's gate on a device is set to: its word, and what is valid with that.
#pragma once

#include <cstdint>

#include "common/index_set.h"

namespace tessera::node {

struct GateSetting {
  uint32_t word = 0;
  IndexSet sms;          // that the slice may use; none: all
  uint64_t turn_ns = 0;  // how long the turn lasts that begins with it; 0: until another word
  bool wakes = true;     // whoever waits at the gate
};

}  // namespace tessera::node
