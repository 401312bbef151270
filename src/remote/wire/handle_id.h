// Handles as the program of a remote GPU sees them: numbers that client and server agree on. They look like
// no address of user space, so that a program that reads through one fails at once.
#pragma once

#include <cstdint>

#include "remote/ops.h"

namespace tessera::remote {

// The highest byte marks them, the next is the kind, the rest a number; numbers with the highest of its bits
// set are given by the client, the others by the server.
inline constexpr uint64_t kHandleMark = uint64_t{0x7e} << 56;
inline constexpr uint64_t kOfClient = uint64_t{1} << 47;
inline constexpr uint64_t kHandleNumbers = uint64_t{1} << 47;

// A client may have several servers. Numbers say which one's they are, so that handles of two are never
// alike.
inline constexpr unsigned kMostServers = 8;
inline constexpr unsigned kServerShift = 40;
inline constexpr uint64_t kNumbersOfServer = uint64_t{1} << kServerShift;
constexpr unsigned server_of(uint64_t id) { return static_cast<unsigned>(id >> kServerShift) & 0x7f; }
// Where the numbers begin that a server gives.
constexpr uint64_t first_number(unsigned server) { return server * kNumbersOfServer + 1; }

constexpr uint64_t handle_id(HandleKind kind, uint64_t number) {
  return kHandleMark | static_cast<uint64_t>(kind) << 48 | number;
}
constexpr bool is_handle_id(uint64_t id) { return id >> 56 == kHandleMark >> 56; }
constexpr HandleKind kind_of(uint64_t id) { return static_cast<HandleKind>((id >> 48) & 0xff); }
constexpr uint64_t number_of(uint64_t id) { return id & (kHandleNumbers - 1); }
constexpr bool is_of_client(uint64_t id) { return is_handle_id(id) && (id & kOfClient) != 0; }

// An id may stand for a handle of `wanted`: the runtime passes kernels for functions.
constexpr bool may_stand_for(uint64_t id, HandleKind wanted) {
  return is_handle_id(id) && (kind_of(id) == wanted ||
                              (wanted == HandleKind::kCUfunction && kind_of(id) == HandleKind::kCUkernel));
}

}  // namespace tessera::remote
