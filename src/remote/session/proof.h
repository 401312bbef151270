// What proves that somebody knows a secret without saying it: HMAC-SHA256 over everything that both sides
// have said.
#pragma once

#include <array>
#include <cstddef>
#include <mutex>
#include <optional>
#include <string_view>

#include "common/bytes.h"
#include "common/status.h"

namespace tessera::remote {

using Bytes32 = std::array<std::byte, 32>;
using Secret = Bytes32;
using Nonce = Bytes32;
using Proof = Bytes32;

// From the kernel; kUnavailable where it has none.
Status fill_random(std::span<std::byte> space);
// Takes the same time wherever they differ.
bool equal_secrets(const Bytes32& a, const Bytes32& b);
void forget(std::span<std::byte> secret);
Bytes32 sha256(ByteSpan bytes);
Bytes32 hmac_sha256(ByteSpan key, ByteSpan bytes);

// What was said, in order, each piece with its length: two transcripts are equal only where every piece is.
class Transcript {
 public:
  void add(ByteSpan piece);
  void add(std::string_view piece) { add(std::as_bytes(std::span(piece))); }
  // A proof by `key` of all that was added; `label` says what it is for.
  Bytes32 prove(ByteSpan key, std::string_view label) const;

 private:
  Bytes32 digest_{};  // of the pieces so far
};

inline constexpr std::string_view kClientProof = "tessera client 1";
inline constexpr std::string_view kServerProof = "tessera server 1";
inline constexpr std::string_view kConfirmation = "tessera confirmation 1";
inline constexpr std::string_view kMask = "tessera mask 1";

// What TLS is spoken with where a client comes back: its session's secret makes a key, and a name that says
// which secret it is and does not tell it.
Bytes32 tls_key_of(const Secret& secret);
Bytes32 tls_name_of(const Secret& secret);

// A secret on its way, by exclusive or: masking twice gives it back.
Secret masked(const Secret& secret, const Bytes32& mask);

// A session's secret, on the server: each return of the client gets a new one. The one before holds until the
// client has shown that it has the new one, or a connection that breaks meanwhile would lock it out. Safe
// from several threads.
class SessionSecrets {
 public:
  explicit SessionSecrets(const Secret& first) : current_(first) {}
  ~SessionSecrets();
  SessionSecrets(const SessionSecrets&) = delete;
  SessionSecrets& operator=(const SessionSecrets&) = delete;

  // The key of TLS with that name, of the secrets that hold.
  std::optional<Bytes32> find_tls_key(ByteSpan name);
  // The secret that made `proof` of `said`, of those that hold; none: refused.
  std::optional<Secret> find(const Transcript& said, const Proof& proof);
  // Who proved `old` is told `fresh` now.
  void offer(const Secret& old, const Secret& fresh);
  // The client has it: nothing else holds any more. False where another was offered meanwhile.
  bool confirm(const Secret& fresh);

 private:
  std::mutex mutex_;
  Secret current_;
  std::optional<Secret> offered_;
};

}  // namespace tessera::remote
