// What processes hand each other for memory, events and pools: 64 bytes that name an entry of a device's
// file.
//
// The entry decides, and says more: whatever comes as a handle leads to one that is there, of the right kind,
// or nowhere.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>

#include "softgpu/device/uuid.h"

namespace tessera::softgpu {

class Device;

enum class IpcKind : uint32_t { kMemory = 1, kEvent, kPool, kPoolPointer };

constexpr size_t kIpcHandleBytes = 64;  // CU_IPC_HANDLE_SIZE, and that of CUmemPoolPtrExportData
using IpcHandleBytes = std::array<char, kIpcHandleBytes>;

struct IpcHandle {
  IpcKind kind = IpcKind::kMemory;
  DeviceUuid device{};
  uint64_t id = 0;
  uint64_t pool = 0;  // of a pool's pointer

  IpcHandleBytes bytes() const;
  // Nothing where they are no handle of that kind: not one bit may be another.
  static std::optional<IpcHandle> read(std::span<const char, kIpcHandleBytes> bytes, IpcKind kind);
};

// The device of this process that a handle names; null where it sees none such.
Device* device_of(const IpcHandle& handle);

}  // namespace tessera::softgpu
