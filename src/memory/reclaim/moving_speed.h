// How fast memory moves off a device, and back to it, as measured: so a move's cost is known before it is
// made. Pure: it is told of each move.
#pragma once

#include <cstdint>

namespace tessera::memory {

class MovingSpeed {
 public:
  enum class Way : uint8_t { kOut, kIn };
  // Of smaller moves most is what is said about them: they tell nothing of the speed.
  static constexpr uint64_t kLeastBytes = uint64_t{16} << 20;
  // Until something has moved.
  static constexpr double kGuessedNsPerByte = 0.5;

  void moved(Way way, uint64_t bytes, uint64_t ns);
  // How long it takes for so much to come in while as much goes out.
  uint64_t exchange_ns(uint64_t bytes) const;
  // 0: not known.
  uint64_t bytes_per_second(Way way) const;

 private:
  struct Moves {
    double bytes = 0, ns = 0;  // of late
  };
  const Moves& moves(Way way) const { return way == Way::kOut ? out_ : in_; }

  Moves out_, in_;
};

}  // namespace tessera::memory
