// The UUID of a software device: the same in every process of the machine and after every restart, different
// on another machine.
#pragma once

#include <array>
#include <cstdint>
#include <string>

namespace tessera::softgpu {

using DeviceUuid = std::array<uint8_t, 16>;

DeviceUuid device_uuid(int physical_index);
// "GPU-01234567-89ab-cdef-0123-456789abcdef", as nvidia-smi prints it and CUDA_VISIBLE_DEVICES takes it.
std::string format_uuid(const DeviceUuid& uuid);

}  // namespace tessera::softgpu
