#include "remote/transport/tls_memory.h"

#include <malloc.h>
#include <openssl/crypto.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>

namespace tessera::remote {
namespace {

std::atomic<bool> wipes{false};

void* allocate(size_t bytes, const char*, int) { return bytes == 0 ? nullptr : malloc(bytes); }

void release(void* memory, const char*, int) {
  if (memory != nullptr && wipes.load(std::memory_order_relaxed))
    OPENSSL_cleanse(memory, malloc_usable_size(memory));
  free(memory);
}

// realloc(3) may leave what it has moved where it was.
void* resize(void* memory, size_t bytes, const char* file, int line) {
  if (memory == nullptr) return allocate(bytes, file, line);
  if (bytes == 0) {
    release(memory, file, line);
    return nullptr;
  }
  if (!wipes.load(std::memory_order_relaxed)) return realloc(memory, bytes);
  void* const moved = malloc(bytes);
  if (moved == nullptr) return nullptr;
  memcpy(moved, memory, std::min(bytes, malloc_usable_size(memory)));
  release(memory, file, line);
  return moved;
}

// OpenSSL takes them only as long as it has not had any memory: as this library is loaded.
const bool are_ours = CRYPTO_set_mem_functions(allocate, resize, release) == 1;

}  // namespace

Status wipe_tls_memory() {
  if (!are_ours) {
    return Status(Code::kFailedPrecondition,
                  "what TLS frees cannot be wiped: OpenSSL was in use before this library");
  }
  wipes.store(true, std::memory_order_relaxed);
  return Status();
}

void stop_wiping_tls_memory() { wipes.store(false, std::memory_order_relaxed); }

}  // namespace tessera::remote
