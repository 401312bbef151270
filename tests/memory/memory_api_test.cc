// The public library on the software GPU: what it promises a program that calls it wrongly, or at the limits.
#include <gtest/gtest.h>

#include <cstddef>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "tessera/memory_virtualization.h"
#include "tests/softgpu/private_devices.h"

namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;

tessera_memory_options options_for(uint64_t device_bytes) {
  tessera_memory_options options{};
  options.size = sizeof options;
  options.driver = SOFTGPU_CUDA;
  options.device_bytes = device_bytes;
  return options;
}

std::string message() { return tessera_memory_message(); }

class MemoryApiTest : public testing::Test {
 protected:
  void SetUp() override {
    const tessera_memory_options options = options_for(8 * kMiB);
    ASSERT_EQ(tessera_memory_space_create(&options, &space_), TESSERA_MEMORY_OK) << message();
  }
  void TearDown() override { tessera_memory_space_destroy(space_); }

  uint64_t allocate(uint64_t bytes) {
    uint64_t address = 0;
    EXPECT_EQ(tessera_memory_allocate(space_, bytes, &address), TESSERA_MEMORY_OK) << message();
    return address;
  }
  tessera_memory_block query(uint64_t address) {
    tessera_memory_block block{};
    block.size = sizeof block;
    EXPECT_EQ(tessera_memory_query(space_, address, &block), TESSERA_MEMORY_OK) << message();
    return block;
  }

  tessera_memory_space* space_ = nullptr;
};

TEST_F(MemoryApiTest, BlocksMoveAndKeepWhatTheyHold) {
  const uint64_t first = allocate(6 * kMiB), second = allocate(6 * kMiB);
  std::vector<unsigned char> bytes(6 * kMiB, 7), read(6 * kMiB);
  ASSERT_EQ(tessera_memory_write(space_, first, bytes.data(), bytes.size()), TESSERA_MEMORY_OK);
  ASSERT_EQ(tessera_memory_migrate(space_, first, TESSERA_MEMORY_DEVICE), TESSERA_MEMORY_OK) << message();
  EXPECT_EQ(query(first).device_bytes, 6 * kMiB);
  ASSERT_EQ(tessera_memory_acquire(space_, &second, 1), TESSERA_MEMORY_OK) << message();
  EXPECT_LE(query(first).device_bytes, 2 * kMiB);
  EXPECT_EQ(query(second).acquired, 1u);
  ASSERT_EQ(tessera_memory_read(space_, first, read.data(), read.size()), TESSERA_MEMORY_OK);
  EXPECT_EQ(read, bytes);
  ASSERT_EQ(tessera_memory_advise(space_, first, TESSERA_MEMORY_ADVISE_GO_FIRST), TESSERA_MEMORY_OK);
  EXPECT_EQ(query(first + 100).advice, TESSERA_MEMORY_ADVISE_GO_FIRST);
  EXPECT_EQ(query(first + 100).address, first);
  tessera_memory_figures figures{};
  figures.size = sizeof figures;
  ASSERT_EQ(tessera_memory_space_query(space_, &figures), TESSERA_MEMORY_OK);
  EXPECT_EQ(figures.allocated_bytes, 12 * kMiB);
  EXPECT_LE(figures.device_bytes, 8 * kMiB);
}

