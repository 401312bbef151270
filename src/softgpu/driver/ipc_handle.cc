#include "softgpu/driver/ipc_handle.h"

#include <bit>
#include <cstring>

#include "softgpu/driver/device.h"
#include "softgpu/driver/state.h"

namespace tessera::softgpu {
namespace {

constexpr uint32_t kVersion = 1;

struct Layout {
  IpcKind kind;
  uint32_t version;
  DeviceUuid device;
  uint64_t id, pool;
  uint64_t reserved[2];
  uint64_t check;
};
static_assert(sizeof(Layout) == kIpcHandleBytes);

// FNV-1a of 64 bits. Against damage, not against forgers: what they could name they can name anyway.
uint64_t check_of(const Layout& layout) {
  IpcHandleBytes bytes = std::bit_cast<IpcHandleBytes>(layout);
  uint64_t sum = 0xcbf29ce484222325;
  for (size_t i = 0; i < offsetof(Layout, check); ++i)
    sum = (sum ^ static_cast<unsigned char>(bytes[i])) * 0x100000001b3;
  return sum;
}

}  // namespace

IpcHandleBytes IpcHandle::bytes() const {
  Layout layout{kind, kVersion, device, id, pool, {}, 0};
  layout.check = check_of(layout);
  return std::bit_cast<IpcHandleBytes>(layout);
}

std::optional<IpcHandle> IpcHandle::read(std::span<const char, kIpcHandleBytes> bytes, IpcKind kind) {
  Layout layout;
  memcpy(&layout, bytes.data(), sizeof layout);
  if (layout.check != check_of(layout) || layout.version != kVersion || layout.kind != kind)
    return std::nullopt;
  return IpcHandle{layout.kind, layout.device, layout.id, layout.pool};
}

Device* device_of(const IpcHandle& handle) {
  for (Device* device : devices()) {
    if (device->uuid() == handle.device) return device;
  }
  return nullptr;
}

}  // namespace tessera::softgpu
