#include "remote/session/client.h"

#include "common/fd.h"
#include "common/strings.h"
#include "remote/session/admission.h"
#include "remote/session/exchange.h"
#include "remote/session/proof.h"
#include "remote/transport/dial.h"
#include "remote/transport/shm_transport.h"
#include "remote/transport/socket_transport.h"

namespace tessera::remote {
namespace {

constexpr size_t kMostTokenFileBytes = 4096;

// A connection that the server has welcomed, and what it begins with.
struct Welcomed {
  std::unique_ptr<Transport> transport;  // of shm: still its socket
  Bytes32 binding{};
  Challenge challenge;
};

ByteSpan bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }

// Says what the server has refused, or that it makes no sense.
template <typename Wanted>
Result<Wanted> expect(Result<HandshakeMessage> message) {
  if (!message.ok()) return message.status();
  if (const auto* refusal = std::get_if<Refusal>(&*message)) return Status(refusal->code, refusal->reason);
  if (auto* wanted = std::get_if<Wanted>(&*message)) return std::move(*wanted);
  return Status(Code::kInvalidData, "the server says something that does not belong there");
}

// For TLS: by certificates where a session begins, and by its secret where it goes on.
Result<std::shared_ptr<TlsContext>> trust_in(const Credentials& credentials, const Secret* secret) {
  if (secret == nullptr)
    return TlsContext::client({credentials.ca, credentials.certificate, credentials.key});
  return TlsContext::client_by_key({tls_name_of(*secret), tls_key_of(*secret)});
}

// `secret`: of the session that the connection is of; null: of none yet.
Result<Welcomed> connect_to(const Address& address, const Credentials& credentials, const Preamble& preamble,
                            const Secret* secret, uint64_t deadline_ns) {
  std::shared_ptr<TlsContext> context;
  if (address.flavour == Flavour::kTls) {
    TESSERA_ASSIGN_OR_RETURN(context, trust_in(credentials, secret));
  }
  TESSERA_ASSIGN_OR_RETURN(UniqueFd socket, dial(address, deadline_ns));
  const char* const kind = is_local(address.flavour) ? "unix" : "tcp";
  TESSERA_ASSIGN_OR_RETURN(auto plain, SocketTransport::create(std::move(socket), kind));
  TESSERA_RETURN_IF_ERROR(send_all(*plain, encode(preamble), deadline_ns));
  std::array<std::byte, kGreetingBytes> greeting;
  TESSERA_RETURN_IF_ERROR(receive_exactly(*plain, greeting, deadline_ns));
  TESSERA_ASSIGN_OR_RETURN(const Greeting welcome, decode_greeting(greeting));
  TESSERA_RETURN_IF_ERROR(status_of(welcome));
  Welcomed welcomed;
  if (context != nullptr) {
    TESSERA_ASSIGN_OR_RETURN(auto tls,
                             start_tls(std::move(*plain).release(), context, address.host, deadline_ns));
    TESSERA_ASSIGN_OR_RETURN(welcomed.binding, tls->channel_binding());
    welcomed.transport = std::move(tls);
  } else {
    welcomed.transport = std::move(plain);
  }
  TESSERA_ASSIGN_OR_RETURN(welcomed.challenge,
                           expect<Challenge>(receive_message(*welcomed.transport, deadline_ns)));
  return welcomed;
}

Result<Method> choose_method(const Challenge& challenge, const Credentials& credentials) {
  const auto offers = [&](Method method) { return (challenge.methods & static_cast<unsigned>(method)) != 0; };
  if (!credentials.token.empty() && offers(Method::kToken)) return Method::kToken;
  if (!credentials.certificate.empty() && offers(Method::kCertificate)) return Method::kCertificate;
  if (offers(Method::kNone)) return Method::kNone;
  std::string wanted = offers(Method::kToken) ? "a token: give --token-file" : "";
  if (offers(Method::kCertificate)) {
    wanted += wanted.empty() ? "" : ", or ";
    wanted += "a client's certificate: give --tls-cert and --tls-key";
  }
  if (wanted.empty()) wanted = "a client's certificate: name it as tls://host:port";
  return Status(Code::kPermissionDenied, "the server wants " + wanted);
}

// What goes over shared memory leaves its socket once the server has agreed.
Result<std::unique_ptr<Transport>> settle(std::unique_ptr<Transport> transport, Flavour flavour) {
  if (flavour != Flavour::kShm) return transport;
  UniqueFd socket = std::move(static_cast<SocketTransport&>(*transport)).release();
  TESSERA_ASSIGN_OR_RETURN(auto shared, ShmTransport::offer(std::move(socket)));
  return std::unique_ptr<Transport>(std::move(shared));
}

Result<Opened> open(const Address& address, const Credentials& credentials, const std::string& wishes,
                    uint64_t deadline_ns) {
  const Preamble preamble{kWireVersion, ConnectionKind::kNew, address.flavour, {}, credentials.checksums};
  TESSERA_ASSIGN_OR_RETURN(Welcomed welcomed,
                           connect_to(address, credentials, preamble, nullptr, deadline_ns));
  Hello hello;
  TESSERA_ASSIGN_OR_RETURN(hello.method, choose_method(welcomed.challenge, credentials));
  TESSERA_RETURN_IF_ERROR(fill_random(hello.nonce));
  hello.identity = credentials.identity;
  hello.wishes = wishes;
  const Transcript said = said_of_new(preamble, welcomed.binding, welcomed.challenge, hello);
  const std::string key = hello.method == Method::kToken ? credentials.token : "";
  hello.proof = said.prove(bytes_of(key), kClientProof);
  TESSERA_RETURN_IF_ERROR(send_all(*welcomed.transport, encode(HandshakeMessage(hello)), deadline_ns));
  TESSERA_ASSIGN_OR_RETURN(const Answer answer,
                           expect<Answer>(receive_message(*welcomed.transport, deadline_ns)));
  if (!equal_secrets(answer_proof(said, bytes_of(key), answer), answer.proof))
    return Status(Code::kPermissionDenied,
                  "the server does not know the token: it is not the one that is meant");
  Opened opened;
  opened.session = answer.session;
  opened.secret = masked(answer.masked_secret, said.prove(bytes_of(key), kMask));
  TESSERA_ASSIGN_OR_RETURN(opened.transport, settle(std::move(welcomed.transport), address.flavour));
  return opened;
}

// The connection, and the secret that holds afterwards.
Result<std::unique_ptr<Transport>> come_back(const Address& address, const Credentials& credentials,
                                             const Preamble& preamble, Secret& secret, uint64_t deadline_ns) {
  TESSERA_ASSIGN_OR_RETURN(Welcomed welcomed,
                           connect_to(address, credentials, preamble, &secret, deadline_ns));
  Return back;
  TESSERA_RETURN_IF_ERROR(fill_random(back.nonce));
  const Transcript said = said_of_return(preamble, welcomed.binding, welcomed.challenge, back);
  back.proof = said.prove(secret, kClientProof);
  TESSERA_RETURN_IF_ERROR(send_all(*welcomed.transport, encode(HandshakeMessage(back)), deadline_ns));
  TESSERA_ASSIGN_OR_RETURN(const Answer answer,
                           expect<Answer>(receive_message(*welcomed.transport, deadline_ns)));
  if (!equal_secrets(answer_proof(said, secret, answer), answer.proof) || answer.session != preamble.session)
    return Status(Code::kPermissionDenied,
                  "the server does not know the session's secret: it is not the same");
  if (preamble.kind == ConnectionKind::kResume) {
    secret = masked(answer.masked_secret, said.prove(secret, kMask));
    const Confirmation confirmation{said.prove(secret, kConfirmation)};
    TESSERA_RETURN_IF_ERROR(
        send_all(*welcomed.transport, encode(HandshakeMessage(confirmation)), deadline_ns));
  }
  return settle(std::move(welcomed.transport), address.flavour);
}

}  // namespace

