#include "common/short_slice.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <thread>

namespace tessera {
namespace {

// Words 0 to 11 of struct sched_attr: size, policy, flags (2), nice, priority, runtime (2), ... .
using Attributes = std::array<uint32_t, 12>;

Attributes attributes_of_this_thread() {
  Attributes attributes{};
  EXPECT_EQ(syscall(SYS_sched_getattr, 0, attributes.data(), sizeof attributes, 0), 0);
  return attributes;
}

TEST(ShortSlice, OnlyTheSliceIsAnotherOne) {
  std::thread([] {
    Attributes before = attributes_of_this_thread();
    ask_for_short_slices();
    Attributes after = attributes_of_this_thread();
    EXPECT_TRUE(after[6] == 100'000 || after[6] == before[6]);  // an older kernel does not know it
    after[6] = before[6];
    after[2] = before[2];  // reset on fork
    EXPECT_EQ(after, before);
  }).join();
}

TEST(ShortSlice, WhatTheThreadStartsHasTheUsualOne) {
  std::thread([] {
    const Attributes before = attributes_of_this_thread();
    ask_for_short_slices();
    std::thread([&] { EXPECT_EQ(attributes_of_this_thread(), before); }).join();
  }).join();
}

TEST(ShortSlice, AnotherPolicyIsLeftAsItIs) {
  std::thread([] {
    const sched_param parameters{};
    ASSERT_EQ(sched_setscheduler(0, SCHED_BATCH, &parameters), 0);
    const Attributes before = attributes_of_this_thread();
    ask_for_short_slices();
    EXPECT_EQ(attributes_of_this_thread(), before);
  }).join();
}

}  // namespace
}  // namespace tessera
