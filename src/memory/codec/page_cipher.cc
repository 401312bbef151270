#include "memory/codec/page_cipher.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace tessera::memory {
namespace {

using Context = std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)>;

Context new_context() { return {EVP_CIPHER_CTX_new(), &EVP_CIPHER_CTX_free}; }

int length(std::span<const uint8_t> bytes) { return static_cast<int>(bytes.size()); }  // bounded by a page

}  // namespace

Result<std::unique_ptr<PageCipher>> PageCipher::create() {
  static_assert(sizeof(Secret) <= 4096);
  // Nothing of ours is destroyed at exit: other threads may still be at work.
  OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT, nullptr);
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  void* const memory = mmap(nullptr, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return Status::from_errno(errno, "memory for a key");
  auto* const secret = static_cast<Secret*>(memory);
  if (madvise(memory, page, MADV_WIPEONFORK) != 0 || madvise(memory, page, MADV_DONTDUMP) != 0) {
    const int reason = errno;
    munmap(memory, page);
    return Status::from_errno(reason, "keeping a key out of children and core dumps");
  }
  (void)mlock(memory, page);  // where the limit allows it
  const bool random = RAND_bytes(secret->key, sizeof secret->key) == 1 &&
                      RAND_bytes(reinterpret_cast<uint8_t*>(&secret->salt), sizeof secret->salt) == 1;
  if (!random) {
    munmap(memory, page);
    return Status(Code::kUnavailable, "OpenSSL has no random numbers for a key");
  }
  secret->alive = 1;
  return std::unique_ptr<PageCipher>(new PageCipher(secret));
}

PageCipher::~PageCipher() {
  OPENSSL_cleanse(secret_, sizeof *secret_);
  munmap(secret_, static_cast<size_t>(sysconf(_SC_PAGESIZE)));
}

Status PageCipher::seal(std::span<const uint8_t> context, std::span<uint8_t> bytes, uint8_t* seal) {
  if (secret_->alive != 1) return {Code::kFailedPrecondition, "the key stayed with the parent process"};
  uint8_t* const nonce = seal;
  uint8_t* const tag = seal + PageHeader::kNonceBytes;
  const uint64_t number = sealed_.fetch_add(1, std::memory_order_relaxed);
  std::memcpy(nonce, &number, 8);
  std::memcpy(nonce + 8, &secret_->salt, 4);
  const Context cipher = new_context();
  int done = 0;
  const bool sealed =
      cipher != nullptr &&
      EVP_EncryptInit_ex(cipher.get(), EVP_aes_256_gcm(), nullptr, secret_->key, nonce) == 1 &&
      EVP_EncryptUpdate(cipher.get(), nullptr, &done, context.data(), length(context)) == 1 &&
      EVP_EncryptUpdate(cipher.get(), bytes.data(), &done, bytes.data(), length(bytes)) == 1 &&
      EVP_EncryptFinal_ex(cipher.get(), bytes.data() + done, &done) == 1 &&
      EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_GCM_GET_TAG, PageHeader::kTagBytes, tag) == 1;
  return sealed ? Status() : Status(Code::kInternal, "OpenSSL did not encrypt a page");
}

Status PageCipher::open(std::span<const uint8_t> context, std::span<const uint8_t> bytes, const uint8_t* seal,
                        uint8_t* to) const {
  if (secret_->alive != 1) return {Code::kFailedPrecondition, "the key stayed with the parent process"};
  uint8_t tag[PageHeader::kTagBytes];
  std::memcpy(tag, seal + PageHeader::kNonceBytes, sizeof tag);
  const Context cipher = new_context();
  int done = 0;
  const bool opened = cipher != nullptr &&
                      EVP_DecryptInit_ex(cipher.get(), EVP_aes_256_gcm(), nullptr, secret_->key, seal) == 1 &&
                      EVP_DecryptUpdate(cipher.get(), nullptr, &done, context.data(), length(context)) == 1 &&
                      EVP_DecryptUpdate(cipher.get(), to, &done, bytes.data(), length(bytes)) == 1 &&
                      EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_GCM_SET_TAG, sizeof tag, tag) == 1 &&
                      EVP_DecryptFinal_ex(cipher.get(), to + done, &done) == 1;
  return opened ? Status() : Status(Code::kInvalidData, "a stored page is not as it was sealed");
}

}  // namespace tessera::memory
