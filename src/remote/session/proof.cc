#include "remote/session/proof.h"

// The functions that make a digest by themselves are still there and called deprecated: those that are not
// start all of OpenSSL first, which takes a program longer than everything else that it does to connect.
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <sys/random.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace tessera::remote {
namespace {

constexpr size_t kBlockBytes = SHA256_CBLOCK;
constexpr std::string_view kTlsKey = "tessera TLS key 1", kTlsName = "tessera TLS name 1";

// SHA256_Init and its like fail for nothing: there is nothing in them that could.
Bytes32 sha256_of(ByteSpan first, ByteSpan second) {
  SHA256_CTX state;
  Bytes32 digest;
  SHA256_Init(&state);
  SHA256_Update(&state, first.data(), first.size());
  SHA256_Update(&state, second.data(), second.size());
  SHA256_Final(reinterpret_cast<unsigned char*>(digest.data()), &state);
  OPENSSL_cleanse(&state, sizeof state);
  return digest;
}

}  // namespace

Status fill_random(std::span<std::byte> space) {
  while (!space.empty()) {
    const ssize_t count = getrandom(space.data(), space.size(), 0);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0)
      return {Code::kUnavailable, Status::from_errno(errno, "the kernel has no random numbers").message()};
    space = space.subspan(static_cast<size_t>(count));
  }
  return Status();
}

bool equal_secrets(const Bytes32& a, const Bytes32& b) {
  return CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

void forget(std::span<std::byte> secret) { OPENSSL_cleanse(secret.data(), secret.size()); }

Bytes32 sha256(ByteSpan bytes) { return sha256_of(bytes, {}); }

// RFC 2104.
Bytes32 hmac_sha256(ByteSpan key, ByteSpan bytes) {
  std::array<std::byte, kBlockBytes> inner{}, outer{};
  const Bytes32 digest = sha256(key);
  const ByteSpan used = key.size() > kBlockBytes ? ByteSpan(digest) : key;
  for (size_t i = 0; i < kBlockBytes; ++i) {
    const std::byte byte = i < used.size() ? used[i] : std::byte{0};
    inner[i] = byte ^ std::byte{0x36};
    outer[i] = byte ^ std::byte{0x5c};
  }
  const Bytes32 proof = sha256_of(outer, sha256_of(inner, bytes));
  forget(inner);
  forget(outer);
  return proof;
}

void Transcript::add(ByteSpan piece) {
  struct {
    Bytes32 before, piece;
  } const both{digest_, sha256(piece)};
  digest_ = sha256(std::as_bytes(std::span(&both, 1)));
}

Bytes32 Transcript::prove(ByteSpan key, std::string_view label) const {
  struct {
    Bytes32 label, said;
  } const both{sha256(std::as_bytes(std::span(label))), digest_};
  return hmac_sha256(key, std::as_bytes(std::span(&both, 1)));
}

Bytes32 tls_key_of(const Secret& secret) { return Transcript().prove(secret, kTlsKey); }
Bytes32 tls_name_of(const Secret& secret) { return Transcript().prove(secret, kTlsName); }

Secret masked(const Secret& secret, const Bytes32& mask) {
  Secret result;
  for (size_t i = 0; i < result.size(); ++i) result[i] = secret[i] ^ mask[i];
  return result;
}

SessionSecrets::~SessionSecrets() {
  forget(current_);
  if (offered_) forget(*offered_);
}

std::optional<Bytes32> SessionSecrets::find_tls_key(ByteSpan name) {
  const std::lock_guard lock(mutex_);
  const auto is_meant = [&](const Secret& secret) {
    const Bytes32 its = tls_name_of(secret);
    return std::equal(its.begin(), its.end(), name.begin(), name.end());
  };
  if (offered_ && is_meant(*offered_)) return tls_key_of(*offered_);
  if (is_meant(current_)) return tls_key_of(current_);
  return std::nullopt;
}

std::optional<Secret> SessionSecrets::find(const Transcript& said, const Proof& proof) {
  const std::lock_guard lock(mutex_);
  if (offered_ && equal_secrets(said.prove(*offered_, kClientProof), proof)) {
    current_ = *offered_;  // so the client has it
    offered_.reset();
    return current_;
  }
  if (equal_secrets(said.prove(current_, kClientProof), proof)) return current_;
  return std::nullopt;
}

void SessionSecrets::offer(const Secret& old, const Secret& fresh) {
  const std::lock_guard lock(mutex_);
  if (equal_secrets(old, current_)) offered_ = fresh;
}

bool SessionSecrets::confirm(const Secret& fresh) {
  const std::lock_guard lock(mutex_);
  if (!offered_ || !equal_secrets(*offered_, fresh)) return false;
  current_ = fresh;
  offered_.reset();
  return true;
}

}  // namespace tessera::remote
