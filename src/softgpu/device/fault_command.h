// What a line of a device's control file asks for (docs/softgpu.md, "Faults").
//
//   xid N                                       reports XID N; 79 is `lost`
//   ecc single [count=N]                        N single-bit errors, corrected
//   ecc double [address=A [pid=P]] [uncontained]  a double-bit error in the page of A, or wherever memory is
//                                               touched next
//   hang [timeout=SECONDS]                      kernels stand still, until `clear` or the watchdog's time is
//   up slow FACTOR [thermal|power]                 kernels take FACTOR times as long; 1 ends it lost the
//   device falls off the bus clear                                       takes all of these away, as a reset
//   of the device does
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string_view>

#include "common/status.h"

namespace tessera::softgpu {

enum class SlowReason : uint8_t { kThermal, kPower };

struct FaultCommand {
  enum class Kind : uint8_t { kXid, kSingleBit, kDoubleBit, kHang, kSlow, kLost, kClear };
  Kind kind = Kind::kClear;
  uint64_t number = 1;   // the XID, or how many errors
  uint64_t address = 0;  // of a double-bit error; 0: anywhere
  pid_t pid = 0;         // whose address it is; 0: whoever has that address
  bool uncontained = false;
  uint64_t timeout_ns = 0;   // of a hang; 0: for ever
  uint32_t permille = 1000;  // how much longer kernels take
  SlowReason reason = SlowReason::kThermal;
};

constexpr uint64_t kXidOffTheBus = 79;
constexpr size_t kMaxCommandBytes = 256;

// kInvalidArgument says what is wrong with it and what was expected.
Result<FaultCommand> parse_fault_command(std::string_view line);

}  // namespace tessera::softgpu
