// Encryption of stored pages: AES-256-GCM under a key that exists in this process's memory only, and not in
// its children's. What was sealed can be opened by the same object only, and no longer than it lives.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>

#include "common/status.h"
#include "memory/codec/page_format.h"

namespace tessera::memory {

class PageCipher {
 public:
  static Result<std::unique_ptr<PageCipher>> create();
  ~PageCipher();
  PageCipher(const PageCipher&) = delete;
  PageCipher& operator=(const PageCipher&) = delete;

  // Thread-safe, all of it. `seal` has room for the nonce and the tag; `context` is authenticated, not
  // hidden. kFailedPrecondition in a child of the process that made the cipher.
  Status seal(std::span<const uint8_t> context, std::span<uint8_t> bytes, uint8_t* seal);
  // kInvalidData where anything is not as it was sealed; `to`, as long as `bytes`, holds nothing of use then.
  Status open(std::span<const uint8_t> context, std::span<const uint8_t> bytes, const uint8_t* seal,
              uint8_t* to) const;

 private:
  // In a page of its own: never in a core dump or on disk, and zeros in a forked child.
  struct Secret {
    uint8_t alive;  // 1
    uint8_t key[32];
    uint32_t salt;  // of all nonces; the rest of one is a number that only rises
  };
  explicit PageCipher(Secret* secret) : secret_(secret) {}

  Secret* const secret_;
  std::atomic<uint64_t> sealed_{0};
};

}  // namespace tessera::memory
