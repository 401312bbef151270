#include "remote/session/exchange.h"

#include <algorithm>

#include "common/clock.h"

namespace tessera::remote {
namespace {

Status wait_for(Transport& transport, unsigned wanted, uint64_t deadline_ns) {
  TESSERA_ASSIGN_OR_RETURN(const unsigned ready, transport.wait(wanted, until(deadline_ns)));
  return ready != 0 ? Status() : Status(Code::kDeadlineExceeded, "the other side does not answer in time");
}

}  // namespace

std::chrono::nanoseconds until(uint64_t deadline_ns) {
  const uint64_t now_ns = monotonic_ns();
  return std::chrono::nanoseconds(deadline_ns > now_ns ? std::min<uint64_t>(deadline_ns - now_ns, INT64_MAX)
                                                       : 0);
}

Status send_all(Transport& transport, ByteSpan bytes, uint64_t deadline_ns) {
  while (!bytes.empty()) {
    const iovec piece{const_cast<std::byte*>(bytes.data()), bytes.size()};  // nobody writes to it
    TESSERA_ASSIGN_OR_RETURN(const size_t taken, transport.send(std::span(&piece, 1)));
    bytes = bytes.subspan(taken);
    if (taken == 0) TESSERA_RETURN_IF_ERROR(wait_for(transport, Transport::kWritable, deadline_ns));
  }
  return Status();
}

Status receive_exactly(Transport& transport, std::span<std::byte> space, uint64_t deadline_ns) {
  while (!space.empty()) {
    TESSERA_ASSIGN_OR_RETURN(const size_t received, transport.receive(space));
    space = space.subspan(received);
    if (received == 0) TESSERA_RETURN_IF_ERROR(wait_for(transport, Transport::kReadable, deadline_ns));
  }
  return Status();
}

Result<HandshakeMessage> receive_message(Transport& transport, uint64_t deadline_ns) {
  FrameCollector frame;
  while (!frame.whole()) {
    const std::span<std::byte> space = frame.wanted();
    TESSERA_RETURN_IF_ERROR(receive_exactly(transport, space, deadline_ns));
    TESSERA_RETURN_IF_ERROR(frame.filled(space.size()));
  }
  return frame.take();
}

Status shake_hands(TlsTransport& transport, uint64_t deadline_ns) {
  for (;;) {
    TESSERA_ASSIGN_OR_RETURN(const unsigned wanted, transport.handshake());
    if (wanted == 0) return Status();
    TESSERA_RETURN_IF_ERROR(wait_for(transport, wanted, deadline_ns));
  }
}

Result<std::unique_ptr<TlsTransport>> start_tls(UniqueFd socket, std::shared_ptr<TlsContext> context,
                                                const std::string& host, uint64_t deadline_ns) {
  TESSERA_ASSIGN_OR_RETURN(auto transport, TlsTransport::create(std::move(socket), std::move(context), host));
  TESSERA_RETURN_IF_ERROR(shake_hands(*transport, deadline_ns));
  return transport;
}

}  // namespace tessera::remote
