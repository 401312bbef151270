// Whatever a client sends, decoding it is safe and what passes keeps the rules that the daemon relies on.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>

#include "node/broker.h"
#include "node/messages.h"

namespace {

using namespace tessera;  // NOLINT(google-build-using-namespace): a program of its own
using namespace tessera::node;

// A slice with two processes; packets come from both in turn.
struct Node {
  Ledger ledger;
  Broker broker{ledger};
  LeaseId leases[2];

  Node() {
    ledger.set_gpu_totals({1 << 20, 1 << 20});
    SliceRequest request;
    request.program = "fuzz";
    request.gpus = {0, 1};
    request.memory_bytes = {1 << 20};
    if (!ledger.open_slice(request, 0).ok()) abort();
    for (LeaseId& lease : leases) lease = ledger.open_lease(Token{}, 0, {1, 1}, 0).value();
  }
};

void feed(Node& node, LeaseId lease, const ClientMessage& message, uint64_t now_ns) {
  Effects effects;
  Status status;
  if (auto* reserve = std::get_if<ReserveMessage>(&message.body)) {
    if (reserve->device >= vgpu::kMaxDevicesPerSlice || reserve->bytes_needed > reserve->bytes_wanted)
      abort();
    status = node.broker.reserve(lease, message.request, *reserve, now_ns, effects);
  } else if (auto* release = std::get_if<ReleaseMessage>(&message.body)) {
    status = node.broker.release(lease, *release, now_ns, effects);
  } else if (auto* recalled = std::get_if<RecalledMessage>(&message.body)) {
    status = node.broker.recalled(lease, message.request, *recalled, now_ns, effects);
  }
  node.broker.expire(now_ns, effects);
  if (!node.ledger.check().ok()) abort();
}

// A packet of version 0 is one of today's: or each new version of the protocol would leave the corpus behind
// it.
std::string todays(ByteSpan packet) {
  std::string text(reinterpret_cast<const char*>(packet.data()), packet.size());
  constexpr size_t kVersionAt = offsetof(vgpu::MessageHeader, version);
  uint16_t version = 1;
  if (text.size() >= sizeof(vgpu::MessageHeader)) memcpy(&version, text.data() + kVersionAt, sizeof version);
  if (version == 0) memcpy(text.data() + kVersionAt, &vgpu::kLeaseVersion, sizeof version);
  return text;
}

}  // namespace

// The input is packets, each after a byte that gives its size.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Node node;
  uint64_t now_ns = 0;
  auto input = std::as_bytes(std::span<const uint8_t>(data, size));
  for (int turn = 0; !input.empty(); ++turn) {
    size_t length = std::min<size_t>(static_cast<size_t>(input[0]), input.size() - 1);
    const std::string packet = todays(input.subspan(1, length));
    auto message = decode_client_message(std::as_bytes(std::span<const char>(packet)));
    if (message.ok()) feed(node, node.leases[turn % 2], *message, now_ns += 50'000'000);
    input = input.subspan(1 + length);
  }
  return 0;
}
