#include "remote/client/naming.h"

namespace tessera::remote {

bool Naming::pays(uint64_t bytes, double way) const {
  if (way <= 0) return false;
  const double sending = static_cast<double>(bytes) / way;
  return sending > kWorthIt * digest_seconds(bytes) &&
         in_vain_ < kFirstInVain + kMostInVain * sending_ + saved_;
}

void Naming::digested(uint64_t bytes, uint64_t nanoseconds) {
  if (bytes == 0) return;
  const double seconds = static_cast<double>(nanoseconds) * 1e-9 / static_cast<double>(bytes);
  // What disturbs a measurement only makes it longer.
  seconds_a_byte_ = seconds < seconds_a_byte_ ? seconds : seconds_a_byte_ + (seconds - seconds_a_byte_) / 8;
}

void Naming::was_there(uint64_t bytes, double way) {
  if (way > 0) saved_ += static_cast<double>(bytes) / way - digest_seconds(bytes);
}

void Naming::was_not_there(uint64_t bytes) { in_vain_ += digest_seconds(bytes); }

void Naming::sent(uint64_t bytes, double way) {
  if (way > 0) sending_ += static_cast<double>(bytes) / way;
}

}  // namespace tessera::remote
