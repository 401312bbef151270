#include "virtualization/vgpu/charge_registry.h"

#include <gtest/gtest.h>

namespace tessera::vgpu {
namespace {

CUcontext context(uintptr_t value) { return reinterpret_cast<CUcontext>(value); }
ChargeKey memory(uint64_t value) { return {ChargeKind::kMemory, value}; }

TEST(ChargeRegistry, AChargeIsTakenOnce) {
  ChargeRegistry registry;
  EXPECT_FALSE(registry.insert(memory(512), {100, 0, nullptr}));
  EXPECT_FALSE(registry.insert({ChargeKind::kArray, 512}, {7, 0, nullptr}));
  EXPECT_EQ(registry.take(memory(512))->bytes, 100u);
  EXPECT_FALSE(registry.take(memory(512)));
  EXPECT_EQ(registry.size(), 1u);
}

TEST(ChargeRegistry, AReusedAddressHandsOutTheStaleCharge) {
  ChargeRegistry registry;
  registry.insert(memory(512), {100, 0, nullptr});
  auto stale = registry.insert(memory(512), {200, 1, nullptr});
  ASSERT_TRUE(stale);
  EXPECT_EQ(stale->bytes, 100u);
  EXPECT_EQ(registry.take(memory(512))->bytes, 200u);
}

TEST(ChargeRegistry, AContextsChargesAreTakenTogether) {
  ChargeRegistry registry;
  for (uint64_t i = 0; i < 1000; ++i) registry.insert(memory(i * 512), {i, 0, context(i % 4)});
  auto taken = registry.take_context(context(3));
  EXPECT_EQ(taken.size(), 250u);
  EXPECT_EQ(registry.size(), 750u);
  for (const auto& [key, charge] : taken) EXPECT_EQ(charge.context, context(3));
}

}  // namespace
}  // namespace tessera::vgpu
