#include "remote/session/admission.h"

#include "common/strings.h"

namespace tessera::remote {
namespace {

Status denied(const char* reason) { return {Code::kPermissionDenied, reason}; }

// Unknown names and wrong tokens are told alike, and take the same time.
constexpr const char* kWrongToken = "the server knows no such identity with this token";
constexpr const char* kNobodysToken = "of an identity that is not there";

ByteSpan bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }

void begin(Transcript& said, const Preamble& preamble, const Bytes32& binding, const Challenge& challenge) {
  said.add(encode(preamble));
  said.add(binding);
  said.add(std::as_bytes(std::span(&challenge.methods, 1)));
  said.add(challenge.nonce);
}

}  // namespace

Transcript said_of_new(const Preamble& preamble, const Bytes32& binding, const Challenge& challenge,
                       const Hello& hello) {
  Transcript said;
  begin(said, preamble, binding, challenge);
  said.add(std::as_bytes(std::span(&hello.method, 1)));
  said.add(hello.nonce);
  said.add(hello.identity);
  said.add(hello.wishes);
  return said;
}

Transcript said_of_return(const Preamble& preamble, const Bytes32& binding, const Challenge& challenge,
                          const Return& back) {
  Transcript said;
  begin(said, preamble, binding, challenge);
  said.add(back.nonce);
  return said;
}

Proof answer_proof(Transcript said, ByteSpan key, const Answer& answer) {
  said.add(answer.session);
  said.add(answer.masked_secret);
  return said.prove(key, kServerProof);
}

std::string Admitted::answer(const SessionId& session, const Secret& secret) const {
  Answer message;
  message.session = session;
  message.masked_secret = masked(secret, said.prove(bytes_of(key), kMask));
  message.proof = answer_proof(said, bytes_of(key), message);
  return encode(HandshakeMessage(message));
}

Admission::Admission(const Identities& identities, Circumstances circumstances, const Nonce& nonce)
    : identities_(identities), circumstances_(std::move(circumstances)), nonce_(nonce) {}

uint8_t Admission::methods() const {
  unsigned methods = 0;
  if (circumstances_.nobody_may_in) methods |= static_cast<unsigned>(Method::kNone);
  if (identities_.any_token()) methods |= static_cast<unsigned>(Method::kToken);
  if (circumstances_.asks_for_certificates) methods |= static_cast<unsigned>(Method::kCertificate);
  return static_cast<uint8_t>(methods);
}

std::string Admission::challenge() const { return encode(HandshakeMessage(Challenge{methods(), nonce_})); }

Result<std::pair<std::string, std::string>> Admission::by_certificate(const Hello& hello) const {
  if (circumstances_.certificate.empty()) {
    return denied(
        "the server wants a client's certificate (--tls-cert, --tls-key) or a token (--token-file)");
  }
  std::string name = circumstances_.certificate;
  if (identities_.any_certificate()) {
    const Identity* const identity = identities_.with_certificate(name);
    if (identity == nullptr) {
      return Status::error(
          Code::kPermissionDenied,
          "the server knows no identity with the certificate '%s': its --identities names them",
          name.c_str());
    }
    name = identity->name;
  }
  if (!hello.identity.empty() && hello.identity != name)
    return denied("the certificate is of another identity than the one named");
  return std::pair(std::move(name), std::string());
}

Result<std::pair<std::string, std::string>> Admission::who(const Hello& hello) const {
  if ((methods() & static_cast<unsigned>(hello.method)) == 0) {
    return denied(
        "the server wants a token (--token-file) or a client's certificate (--tls-cert, --tls-key)");
  }
  if (hello.method == Method::kCertificate) return by_certificate(hello);
  if (hello.method == Method::kNone) return std::pair(std::string(Identities::kNobody), std::string());
  const Identity* const identity = identities_.with_token(hello.identity);
  if (identity == nullptr) return std::pair(std::string(), std::string(kNobodysToken));
  return std::pair(identity->name, identity->token);
}

Result<Admitted> Admission::admit(const HandshakeMessage& message) const {
  const Hello* const hello = std::get_if<Hello>(&message);
  if (hello == nullptr) return Status(Code::kInvalidData, "the client does not begin with a hello");
  TESSERA_ASSIGN_OR_RETURN(auto named, who(*hello));
  const Transcript said =
      said_of_new(circumstances_.preamble, circumstances_.binding, Challenge{methods(), nonce_}, *hello);
  const bool proved = equal_secrets(said.prove(bytes_of(named.second), kClientProof), hello->proof);
  if (!proved || named.first.empty()) return denied(kWrongToken);
  return Admitted{std::move(named.first), hello->wishes, std::move(named.second), said};
}

Readmission::Readmission(SessionSecrets& secrets, const Preamble& preamble, const Bytes32& binding,
                         const Nonce& nonce)
    : secrets_(secrets), preamble_(preamble), binding_(binding), nonce_(nonce) {}

std::string Readmission::challenge() const { return encode(HandshakeMessage(Challenge{0, nonce_})); }

Result<std::string> Readmission::admit(const HandshakeMessage& message, const Secret& fresh) {
  const Return* const back = std::get_if<Return>(&message);
  if (back == nullptr) return Status(Code::kInvalidData, "the client does not say that it comes back");
  said_ = said_of_return(preamble_, binding_, Challenge{0, nonce_}, *back);
  const std::optional<Secret> secret = secrets_.find(said_, back->proof);
  if (!secret) return denied("the session is not this client's: its secret is another, or an old one");
  Answer answer;
  answer.session = preamble_.session;
  if (preamble_.kind == ConnectionKind::kResume) {
    fresh_ = fresh;
    answer.masked_secret = masked(fresh, said_.prove(*secret, kMask));
    secrets_.offer(*secret, fresh);
  }
  answer.proof = answer_proof(said_, *secret, answer);
  return encode(HandshakeMessage(answer));
}

Status Readmission::confirm(const HandshakeMessage& message) {
  const Confirmation* const confirmation = std::get_if<Confirmation>(&message);
  if (confirmation == nullptr) return {Code::kInvalidData, "the client does not confirm its new secret"};
  if (!equal_secrets(said_.prove(fresh_, kConfirmation), confirmation->proof) || !secrets_.confirm(fresh_))
    return denied("the client has not got its new secret");
  return Status();
}

}  // namespace tessera::remote
