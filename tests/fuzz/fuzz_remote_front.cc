// Connections to a server of which every byte may lie: the front reads them as far as they make sense, lets
// nobody in who has not proved a token, and what can be read can be written again.
//
// The first byte says how: what the rest is, and how it is cut into pieces.
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>

#include "remote/front/pending_connection.h"

namespace {

using namespace tessera;  // NOLINT(google-build-using-namespace): a program of its own
using namespace tessera::remote;

class FuzzedGate final : public Gate {
 public:
  FuzzedGate() {
    Identity identity;
    identity.name = "alice";
    identity.token = "a token of thirty-two characters";
    if (!identities_.add(identity).ok()) std::abort();
  }
  Verdict judge(const Preamble& preamble, size_t) override {
    return preamble.flavour == Flavour::kTls ? Verdict::kNoTls : Verdict::kWelcome;
  }
  bool nobody_may_in(size_t) const override { return false; }
  const Identities& identities() const override { return identities_; }
  const std::shared_ptr<TlsContext>& tls() const override { return none_; }

 private:
  Identities identities_;
  std::shared_ptr<TlsContext> none_;
};

void connect_with(ByteSpan bytes, size_t step) {
  static FuzzedGate& gate = *new FuzzedGate;
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0) return;
  const UniqueFd client(ends[0]);
  PendingConnection connection(UniqueFd(ends[1]), 0, 0);
  auto outcome = PendingConnection::Outcome::kWaiting;
  while (outcome == PendingConnection::Outcome::kWaiting && !bytes.empty()) {
    const size_t count = std::min(step, bytes.size());
    if (send(client.get(), bytes.data(), count, MSG_NOSIGNAL) < 0) break;
    bytes = bytes.subspan(count);
    outcome = connection.step(gate);
  }
  if (outcome == PendingConnection::Outcome::kAdmitted) std::abort();  // nobody can know the nonce beforehand
}

void decode(uint8_t type, ByteSpan payload) {
  const auto message = decode_handshake_message(type, payload);
  if (!message.ok()) return;
  const std::string again = encode(*message);
  const auto same =
      decode_handshake_message(type, std::as_bytes(std::span(again)).subspan(kFrameHeaderBytes));
  if (!same.ok() || !(*same == *message)) std::abort();
}

void collect(ByteSpan bytes) {
  FrameCollector frame;
  while (!bytes.empty() && !frame.whole()) {
    const size_t count = std::min(frame.wanted().size(), bytes.size());
    std::copy_n(bytes.begin(), count, frame.wanted().begin());
    bytes = bytes.subspan(count);
    if (!frame.filled(count).ok()) return;
  }
  if (frame.whole()) (void)frame.take();
}

void begin(ByteSpan bytes) {
  const auto preamble = decode_preamble(bytes);
  if (preamble.ok() && preamble->version == kWireVersion &&
      !(*decode_preamble(encode(*preamble)) == *preamble))
    std::abort();
  (void)decode_greeting(bytes);
  // What a client makes of its server's words.
  auto greeting = encode(Greeting{});
  std::copy_n(bytes.begin(), std::min<size_t>(bytes.size(), 4), greeting.end() - 4);
  if (const auto said = decode_greeting(greeting); said.ok()) (void)status_of(*said);
  const auto address = parse_address({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  if (address.ok() && !(*parse_address(to_text(*address)) == *address)) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const ByteSpan bytes = std::as_bytes(std::span(data, size)).subspan(1);
  switch (data[0] & 3) {
    case 0:
      connect_with(bytes, size_t{1} << (data[0] >> 5));
      connect_with(bytes, bytes.size());
      break;
    case 1:
      decode(static_cast<uint8_t>(data[0] >> 2), bytes);
      break;
    case 2:
      collect(bytes);
      break;
    default:
      begin(bytes);
      break;
  }
  return 0;
}
