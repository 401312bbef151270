#include "remote/worker/own_calls.h"

#include <unordered_map>

namespace tessera::remote {
namespace {

std::unordered_map<uint16_t, Serve> all() {
  std::unordered_map<uint16_t, Serve> calls;
  for (auto topic : {context_calls(), code_calls(), launch_calls(), copy_calls(), host_calls(),
                     memory_calls(), graph_calls(), ipc_calls()}) {
    for (const OwnCall& call : topic) calls[call.op] = call.serve;
  }
  return calls;
}

// Dense: it is looked at with every message.
struct ByNumber {
  static constexpr size_t kOwn = 64;
  Serve calls[kCalls] = {};
  Serve messages[kOwn] = {};

  ByNumber() {
    for (const auto& [op, serve] : all()) {
      if (op < kCalls) calls[op] = serve;
      if (op >= kFirstOwnMessage && op < kFirstOwnMessage + kOwn) messages[op - kFirstOwnMessage] = serve;
    }
  }
};

}  // namespace

Serve own_serve(uint16_t op) {
  static const auto* numbers = new ByNumber;
  if (op < kCalls) return numbers->calls[op];
  if (op >= kFirstOwnMessage && op < kFirstOwnMessage + ByNumber::kOwn)
    return numbers->messages[op - kFirstOwnMessage];
  return nullptr;
}

}  // namespace tessera::remote
