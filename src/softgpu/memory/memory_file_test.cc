#include "softgpu/memory/memory_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <string>

#include "softgpu/memory/reserved_addresses.h"

namespace tessera::softgpu {
namespace {

constexpr uint64_t kUnit = 2u << 20;

unsigned char& byte_at(uint64_t address) { return *reinterpret_cast<unsigned char*>(address); }

// Pages of this process that are in memory, within a range.
size_t resident_pages(uint64_t begin, uint64_t size) {
  std::vector<unsigned char> pages(size / 4096);
  EXPECT_EQ(mincore(reinterpret_cast<void*>(begin), size, pages.data()), 0);
  size_t count = 0;
  for (const unsigned char page : pages) count += page & 1;
  return count;
}

TEST(ReservedAddresses, AreAlignedAndHonourAHint) {
  auto first = ReservedAddresses::take(3 * kUnit, 64 * kUnit);
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(first->begin() % (64 * kUnit), 0u);
  const uint64_t begin = first->begin();
  auto taken = ReservedAddresses::take(kUnit, kUnit, begin);  // not free: somewhere else
  ASSERT_TRUE(taken.ok());
  EXPECT_FALSE(first->contains(taken->begin()));
  { ReservedAddresses gone = std::move(first).value(); }
  auto again = ReservedAddresses::take(3 * kUnit, kUnit, begin);
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->begin(), begin);
  EXPECT_EQ(ReservedAddresses::take(uint64_t{1} << 50, kUnit).status().code(), Code::kResourceExhausted);
}

TEST(MemoryFile, TheSameBytesAtTwoAddresses) {
  auto file = MemoryFile::create("test", 4 * kUnit);
  auto addresses = ReservedAddresses::take(4 * kUnit, kUnit);
  ASSERT_TRUE(file.ok() && addresses.ok());
  const uint64_t a = addresses->begin(), b = a + 2 * kUnit;
  ASSERT_TRUE((*file)->map(a, kUnit, kUnit).ok());
  ASSERT_TRUE((*file)->map(b, 0, 2 * kUnit).ok());
  byte_at(a + 5) = 7;
  EXPECT_EQ(byte_at(b + kUnit + 5), 7);
  ASSERT_TRUE(addresses->clear(a, kUnit).ok());
  EXPECT_EQ(byte_at(b + kUnit + 5), 7);
  (*file)->discard(kUnit, kUnit);
  EXPECT_EQ(resident_pages(b + kUnit, kUnit), 0u);
  EXPECT_EQ(byte_at(b + kUnit + 5), 0);
}

TEST(MemoryFile, LivesAsLongAsItIsMapped) {
  auto addresses = ReservedAddresses::take(kUnit, kUnit);
  ASSERT_TRUE(addresses.ok());
  {
    auto file = MemoryFile::create("test", kUnit);
    ASSERT_TRUE(file.ok() && (*file)->map(addresses->begin(), 0, kUnit).ok());
  }
  byte_at(addresses->begin()) = 1;
  EXPECT_EQ(byte_at(addresses->begin()), 1);
}

TEST(MemoryFile, ADescriptorOpensTheSameMemory) {
  auto file = MemoryFile::create("test-name", 2 * kUnit);
  ASSERT_TRUE(file.ok());
  auto fd = (*file)->duplicate();
  ASSERT_TRUE(fd.ok());
  auto opened = MemoryFile::open(fd->get());
  ASSERT_TRUE(opened.ok());
  fd->reset();
  EXPECT_EQ((*opened)->name(), "test-name");
  EXPECT_EQ((*opened)->size(), 2 * kUnit);
  EXPECT_TRUE((*opened)->same_as(**file));
  auto other = MemoryFile::create("test-name", 2 * kUnit);
  ASSERT_TRUE(other.ok());
  EXPECT_FALSE((*opened)->same_as(**other));
}

TEST(MemoryFile, OpensNothingElse) {
  EXPECT_EQ(MemoryFile::open(-1).status().code(), Code::kInvalidArgument);
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  const UniqueFd pipe_end(ends[0]), other_end(ends[1]);
  EXPECT_EQ(MemoryFile::open(pipe_end.get()).status().code(), Code::kInvalidArgument);
  const UniqueFd unsealed(memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  ASSERT_EQ(ftruncate(unsealed.get(), kUnit), 0);
  EXPECT_EQ(MemoryFile::open(unsealed.get()).status().code(), Code::kInvalidArgument);
  ASSERT_EQ(fcntl(unsealed.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), 0);
  EXPECT_TRUE(MemoryFile::open(unsealed.get()).ok());
}

// A program that closes what it does not know, and opens a file of its own, keeps that as it is.
TEST(MemoryFile, LeavesAnotherFileOfItsDescriptorAlone) {
  auto file = MemoryFile::create("test", kUnit);
  auto addresses = ReservedAddresses::take(kUnit, kUnit);
  ASSERT_TRUE(file.ok() && addresses.ok());
  char path[] = "/tmp/memory-file-XXXXXX";
  const int theirs = mkstemp(path);
  ASSERT_GE(theirs, 0);
  unlink(path);
  ASSERT_EQ(write(theirs, "theirs", 6), 6);
  ASSERT_EQ(dup2(theirs, (*file)->fd()), (*file)->fd());
  (*file)->discard(0, kUnit);
  EXPECT_EQ((*file)->map(addresses->begin(), 0, kUnit).code(), Code::kFailedPrecondition);
  EXPECT_EQ((*file)->duplicate().status().code(), Code::kFailedPrecondition);
  char got[7] = {};
  EXPECT_EQ(pread(theirs, got, 6, 0), 6);
  EXPECT_STREQ(got, "theirs");
  close(theirs);
}

}  // namespace
}  // namespace tessera::softgpu
