#include "cuda/runtime_tables.h"

#include <pthread.h>
#include <unistd.h>

#include <cstring>
#include <iterator>

#include "common/log.h"

namespace tessera::cuda {
namespace {

using Slot = const void*;

constinit const RuntimeHooks* hooks_of_driver = nullptr;

template <typename Function>
Slot slot(Function* function) {
  return reinterpret_cast<Slot>(function);
}

// The first slot of most tables is their size in bytes.
template <size_t kSlots>
Slot size_of(const Slot (&)[kSlots]) {
  return reinterpret_cast<Slot>(kSlots * sizeof(Slot));
}

// Stands in every slot that no library is known to call, so that one that does is told so instead of
// crashing.
CUresult unknown_slot() {
  LOG_WARN("driver", "a library called a function of an export table that this driver does not offer");
  return CUDA_ERROR_NOT_SUPPORTED;
}

CUresult success() { return CUDA_SUCCESS; }

// --- Runtime interface: 6bd5fb6c-5bf4-e74a-8987-d93912fd9df9

CUresult primary_context(CUcontext* context, CUdevice device) {
  return hooks_of_driver->primary_context(context, device);
}

// --- Tool hooks: a094798c-2e74-2e74-93f2-0800200c0a66. Counters of hooks: while one is zero, nobody is
// called.

uint32_t call_hooks[1024];  // at least 523
uint32_t other_hooks[14];

void call_hook_counters(uint32_t** counters, size_t* count) {
  *counters = call_hooks;
  *count = std::size(call_hooks);
}

void other_hook_counters(uint32_t** counters, size_t* count) {
  *counters = other_hooks;
  *count = std::size(other_hooks);
}

// --- Context storage: c693336e-1121-df11-a8c3-68f355d89593

CUresult storage_put(CUcontext context, void* key, void* value, StorageDestructor destructor) {
  return hooks_of_driver->put(context, key, value, destructor);
}
CUresult storage_remove(CUcontext context, void* key) { return hooks_of_driver->remove(context, key); }
CUresult storage_get(void** value, CUcontext context, void* key) {
  return hooks_of_driver->get(value, context, key);
}

// --- Checks of a context: 263e8860-7cd2-6143-92f6-bbd5006dfa7e

CUresult check_context(CUcontext, uint32_t* flags, const void**) {
  if (flags != nullptr) *flags = 0;
  return CUDA_SUCCESS;
}

// --- Handshake: d4082055-bde6-704b-8d34-ba123c66e1f2

#ifdef TESSERA_CUDART_HANDSHAKE
CUresult handshake(uint32_t version, uint64_t seconds, uint64_t* answer);
#endif

struct Tables {
  Slot runtime[10];
  Slot hooks[7];
  Slot thread_storage[4];
  Slot context_storage[4];
  Slot checks[4];
#ifdef TESSERA_CUDART_HANDSHAKE
  Slot handshake[3];
#endif

  Tables() {
    for (Slot* entry = runtime; entry != runtime + sizeof *this / sizeof(Slot); ++entry)
      *entry = slot(unknown_slot);
    runtime[0] = size_of(runtime);
    runtime[2] = slot(primary_context);
    hooks[0] = size_of(hooks);
    hooks[2] = slot(call_hook_counters);
    hooks[6] = slot(other_hook_counters);
    thread_storage[0] = size_of(thread_storage);
    thread_storage[2] = slot(success);
    context_storage[0] = slot(storage_put);
    context_storage[1] = slot(storage_remove);
    context_storage[2] = slot(storage_get);
    checks[0] = size_of(checks);
    checks[2] = slot(check_context);
    checks[3] = slot(success);
#ifdef TESSERA_CUDART_HANDSHAKE
    handshake[0] = size_of(handshake);
    handshake[1] = slot(cuda::handshake);
#endif
  }
};

// Never destroyed: the runtime's exit handlers use it.
const Tables& tables() {
  static const auto* made = new Tables();
  return *made;
}

#ifdef TESSERA_CUDART_HANDSHAKE
CUresult handshake(uint32_t version, uint64_t seconds, uint64_t* answer) {
  if (answer == nullptr) return CUDA_ERROR_INVALID_VALUE;
  const HandshakeInput input = {
      .driver_version = static_cast<uint32_t>(hooks_of_driver->driver_version()),
      .question = version,
      .process = static_cast<uint32_t>(getpid()),
      .thread = static_cast<uint32_t>(pthread_self()),
      .runtime_table = tables().runtime,
      .handshake_table = tables().handshake,
      .function = tables().handshake[1],
      .seconds = seconds,
  };
  const auto result = cudart_handshake(input, hooks_of_driver->devices());
  memcpy(answer, result.data(), sizeof result);
  return CUDA_SUCCESS;
}
#endif

struct Offer {
  uint8_t id[16];
  const Slot* (*table)();
};

constexpr Offer kOffers[] = {
    {{0xc6, 0x93, 0x33, 0x6e, 0x11, 0x21, 0xdf, 0x11, 0xa8, 0xc3, 0x68, 0xf3, 0x55, 0xd8, 0x95, 0x93},
     [] { return +tables().context_storage; }},
    {{0x6b, 0xd5, 0xfb, 0x6c, 0x5b, 0xf4, 0xe7, 0x4a, 0x89, 0x87, 0xd9, 0x39, 0x12, 0xfd, 0x9d, 0xf9},
     [] { return +tables().runtime; }},
    {{0xa0, 0x94, 0x79, 0x8c, 0x2e, 0x74, 0x2e, 0x74, 0x93, 0xf2, 0x08, 0x00, 0x20, 0x0c, 0x0a, 0x66},
     [] { return +tables().hooks; }},
    {{0x42, 0xd8, 0x5a, 0x81, 0x23, 0xf6, 0xcb, 0x47, 0x82, 0x98, 0xf6, 0xe7, 0x8a, 0x3a, 0xec, 0xdc},
     [] { return +tables().thread_storage; }},
    {{0x26, 0x3e, 0x88, 0x60, 0x7c, 0xd2, 0x61, 0x43, 0x92, 0xf6, 0xbb, 0xd5, 0x00, 0x6d, 0xfa, 0x7e},
     [] { return +tables().checks; }},
#ifdef TESSERA_CUDART_HANDSHAKE
    {{0xd4, 0x08, 0x20, 0x55, 0xbd, 0xe6, 0x70, 0x4b, 0x8d, 0x34, 0xba, 0x12, 0x3c, 0x66, 0xe1, 0xf2},
     [] { return +tables().handshake; }},
#endif
};

}  // namespace

const void* runtime_table(const CUuuid& id, const RuntimeHooks& hooks) {
  hooks_of_driver = &hooks;
  for (const Offer& offer : kOffers) {
    if (memcmp(offer.id, id.bytes, sizeof offer.id) == 0) return offer.table();
  }
  return nullptr;
}

}  // namespace tessera::cuda
