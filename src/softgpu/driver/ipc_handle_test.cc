#include "softgpu/driver/ipc_handle.h"

#include <gtest/gtest.h>

namespace tessera::softgpu {
namespace {

constexpr IpcHandle kHandle{IpcKind::kPoolPointer, {1, 2, 3}, 77, 5};

TEST(IpcHandle, ComesBackAsItWent) {
  const auto read = IpcHandle::read(kHandle.bytes(), IpcKind::kPoolPointer);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->device, kHandle.device);
  EXPECT_EQ(read->id, 77u);
  EXPECT_EQ(read->pool, 5u);
}

TEST(IpcHandle, IsNoneOfAnotherKind) {
  for (const IpcKind kind : {IpcKind::kMemory, IpcKind::kEvent, IpcKind::kPool})
    EXPECT_FALSE(IpcHandle::read(kHandle.bytes(), kind));
}

TEST(IpcHandle, IsNoneWithAnyBitFlipped) {
  for (size_t bit = 0; bit < kIpcHandleBytes * 8; ++bit) {
    IpcHandleBytes bytes = kHandle.bytes();
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ 1 << bit % 8);
    EXPECT_FALSE(IpcHandle::read(bytes, IpcKind::kPoolPointer)) << bit;
  }
  EXPECT_FALSE(IpcHandle::read(IpcHandleBytes{}, IpcKind::kMemory));
}

}  // namespace
}  // namespace tessera::softgpu
