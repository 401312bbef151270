#include "node/journal.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <random>

#include "common/size.h"
#include "node/journal_records.h"

namespace tessera::node {
namespace {

const std::vector<std::string> kUuids = {"GPU-a", "GPU-b"};

class JournalTest : public ::testing::Test {
 protected:
  JournalTest() {
    char name[] = "/tmp/tessera-journal-XXXXXX";
    folder_ = mkdtemp(name);
    path_ = folder_ + "/journal";
  }
  ~JournalTest() override { std::filesystem::remove_all(folder_); }

  std::string text() const {
    std::ifstream file(path_);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  }
  void append(std::string_view text) const { std::ofstream(path_, std::ios::app) << text; }

  std::string folder_;
  std::string path_;
};

TEST_F(JournalTest, WhatWasSavedIsThereAgain) {
  {
    Journal journal = Journal::open(path_).value();
    journal.put("a", 1);
    journal.put("b", "two\nlines");
    journal.put("a", 3);
    ASSERT_TRUE(journal.save().ok());
    journal.put("b", 4);
    journal.remove("a");
    journal.put("never saved", 1);
    journal.remove("never saved");
    ASSERT_TRUE(journal.save().ok());
    journal.put("c", 5);  // not saved
  }
  Journal again = Journal::open(path_).value();
  EXPECT_EQ(again.values(), (Journal::Values{{"b", 4}}));
  struct stat info {};
  ASSERT_EQ(stat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0600U);
}

// Cut at every byte: the records before the cut are there, never half of one.
TEST_F(JournalTest, ATornRecordIsDropped) {
  Journal journal = Journal::open(path_).value();
  for (int i = 0; i < 5; ++i) {
    journal.put("k" + std::to_string(i), i);
    ASSERT_TRUE(journal.save().ok());
  }
  const std::string whole = text();
  for (size_t size = 0; size <= whole.size(); ++size) {
    JournalText read = read_journal(std::string_view(whole).substr(0, size));
    size_t lines =
        static_cast<size_t>(std::count(whole.begin(), whole.begin() + static_cast<ptrdiff_t>(size), '\n'));
    EXPECT_EQ(read.values.size(), lines) << size;
    EXPECT_EQ(read.damaged, 0U);
    EXPECT_EQ(read.torn, size > 0 && whole[size - 1] != '\n');
  }
}

TEST_F(JournalTest, AnyAlteredByteIsNoticed) {
  const std::string line = journal_line("key", 7);
  const std::string last = journal_line("last", 1);
  for (size_t i = 0; i + 1 < line.size(); ++i) {
    std::string altered = line;
    altered[i] = static_cast<char>(altered[i] ^ 1);
    JournalText read = read_journal(altered + last);
    EXPECT_FALSE(read.values.contains("key")) << i;
    EXPECT_GE(read.damaged, 1U);
    EXPECT_TRUE(read.values.contains("last")) << i;
  }
}

TEST_F(JournalTest, GarbageIsSurvived) {
  std::mt19937 dice(5);
  for (int round = 0; round < 2000; ++round) {
    std::string text;
    for (size_t i = dice() % 300; i > 0; --i) text += static_cast<char>(dice() % 4 == 0 ? '\n' : dice());
    EXPECT_TRUE(read_journal(text).values.empty());
  }
}

TEST_F(JournalTest, AnotherBootsIsEmptied) {
  {
    Journal journal = Journal::open(path_).value();
    journal.put("a", 1);
    ASSERT_TRUE(journal.save().ok());
  }
  Json header;
  header["format"] = 1;
  header["boot"] = "another";
  append(journal_line("journal", header));
  EXPECT_TRUE(Journal::open(path_).value().values().empty());
}

TEST_F(JournalTest, NotOursAloneIsRefused) {
  append("");
  ASSERT_EQ(chmod(path_.c_str(), 0644), 0);
  EXPECT_EQ(Journal::open(path_).status().code(), Code::kPermissionDenied);
  ASSERT_EQ(unlink(path_.c_str()), 0);
  ASSERT_EQ(symlink("/etc/passwd", path_.c_str()), 0);
  EXPECT_FALSE(Journal::open(path_).ok());
}

TEST_F(JournalTest, StaysSmall) {
  Journal journal = Journal::open(path_).value();
  for (int i = 0; i < 20'000; ++i) {
    journal.put("same", std::string(100, 'x') + std::to_string(i));
    ASSERT_TRUE(journal.save().ok());
  }
  EXPECT_LT(text().size(), 300 * kKiB);
  EXPECT_EQ(Journal::open(path_).value().values().at("same"), std::string(100, 'x') + "19999");
}

TEST_F(JournalTest, WhatCannotBeSavedLeavesNothingOutdated) {
  Journal journal = Journal::open(path_).value();
  std::filesystem::remove_all(folder_);
  for (int i = 0; i < 10'000; ++i) journal.put("k" + std::to_string(i), std::string(100, 'x'));
  EXPECT_FALSE(journal.save().ok());  // so much that it is written anew, and there is no folder
  EXPECT_FALSE(std::filesystem::exists(path_));
}

Slice some_slice() {
  Slice slice;
  slice.id = 7;
  slice.name = "train";
  slice.token.fill(0xab);
  slice.owner = 1000;
  slice.holder = {42, 99};
  slice.devices.resize(2);
  slice.devices[0].gpu = 1;
  slice.devices[0].limit_bytes = 5 * kGiB;
  slice.devices[0].reserved = true;
  slice.devices[0].compute.share_permille = 250;
  slice.devices[1].limit_bytes = kGiB;
  return slice;
}

TEST(JournalRecords, RoundTrip) {
  auto slice = read_slice_record(slice_record(some_slice(), kUuids), {"GPU-b", "GPU-a"});
  ASSERT_TRUE(slice);
  EXPECT_EQ(slice->token, some_slice().token);
  EXPECT_EQ(slice->holder, (ProcessIdentity{42, 99}));
  EXPECT_EQ(slice->devices[0].gpu, 0U) << "found by its UUID";
  EXPECT_EQ(slice->devices[0].limit_bytes, 5 * kGiB);
  EXPECT_EQ(slice->devices[0].compute.share_permille, 250U);
  EXPECT_FALSE(slice->devices[1].reserved);
  EXPECT_FALSE(read_slice_record(slice_record(some_slice(), kUuids), {"GPU-a"})) << "a GPU that is gone";

  Lease lease;
  lease.id = 3;
  lease.slice = 7;
  lease.process = {5, 6};
  lease.devices = {{10, 20}, {0, 0}};
  auto read = read_lease_record(lease_record(lease, {1, 2}));
  ASSERT_TRUE(read);
  EXPECT_EQ(read->lease.life, LeaseLife::kAwaited);
  EXPECT_EQ(read->lease.process, lease.process);
  EXPECT_EQ(read->lease.devices[0].granted_bytes, 10U);
  EXPECT_EQ(read->image.stack, 2U);
  Lease empty = lease;
  empty.devices[0].granted_bytes = 0;
  EXPECT_EQ(read_lease_record(lease_record(empty, {}))->lease.life, LeaseLife::kDetached);
  lease.life = LeaseLife::kDetached;
  EXPECT_EQ(read_lease_record(lease_record(lease, {}))->lease.life, LeaseLife::kDetached);
}

TEST(JournalRecords, MemoryRoundTrips) {
  Slice slice;
  slice.name = "s";
  slice.devices.resize(1);
  slice.devices[0].gpu = 1;
  slice.devices[0].limit_bytes = 8;
  slice.devices[0].reserved = true;
  slice.devices[0].memory = {4, 300};
  const Json record = slice_record(slice, kUuids);
  EXPECT_EQ(read_slice_record(record, kUuids)->devices[0].memory, slice.devices[0].memory);
  EXPECT_EQ(read_slice_record(record, kUuids)->devices[0].need_bytes, std::nullopt);
  slice.devices[0].need_bytes = 5;
  EXPECT_EQ(read_slice_record(slice_record(slice, kUuids), kUuids)->devices[0].need_bytes, 5u);
  Json hostile = record;
  hostile["devices"][0]["memory"] = {{"min_bytes", -1}};
  EXPECT_FALSE(read_slice_record(hostile, kUuids));
  hostile["devices"][0]["memory"] = {{"weight", uint64_t{1} << 40}};
  EXPECT_FALSE(read_slice_record(hostile, kUuids));
  hostile["devices"][0]["memory"] = 7;
  EXPECT_FALSE(read_slice_record(hostile, kUuids));

  const auto moving = read_memory_record(memory_record({7, 9, true}));
  ASSERT_TRUE(moving);
  EXPECT_EQ(moving->working_ns, 7u);
  EXPECT_EQ(moving->moving_ns, 9u);
  EXPECT_TRUE(moving->backs_off);
  EXPECT_FALSE(read_memory_record(Json(3)));
  EXPECT_FALSE(read_memory_record({{"working_ns", "much"}, {"moving_ns", 1}}));
}

TEST(JournalRecords, FaultsRoundTrip) {
  TenantFaults faults(1);
  for (int i = 0; i < 5; ++i) faults.faulted(1000, "train it", 700, 8);
  const auto& [tenant, record] = *faults.records().begin();
  EXPECT_TRUE(is_tenant_key(tenant_key(tenant)));
  auto read = read_tenant_record(tenant_record(tenant, record));
  ASSERT_TRUE(read);
  EXPECT_EQ(read->tenant, tenant);
  EXPECT_EQ(read->state, record.history.state());
  EXPECT_EQ(read->latest_error, 700U);

  DeviceHealth::Record health;
  health.state.closed = true;
  health.state.latest_ns = 7;
  health.uncorrected = 5;
  health.errors = 2;
  EXPECT_TRUE(is_gpu_key(gpu_key("GPU-a")));
  auto gpu = read_gpu_record(gpu_record("GPU-a", health));
  ASSERT_TRUE(gpu);
  EXPECT_EQ(gpu->first, "GPU-a");
  EXPECT_EQ(gpu->second.state, health.state);
  EXPECT_EQ(gpu->second.uncorrected, 5U);
  EXPECT_EQ(gpu->second.errors, 2U);
}

// Any field gone or of another type: nothing, or something the ledger can refuse; never a crash.
TEST(JournalRecords, HostileOnesAreRefused) {
  const Json values[] = {nullptr, -1, 1.5, UINT64_MAX, "x", true, Json::array({1, "y"}), Json::object()};
  Lease lease;
  lease.devices = {{1, 2}};
  for (const Json& sound : {slice_record(some_slice(), kUuids), lease_record(lease, {}),
                            tenant_record({1, "a"}, {}), gpu_record("GPU-a", {})}) {
    for (const auto& [key, value] : sound.items()) {
      for (const Json& other : values) {
        Json altered = sound;
        altered[key] = other;
        Ledger ledger;
        ledger.set_gpu_totals({8 * kGiB, 8 * kGiB});
        if (auto slice = read_slice_record(altered, kUuids)) (void)ledger.restore_slice(*slice);
        if (auto read = read_lease_record(altered)) (void)ledger.restore_lease(read->lease);
        TenantFaults faults(1);
        if (auto read = read_tenant_record(altered))
          faults.restore(read->tenant, read->state, read->latest_error, 1);
        DeviceHealth health;
        if (auto read = read_gpu_record(altered)) health.restore(read->first, read->second, 1);
      }
    }
  }
  for (const Json& value : values) {
    EXPECT_FALSE(read_slice_record(value, kUuids));
    EXPECT_FALSE(read_lease_record(value));
    EXPECT_FALSE(read_tenant_record(value));
    EXPECT_FALSE(read_gpu_record(value));
  }
}

}  // namespace
}  // namespace tessera::node