Result<Opened> open_session(const Address& address, const Credentials& credentials, const std::string& wishes,
                            uint64_t deadline_ns) {
  if (wishes.size() > kMostWishesBytes || credentials.identity.size() > kMostIdentityBytes)
    return Status(Code::kInvalidArgument, "the name or the wishes of a client are too long");
  auto opened = open(address, credentials, wishes, deadline_ns);
  if (!opened.ok()) return opened.status().with_context(to_text(address));
  return opened;
}

Result<std::unique_ptr<Transport>> resume_session(const Address& address, const Credentials& credentials,
                                                  const SessionId& session, Secret& secret,
                                                  uint64_t deadline_ns) {
  const Preamble preamble{kWireVersion, ConnectionKind::kResume, address.flavour, session,
                          credentials.checksums};
  auto transport = come_back(address, credentials, preamble, secret, deadline_ns);
  if (!transport.ok()) return transport.status().with_context(to_text(address));
  return transport;
}

Result<std::unique_ptr<Transport>> open_stripe(const Address& address, const Credentials& credentials,
                                               const SessionId& session, const Secret& secret,
                                               uint64_t deadline_ns) {
  const Preamble preamble{kWireVersion, ConnectionKind::kStripe, address.flavour, session,
                          credentials.checksums};
  Secret same = secret;
  auto transport = come_back(address, credentials, preamble, same, deadline_ns);
  if (!transport.ok()) return transport.status().with_context(to_text(address));
  return transport;
}

Result<std::string> read_token(const std::string& path) {
  TESSERA_ASSIGN_OR_RETURN(const std::string text, read_file(path, kMostTokenFileBytes));
  std::string token(trim(text));
  if (token.empty() || token.find('\n') != std::string::npos)
    return Status::error(Code::kInvalidArgument, "%s: a token is one line", path.c_str());
  return token;
}

}  // namespace tessera::remote
