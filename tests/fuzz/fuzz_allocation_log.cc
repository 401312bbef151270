// Logs whose every byte may lie: what can be read is replayed, and all of it comes back.
#include <cstdint>
#include <cstdlib>
#include <span>

#include "memory/simulated_device.h"
#include "memory/trace/replay.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  tessera::memory::SimulatedDevice device(64);
  tessera::memory::Pool pool(device);
  (void)tessera::memory::replay({data, size}, pool);
  if (!pool.close().ok()) std::abort();
  return 0;
}
