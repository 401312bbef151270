// An exported function of the driver or of NVML, and how cuGetProcAddress finds it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace tessera::cuda {

struct ApiEntry {
  const char* name;    // public name: "cuMemAlloc"
  const char* symbol;  // exported symbol: "cuMemAlloc_v2"
  int since;           // CUDA version from which `name` means this symbol: 3020
  bool per_thread;     // the per-thread-default-stream form (_ptds, _ptsz)
};

// Asked-for stream semantics: the flags of cuGetProcAddress.
enum class StreamForm { kDefault = 0, kLegacy = 1, kPerThread = 2 };

enum class LookupStatus { kFound, kNotFound, kVersionTooOld };
struct Lookup {
  LookupStatus status = LookupStatus::kNotFound;
  size_t index = 0;  // into the entries, where found
};

// The newest form of the public name `name` that is not newer than `version` (CUDA_VERSION of the caller).
// kPerThread takes the per-thread form where there is one, the plain form otherwise.
Lookup find_driver_entry(const char* name, int version, StreamForm form);

// Index of an exported symbol, as dlsym is asked; kNotFound otherwise.
Lookup find_driver_symbol(const char* symbol);

}  // namespace tessera::cuda
