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

}  // namespace

Result<Returned> accept_returning(Returning connection, SessionSecrets& secrets,
                                  std::shared_ptr<TlsContext> tls, uint64_t deadline_ns) {
  const Preamble& preamble = connection.preamble;
  const bool local = is_local(preamble.flavour);
  TESSERA_ASSIGN_OR_RETURN(auto plain,
                           SocketTransport::create(std::move(connection.socket), local ? "unix" : "tcp"));
  TESSERA_RETURN_IF_ERROR(send_all(*plain, encode(Greeting{}), deadline_ns));
  Bytes32 binding{};
  Returned returned{preamble.kind, nullptr};
  if (preamble.flavour == Flavour::kTls) {
    if (tls == nullptr)
      return Status(Code::kFailedPrecondition, "a client wants TLS, and there is no certificate");
    TESSERA_ASSIGN_OR_RETURN(auto encrypted,
                             start_tls(std::move(*plain).release(), std::move(tls), "", deadline_ns));
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
