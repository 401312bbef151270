#include "remote/session/proof.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sys/random.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace tessera::remote {
namespace {

const unsigned char* text(ByteSpan bytes) { return reinterpret_cast<const unsigned char*>(bytes.data()); }

// Fails only where there is no memory for a few bytes, or no SHA-256: nothing can go on then.
void require(bool done) {
  if (!done) std::abort();
}

void start_openssl() { OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT | OPENSSL_INIT_NO_LOAD_CONFIG, nullptr); }

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

Bytes32 sha256(ByteSpan bytes) {
  start_openssl();
  Bytes32 digest;
  require(EVP_Digest(bytes.data(), bytes.size(), reinterpret_cast<unsigned char*>(digest.data()), nullptr,
                     EVP_sha256(), nullptr) == 1);
  return digest;
}

void Transcript::add(ByteSpan piece) {
  struct {
    Bytes32 before, piece;
  } const both{digest_, sha256(piece)};
  digest_ = sha256(std::as_bytes(std::span(&both, 1)));
}

Bytes32 Transcript::prove(ByteSpan key, std::string_view label) const {
  start_openssl();
  struct {
    Bytes32 label, said;
  } const both{sha256(std::as_bytes(std::span(label))), digest_};
  Bytes32 proof;
  // A null key would mean the one before.
  static constexpr unsigned char kNoKey[1] = {0};
  require(HMAC(EVP_sha256(), key.empty() ? kNoKey : text(key), static_cast<int>(key.size()),
               text(std::as_bytes(std::span(&both, 1))), sizeof both,
               reinterpret_cast<unsigned char*>(proof.data()), nullptr) != nullptr);
  return proof;
}

void be_ready_to_prove() { (void)Transcript().prove({}, ""); }

Secret masked(const Secret& secret, const Bytes32& mask) {
  Secret result;
  for (size_t i = 0; i < result.size(); ++i) result[i] = secret[i] ^ mask[i];
  return result;
}

SessionSecrets::~SessionSecrets() {
  forget(current_);
  if (offered_) forget(*offered_);
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
