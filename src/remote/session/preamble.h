// How every connection begins, in clear: 32 bytes from the client say what it wants, 8 from the server
// whether it may go on. Nothing else is spent on a connection before.
//
//   preamble: magic "TSRWIRE\0" (8), version (2), kind (1), flavour (1), options (4), session id (16)
//   greeting: magic "TSRG" (4), version (2), verdict (1), zero (1)
//
// Numbers are little-endian.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "common/bytes.h"
#include "common/status.h"
#include "remote/transport/address.h"

namespace tessera::remote {

inline constexpr uint16_t kWireVersion = 1;
inline constexpr size_t kPreambleBytes = 32;
inline constexpr size_t kGreetingBytes = 8;

// Says which session is meant; everybody may know it.
using SessionId = std::array<std::byte, 16>;

enum class ConnectionKind : uint8_t {
  kNew = 1,     // a session begins; its id is zero
  kResume = 2,  // the session's main connection, after the one before has broken
  kStripe = 3,  // a further one, for bulk copies
};

struct Preamble {
  uint16_t version = kWireVersion;
  ConnectionKind kind = ConnectionKind::kNew;
  Flavour flavour = Flavour::kTcp;
  SessionId session{};
  bool checksums = false;  // option 1: both sides check what comes, for networks that alter bytes

  bool operator==(const Preamble&) const = default;
};

std::array<std::byte, kPreambleBytes> encode(const Preamble& preamble);
// kInvalidData for anything that no client of any version sends. What a later version means by the rest is
// not looked at: see `version`.
Result<Preamble> decode_preamble(ByteSpan bytes);

enum class Verdict : uint8_t {
  kWelcome = 0,
  kOtherVersion = 1,
  kNoSuchSession = 2,
  kFull = 3,        // as many connections or sessions as the server takes
  kWantsTls = 4,    //
  kNoTls = 5,       //
  kTooFast = 6,     // more connections than are allowed in that time
  kWrongPlace = 7,  // that kind of connection is made elsewhere
  kEnding = 8,      // the server is about to end
};

struct Greeting {
  uint16_t version = kWireVersion;
  Verdict verdict = Verdict::kWelcome;
};

std::array<std::byte, kGreetingBytes> encode(const Greeting& greeting);
Result<Greeting> decode_greeting(ByteSpan bytes);
// What a client says of it: ok, or the reason with the way out.
Status status_of(const Greeting& greeting);

}  // namespace tessera::remote
