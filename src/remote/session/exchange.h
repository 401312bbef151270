// The handshake over a Transport, waiting until a deadline (of monotonic_ns()): for clients, and for a
// session's own process. kDeadlineExceeded where it passes.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "remote/session/messages.h"
#include "remote/transport/tls_transport.h"
#include "remote/transport/transport.h"

namespace tessera::remote {

std::chrono::nanoseconds until(uint64_t deadline_ns);
Status send_all(Transport& transport, ByteSpan bytes, uint64_t deadline_ns);
inline Status send_all(Transport& transport, std::string_view bytes, uint64_t deadline_ns) {
  return send_all(transport, std::as_bytes(std::span(bytes)), deadline_ns);
}
// Exactly as many bytes as there is space for.
Status receive_exactly(Transport& transport, std::span<std::byte> space, uint64_t deadline_ns);
Result<HandshakeMessage> receive_message(Transport& transport, uint64_t deadline_ns);
Status shake_hands(TlsTransport& transport, uint64_t deadline_ns);

// TLS over the socket, its handshake done. `host` as for TlsTransport::create.
Result<std::unique_ptr<TlsTransport>> start_tls(UniqueFd socket, std::shared_ptr<TlsContext> context,
                                                const std::string& host, uint64_t deadline_ns);

}  // namespace tessera::remote
