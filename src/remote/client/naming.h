// Whether a large payload is named to the server before it is sent: that pays where the server has had it
// before, and costs a digest where it has not. Pure: what things took is told to it.
#pragma once

#include <cstdint>

namespace tessera::remote {

class Naming {
 public:
  // For a payload on a way that carries so many bytes a second (0: not known).
  bool pays(uint64_t bytes, double way) const;
  // A digest of so many bytes was made.
  void digested(uint64_t bytes, uint64_t nanoseconds);
  // What was named was there; or was not, and is sent.
  void was_there(uint64_t bytes, double way);
  void was_not_there(uint64_t bytes);
  // It was sent, named or not.
  void sent(uint64_t bytes, double way);

 private:
  static constexpr double kWorthIt = 2;  // as long as the digest takes, at least, the payload is on its way
  static constexpr double kMostInVain = 0.1;   // of the time of all that is sent
  static constexpr double kFirstInVain = 0.5;  // seconds, before anything is known

  double digest_seconds(uint64_t bytes) const { return static_cast<double>(bytes) * seconds_a_byte_; }

  double seconds_a_byte_ = 1e-9;                  // of a digest
  double in_vain_ = 0, saved_ = 0, sending_ = 0;  // seconds
};

}  // namespace tessera::remote
