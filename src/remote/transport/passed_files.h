// Descriptors that go with bytes over a Unix socket.
#pragma once

#include <cstddef>
#include <span>

#include "common/fd.h"
#include "common/status.h"

namespace tessera::remote {

inline constexpr size_t kMostPassedFiles = 4;

// Sends all of `bytes` with `files`, without waiting: kUnavailable where the peer has gone or does not read.
Status pass_files(int socket, std::span<const std::byte> bytes, std::span<const int> files);
// Receives once, without waiting: how many bytes came, 0 at the end of the connection. As many files as came
// with them are put into `files`, closed on exec; more than there is room for are closed and kInvalidData.
Result<size_t> take_files(int socket, std::span<std::byte> space, std::span<UniqueFd> files);

}  // namespace tessera::remote
