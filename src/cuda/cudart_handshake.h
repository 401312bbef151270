// The answer to the CUDA runtime's question whether the driver below it is one it works with. See
// docs/interoperability.md for what this is, why it is here and how to build without it.
#pragma once

#include <array>
#include <cstdint>
#include <span>

namespace tessera::cuda {

// What the runtime and the driver both know; hashed as it lies in memory.
struct HandshakeInput {
  uint32_t driver_version = 0;  // as cuDriverGetVersion tells it
  uint32_t question = 0;        // the runtime's version of the question
  uint32_t process = 0;
  uint32_t thread = 0;  // low half of pthread_self()
  const void* runtime_table = nullptr;
  const void* handshake_table = nullptr;
  const void* function = nullptr;  // slot 1 of the handshake table
  uint64_t seconds = 0;            // since 1970, as the runtime says
};
static_assert(sizeof(HandshakeInput) == 48);

struct HandshakeDevice {
  std::array<uint8_t, 16> uuid{};
  int32_t pci_domain = 0, pci_bus = 0, pci_device = 0;
};
static_assert(sizeof(HandshakeDevice) == 28);

std::array<uint64_t, 2> cudart_handshake(const HandshakeInput& input,
                                         std::span<const HandshakeDevice> devices);

}  // namespace tessera::cuda