TEST_F(MemoryApiTest, WhatCannotBeIsRefusedWithAReason) {
  const uint64_t large = allocate(10 * kMiB);
  EXPECT_EQ(tessera_memory_acquire(space_, &large, 1), TESSERA_MEMORY_EXHAUSTED);
  EXPECT_NE(message().find("in use at once"), std::string::npos) << message();
  EXPECT_EQ(query(large).acquired, 0u);
  EXPECT_EQ(tessera_memory_release(space_, &large, 1), TESSERA_MEMORY_WRONG_STATE);
  EXPECT_EQ(tessera_memory_free(space_, large + 512), TESSERA_MEMORY_NOT_FOUND);
  EXPECT_EQ(tessera_memory_allocate(space_, 0, nullptr), TESSERA_MEMORY_INVALID_ARGUMENT);
  EXPECT_EQ(tessera_memory_acquire(space_, nullptr, 1), TESSERA_MEMORY_INVALID_ARGUMENT);
  EXPECT_EQ(tessera_memory_acquire(space_, &large, 0), TESSERA_MEMORY_INVALID_ARGUMENT);
  EXPECT_EQ(tessera_memory_write(space_, large, nullptr, 1), TESSERA_MEMORY_INVALID_ARGUMENT);
  EXPECT_EQ(tessera_memory_advise(space_, large, static_cast<tessera_memory_advice>(9)),
            TESSERA_MEMORY_INVALID_ARGUMENT);
  EXPECT_EQ(tessera_memory_migrate(space_, large, static_cast<tessera_memory_place>(9)),
            TESSERA_MEMORY_INVALID_ARGUMENT);
  EXPECT_EQ(tessera_memory_query(space_, large, nullptr), TESSERA_MEMORY_INVALID_ARGUMENT);
  EXPECT_EQ(tessera_memory_free(nullptr, large), TESSERA_MEMORY_INVALID_ARGUMENT);
  EXPECT_STREQ(tessera_memory_status_name(TESSERA_MEMORY_EXHAUSTED), "exhausted");
  EXPECT_STREQ(tessera_memory_status_name(static_cast<tessera_memory_status>(99)), "unknown");
  tessera_memory_space_destroy(nullptr);
}

TEST_F(MemoryApiTest, MessagesAreEachThreadsOwn) {
  EXPECT_EQ(tessera_memory_free(space_, 1), TESSERA_MEMORY_NOT_FOUND);
  const std::string here = message();
  std::thread([&] {
    EXPECT_EQ(message(), "");
    EXPECT_EQ(tessera_memory_allocate(nullptr, 1, nullptr), TESSERA_MEMORY_INVALID_ARGUMENT);
  }).join();
  EXPECT_EQ(message(), here);
}

// A program that was built with an older header has shorter structures.
TEST_F(MemoryApiTest, StructuresMayBeShorter) {
  const uint64_t address = allocate(kMiB);
  tessera_memory_block block;
  memset(&block, 0x55, sizeof block);
  block.size = offsetof(tessera_memory_block, device_bytes);
  ASSERT_EQ(tessera_memory_query(space_, address, &block), TESSERA_MEMORY_OK);
  EXPECT_EQ(block.bytes, kMiB);
  EXPECT_EQ(block.size, offsetof(tessera_memory_block, device_bytes));
  EXPECT_EQ(block.acquired, 0x55555555u);
  block.size = 0;
  EXPECT_EQ(tessera_memory_query(space_, address, &block), TESSERA_MEMORY_INVALID_ARGUMENT);
}

TEST(MemoryApi, SpacesThatCannotBeMade) {
  tessera_memory_space* space = nullptr;
  tessera_memory_options options = options_for(0);
  options.device = 7;
  EXPECT_EQ(tessera_memory_space_create(&options, &space), TESSERA_MEMORY_NOT_FOUND);
  EXPECT_NE(message().find("no GPU 7"), std::string::npos) << message();
  options = options_for(4096);
  EXPECT_EQ(tessera_memory_space_create(&options, &space), TESSERA_MEMORY_INVALID_ARGUMENT);
  options = options_for(0);
  options.driver = "/no/such/libcuda.so.1";
  EXPECT_EQ(tessera_memory_space_create(&options, &space), TESSERA_MEMORY_NOT_FOUND);
  options = options_for(0);
  options.size = 1 << 20;
  EXPECT_EQ(tessera_memory_space_create(&options, &space), TESSERA_MEMORY_INVALID_ARGUMENT);
  EXPECT_EQ(tessera_memory_space_create(&options, nullptr), TESSERA_MEMORY_INVALID_ARGUMENT);
  EXPECT_EQ(space, nullptr);
  EXPECT_EQ(tessera_memory_version(), TESSERA_MEMORY_VERSION);
}

}  // namespace

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  testing::AddGlobalTestEnvironment(new tessera::PrivateDevices);
  return RUN_ALL_TESTS();
}
