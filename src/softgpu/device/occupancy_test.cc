#include "softgpu/device/occupancy.h"

#include <gtest/gtest.h>

#include <string>

namespace tessera::softgpu {
namespace {

struct Known {
  const char* model;
  BlockNeeds needs;
  uint32_t blocks;
};

// As NVIDIA's occupancy calculator tells them.
constexpr Known kKnown[] = {
    {"A100-40", {256, 32, 0, 0}, 8},       // full
    {"A100-40", {256, 64, 0, 0}, 4},       // half, by registers
    {"A100-40", {128, 40, 0, 0}, 12},      // 75 %
    {"A100-40", {1024, 64, 0, 0}, 1},      //
    {"A100-40", {256, 255, 0, 0}, 1},      // 8 of 64 warps
    {"A100-40", {1024, 65, 0, 0}, 0},      // 72 registers in effect: more than 64 Ki
    {"A100-40", {32, 16, 0, 0}, 32},       // by the number of blocks
    {"A100-40", {128, 32, 49152, 0}, 3},   // 3 * (48 + 1) KiB of 164
    {"A100-40", {128, 32, 0, 166912}, 1},  // 163 KiB, the most
    {"A100-40", {128, 32, 0, 166913}, 0},  //
    {"A100-40", {100, 32, 0, 0}, 16},      // a warp is never shared by blocks
    {"T4", {256, 32, 0, 0}, 4},            // 1024 threads
    {"T4", {32, 16, 0, 0}, 16},            //
    {"T4", {64, 16, 32768, 0}, 2},         // nothing is reserved before 8.0
    {"H100-80", {1024, 32, 0, 0}, 2},      //
    {"H100-80", {256, 32, 0, 232448}, 1},  // 227 KiB
    {"RTX4090", {128, 40, 0, 0}, 12},      // 1536 threads
    {"RTX4090", {1024, 32, 0, 0}, 1},      //
    {"RTX4090", {32, 16, 0, 0}, 24},       //
    {"software", {256, 32, 0, 0}, 8},      //
    {"software", {0, 32, 0, 0}, 0},        //
    {"software", {1025, 16, 0, 0}, 0},     //
};

TEST(Occupancy, AgreesWithKnownFigures) {
  for (const Known& known : kKnown) {
    SCOPED_TRACE(std::string(known.model) + " threads " + std::to_string(known.needs.threads) +
                 " registers " + std::to_string(known.needs.registers_per_thread));
    EXPECT_EQ(resident_blocks(*find_model(known.model), known.needs), known.blocks);
  }
}

TEST(Occupancy, ChoosesTheLargestBlockOfTheBest) {
  auto none = [](uint32_t) { return uint64_t{0}; };
  BlockChoice choice = best_block_size(*find_model("A100-40"), {0, 32, 0, 0}, 1024, none);
  EXPECT_EQ(choice.threads, 1024u);
  EXPECT_EQ(choice.blocks_per_sm, 2u);
  choice = best_block_size(*find_model("RTX4090"), {0, 32, 0, 0}, 1024, none);
  EXPECT_EQ(choice.threads, 768u);
  EXPECT_EQ(choice.blocks_per_sm, 2u);
  choice = best_block_size(*find_model("A100-40"), {0, 32, 0, 0}, 100, none);
  EXPECT_EQ(choice.threads, 64u);  // 32 blocks of 2 warps fill the SM; 21 of 3 do not
}

TEST(Occupancy, AsksForSharedMemoryBySize) {
  // 1 KiB a thread: 163 KiB allow at most 160 threads.
  auto kib_each = [](uint32_t threads) { return uint64_t{threads} * 1024; };
  BlockChoice choice = best_block_size(*find_model("A100-40"), {0, 32, 0, 0}, 1024, kib_each);
  EXPECT_EQ(choice.threads, 160u);
  EXPECT_EQ(choice.blocks_per_sm, 1u);
  choice =
      best_block_size(*find_model("A100-40"), {0, 32, 0, 0}, 1024, [](uint32_t) { return ~uint64_t{0}; });
  EXPECT_EQ(choice.threads, 0u);
}

TEST(Occupancy, WhatIsAvailableIsEnoughAndOneByteMoreIsTooMuch) {
  for (const DeviceModel& model : device_models()) {
    SCOPED_TRACE(model.key);
    for (uint32_t blocks : {1u, 2u, 3u, 4u, 8u}) {
      BlockNeeds needs{128, 32, 2048, 0};
      needs.dynamic_shared_bytes = available_dynamic_shared(model, needs, blocks);
      ASSERT_GT(needs.dynamic_shared_bytes, 0u);
      EXPECT_GE(resident_blocks(model, needs), blocks);
      needs.dynamic_shared_bytes += 1;
      EXPECT_LT(resident_blocks(model, needs), blocks);
    }
    EXPECT_EQ(available_dynamic_shared(model, {1024, 32, 0, 0}, 3), 0u);
  }
}

}  // namespace
}  // namespace tessera::softgpu
