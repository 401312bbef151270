#include "remote/session/returning.h"

#include "remote/session/admission.h"
#include "remote/session/exchange.h"
#include "remote/transport/shm_transport.h"
#include "remote/transport/socket_transport.h"

namespace tessera::remote {
namespace {

Status refuse(Transport& transport, const Status& reason, uint64_t deadline_ns) {
  const Refusal refusal{reason.code(), reason.message()};
  (void)send_all(transport, encode(HandshakeMessage(refusal)), deadline_ns);
  return reason;
}

Status prove(Transport& transport, Readmission& readmission, ConnectionKind kind, uint64_t deadline_ns) {
  TESSERA_RETURN_IF_ERROR(send_all(transport, readmission.challenge(), deadline_ns));
  TESSERA_ASSIGN_OR_RETURN(const HandshakeMessage message, receive_message(transport, deadline_ns));
  Secret fresh;
  TESSERA_RETURN_IF_ERROR(fill_random(fresh));
  const auto answer = readmission.admit(message, fresh);
  if (!answer.ok()) return refuse(transport, answer.status(), deadline_ns);
  TESSERA_RETURN_IF_ERROR(send_all(transport, *answer, deadline_ns));
  if (kind != ConnectionKind::kResume) return Status();
  TESSERA_ASSIGN_OR_RETURN(const HandshakeMessage confirmation, receive_message(transport, deadline_ns));
  return readmission.confirm(confirmation);
}

// The server's certificate is not here: the session's secret stands for both sides.
Result<std::unique_ptr<TlsTransport>> encrypt(UniqueFd socket, SessionSecrets& secrets,
                                              uint64_t deadline_ns) {
  bool is_known = true;
  const auto find = [&](ByteSpan name) {
    const auto key = secrets.find_tls_key(name);
    is_known = key.has_value();
    return key;
  };
  TESSERA_ASSIGN_OR_RETURN(auto context, TlsContext::server_by_key(find));
  auto encrypted = start_tls(std::move(socket), std::move(context), "", deadline_ns);
  if (!encrypted.ok() && !is_known)
    return Status(Code::kPermissionDenied, "the client has a secret that is not the session's");
  return encrypted;
}

}  // namespace

Result<Returned> accept_returning(Returning connection, SessionSecrets& secrets, uint64_t deadline_ns) {
  const Preamble& preamble = connection.preamble;
  const bool local = is_local(preamble.flavour);
  TESSERA_ASSIGN_OR_RETURN(auto plain,
                           SocketTransport::create(std::move(connection.socket), local ? "unix" : "tcp"));
  TESSERA_RETURN_IF_ERROR(send_all(*plain, encode(Greeting{}), deadline_ns));
  Bytes32 binding{};
  Returned returned{preamble.kind, nullptr};
  if (preamble.flavour == Flavour::kTls) {
    TESSERA_ASSIGN_OR_RETURN(auto encrypted, encrypt(std::move(*plain).release(), secrets, deadline_ns));
    TESSERA_ASSIGN_OR_RETURN(binding, encrypted->channel_binding());
    returned.transport = std::move(encrypted);
  } else {
    returned.transport = std::move(plain);
  }
  Nonce nonce;
  TESSERA_RETURN_IF_ERROR(fill_random(nonce));
  Readmission readmission(secrets, preamble, binding, nonce);
  TESSERA_RETURN_IF_ERROR(prove(*returned.transport, readmission, preamble.kind, deadline_ns));
  if (preamble.flavour != Flavour::kShm) return returned;
  UniqueFd socket = std::move(static_cast<SocketTransport&>(*returned.transport)).release();
  TESSERA_ASSIGN_OR_RETURN(returned.transport, ShmTransport::accept(std::move(socket), until(deadline_ns)));
  return returned;
}

}  // namespace tessera::remote
