// The server's side of a handshake, without a socket: what to say to what a client says. For a session that
// begins (Admission) and for one that its client comes back to (Readmission).
#pragma once

#include <string>

#include "remote/session/identities.h"
#include "remote/session/messages.h"

namespace tessera::remote {

// What is known of a connection before anybody says who they are.
struct Circumstances {
  Preamble preamble;
  Bytes32 binding{};        // of the TLS channel; zeros without one
  std::string certificate;  // the name in the client's, verified; empty: it has shown none
  bool asks_for_certificates = false;
  bool nobody_may_in = false;  // without token and certificate
};

struct Admitted {
  std::string identity;
  std::string wishes;
  std::string key;  // what the client has proved to know; empty: nothing
  Transcript said;

  // A frame that tells the client of its session.
  std::string answer(const SessionId& session, const Secret& secret) const;
};

class Admission {
 public:
  // `identities` outlive it.
  Admission(const Identities& identities, Circumstances circumstances, const Nonce& nonce);

  // The frame to begin with.
  std::string challenge() const;
  // kPermissionDenied where the client is not who it says; the message may be told to it. kInvalidData where
  // that is no Hello.
  Result<Admitted> admit(const HandshakeMessage& message) const;

 private:
  uint8_t methods() const;
  // The name, and the key, of whom the client says it is.
  Result<std::pair<std::string, std::string>> who(const Hello& hello) const;
  Result<std::pair<std::string, std::string>> by_certificate(const Hello& hello) const;

  const Identities& identities_;
  const Circumstances circumstances_;
  const Nonce nonce_;
};

class Readmission {
 public:
  // `secrets` outlive it.
  Readmission(SessionSecrets& secrets, const Preamble& preamble, const Bytes32& binding, const Nonce& nonce);

  std::string challenge() const;
  // The frame to answer with. kPermissionDenied where the client does not know the session's secret.
  Result<std::string> admit(const HandshakeMessage& message, const Secret& fresh);
  // After an answer to kResume: whether the client has the new secret.
  Status confirm(const HandshakeMessage& message);

 private:
  SessionSecrets& secrets_;
  const Preamble preamble_;
  const Bytes32 binding_;
  const Nonce nonce_;
  Transcript said_;
  Secret fresh_{};
};

// What both sides put into their proofs.
Transcript said_of_new(const Preamble& preamble, const Bytes32& binding, const Challenge& challenge,
                       const Hello& hello);
Transcript said_of_return(const Preamble& preamble, const Bytes32& binding, const Challenge& challenge,
                          const Return& back);
Proof answer_proof(Transcript said, ByteSpan key, const Answer& answer);

}  // namespace tessera::remote
