// What the server may have had before is named before it is sent.
#pragma once

#include <cstdint>

#include "cache/digest.h"
#include "cuda/abi.h"

namespace tessera::remote {

// kContent: what comes of the thread next. Either the payload of its next message, which is only named and
// does not come; the answer is then kContentWanted where the server does not have it. Or the next bytes of
// its payloads, which are worth keeping.
struct ContentFields {
  cache::Digest digest{};
  uint64_t bytes = 0;
  uint64_t follows = 0;  // 1: it comes
};
static_assert(sizeof(ContentFields) == 48);

// In the place of a call's result: it has not been made. The driver's last one is 999.
inline constexpr auto kContentWanted = static_cast<CUresult>(1023);

}  // namespace tessera::remote
