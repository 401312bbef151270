// The calls that are served by hand, by topic.
#pragma once

#include <span>

#include "remote/worker/serving.h"

namespace tessera::remote {

struct OwnCall {
  uint16_t op;
  Serve serve;
};

constexpr OwnCall own(Op op, Serve serve) { return {static_cast<uint16_t>(op), serve}; }
constexpr OwnCall own(Message message, Serve serve) { return {static_cast<uint16_t>(message), serve}; }

std::span<const OwnCall> context_calls();
std::span<const OwnCall> code_calls();
std::span<const OwnCall> launch_calls();
std::span<const OwnCall> copy_calls();
std::span<const OwnCall> host_calls();
std::span<const OwnCall> memory_calls();
std::span<const OwnCall> graph_calls();
std::span<const OwnCall> ipc_calls();

}  // namespace tessera::remote
