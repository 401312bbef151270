#include "cache/content_cache.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <random>
#include <thread>

namespace tessera::cache {
namespace {

constexpr size_t kBlob = ContentCache::kLeastBlobBytes;

std::vector<std::byte> content(uint64_t seed, size_t bytes = kBlob) {
  std::mt19937_64 random(seed);
  std::vector<std::byte> all(bytes);
  for (std::byte& byte : all) byte = static_cast<std::byte>(random());
  return all;
}

class Cache : public testing::Test {
 protected:
  Cache() {
    char name[] = "/tmp/tessera-cache-XXXXXX";
    folder_ = mkdtemp(name);
  }
  ~Cache() override { std::filesystem::remove_all(folder_); }

  ContentCache open(const std::string& identity, uint64_t most = 100 * kBlob,
                    uint64_t most_own = 100 * kBlob) {
    return ContentCache::open({folder_ + "/c", identity, most, most_own}).value();
  }
  // The one file with that content.
  std::filesystem::path file_of(const std::vector<std::byte>& bytes) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_))
      if (entry.path().filename() == to_hex(digest_of(bytes))) return entry.path();
    ADD_FAILURE() << "no such file";
    return {};
  }

  std::string folder_;
};

bool has(ContentCache& cache, const std::vector<std::byte>& bytes) {
  const auto blob = cache.get(digest_of(bytes));
  EXPECT_TRUE(blob.ok());
  if (!blob.ok() || !*blob) return false;
  EXPECT_TRUE(std::equal(bytes.begin(), bytes.end(), (*blob)->bytes().begin(), (*blob)->bytes().end()));
  return true;
}

Status put(ContentCache& cache, const std::vector<std::byte>& bytes) {
  return cache.put(digest_of(bytes), bytes);
}

// Makes it the last but `ago` that was used, without waiting.
void used_ago(const std::filesystem::path& path, int seconds) {
  timespec times[2] = {};
  clock_gettime(CLOCK_REALTIME, &times[1]);
  times[1].tv_sec -= seconds;
  times[0] = times[1];
  ASSERT_EQ(utimensat(AT_FDCWD, path.c_str(), times, 0), 0);
}

TEST(Digest, IsSha256) {
  const std::string text = "abc";
  EXPECT_EQ(to_hex(digest_of(std::as_bytes(std::span(text)))),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST_F(Cache, GivesBackWhatWasPutAndOutlivesItsProcess) {
  const auto small = content(1), large = content(2, 3'000'001);
  {
    ContentCache cache = open("alice");
    EXPECT_FALSE(has(cache, small));
    EXPECT_FALSE(cache.may_have(digest_of(small)));
    ASSERT_TRUE(put(cache, small).ok());
    ASSERT_TRUE(put(cache, large).ok());
    ASSERT_TRUE(put(cache, small).ok());
    EXPECT_EQ(cache.used_bytes(), small.size() + large.size());
  }
  ContentCache again = open("alice");
  EXPECT_TRUE(again.may_have(digest_of(small)));
  EXPECT_TRUE(has(again, small));
  EXPECT_TRUE(has(again, large));
}

TEST_F(Cache, NobodyFindsWhatOthersHave) {
  ContentCache alice = open("alice"), bob = open("bob");
  const auto secret = content(3);
  ASSERT_TRUE(put(alice, secret).ok());
  EXPECT_FALSE(bob.may_have(digest_of(secret)));
  EXPECT_FALSE(has(bob, secret));
  // Not even that it is there already, by what it takes.
  ASSERT_TRUE(put(bob, secret).ok());
  EXPECT_EQ(bob.used_bytes(), secret.size());
  ContentCache odd = open("../../alice\n");
  EXPECT_FALSE(has(odd, secret));
}

TEST_F(Cache, OnlyContentThatIsWhatItIsCalledIsKept) {
  ContentCache cache = open("alice");
  EXPECT_EQ(cache.put(digest_of(content(1)), content(2)).code(), Code::kInvalidArgument);
  EXPECT_EQ(put(cache, content(1, kBlob - 1)).code(), Code::kInvalidArgument);
  EXPECT_EQ(put(cache, content(1, 101 * kBlob)).code(), Code::kResourceExhausted);
  EXPECT_EQ(cache.used_bytes(), 0u);
}

TEST_F(Cache, ContentThatComesInPiecesIsThereOnceItIsWhole) {
  ContentCache cache = open("alice", 100 * kBlob, 8 * kBlob);
  const auto good = content(6, 2 * kBlob + 17);
  const ByteSpan all(good);
  {
    auto incoming = cache.receive(digest_of(good), good.size());
    ASSERT_TRUE(incoming.ok());
    ASSERT_TRUE(incoming->append(all.first(kBlob)).ok());
    EXPECT_FALSE(cache.may_have(digest_of(good)));
    EXPECT_EQ(cache.used_bytes(), good.size());  // its room is its own already
    ASSERT_TRUE(incoming->append(all.subspan(kBlob)).ok());
    ASSERT_TRUE(incoming->finish().ok());
  }
  EXPECT_TRUE(has(cache, good));
  // What is not finished, too long, too short or something else leaves nothing.
  const auto other = content(7, kBlob + 1);
  { ASSERT_TRUE(cache.receive(digest_of(other), other.size())->append(other).ok()); }
  auto longer = cache.receive(digest_of(other), other.size() - 1);
  EXPECT_EQ(longer->append(other).code(), Code::kInvalidArgument);
  EXPECT_EQ(longer->finish().code(), Code::kInvalidArgument);
  auto shorter = cache.receive(digest_of(other), other.size() + 1);
  ASSERT_TRUE(shorter->append(other).ok());
  EXPECT_EQ(shorter->finish().code(), Code::kInvalidArgument);
  auto wrong = cache.receive(digest_of(content(8)), other.size());
  ASSERT_TRUE(wrong->append(other).ok());
  EXPECT_EQ(wrong->finish().code(), Code::kInvalidArgument);
  EXPECT_FALSE(cache.may_have(digest_of(other)));
  EXPECT_EQ(cache.used_bytes(), good.size());
  // Twice at once.
  auto first = cache.receive(digest_of(other), other.size()),
       second = cache.receive(digest_of(other), other.size());
  for (auto* incoming : {&first, &second}) {
    ASSERT_TRUE((*incoming)->append(other).ok());
    EXPECT_TRUE((*incoming)->finish().ok());
  }
  EXPECT_TRUE(has(cache, other));
}

TEST_F(Cache, WhatIsDamagedIsNotThereAndCanBePutAgain) {
  ContentCache cache = open("alice");
  const auto good = content(4);
  const std::function<void(const std::filesystem::path&)> damages[] = {
      [](const auto& path) {
        std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
        file.seekp(777);
        file.put('!');
        file.put('?');
      },
      [](const auto& path) { std::filesystem::resize_file(path, kBlob - 1); },
      [](const auto& path) { std::filesystem::resize_file(path, 0); },
      [](const auto& path) { std::filesystem::resize_file(path, kBlob + 1); },
      [](const auto& path) {
        std::filesystem::remove(path);
        std::filesystem::create_symlink("/dev/zero", path);
      },
  };
  for (const auto& damage : damages) {
    ASSERT_TRUE(put(cache, good).ok());
    const auto path = file_of(good);
    chmod(path.c_str(), 0600);
    damage(path);
    EXPECT_FALSE(has(cache, good));
    ASSERT_TRUE(put(cache, good).ok());
    EXPECT_TRUE(has(cache, good));
  }
}

TEST_F(Cache, WhatIsReadStaysWhateverBecomesOfTheFile) {
  ContentCache cache = open("alice");
  const auto good = content(5);
  ASSERT_TRUE(put(cache, good).ok());
  const auto blob = cache.get(digest_of(good));
  ASSERT_TRUE(blob.ok() && *blob);
  chmod(file_of(good).c_str(), 0600);
  std::filesystem::resize_file(file_of(good), 0);
  EXPECT_TRUE(std::equal(good.begin(), good.end(), (*blob)->bytes().begin()));
}

TEST_F(Cache, WhatWasNotUsedForLongestGoesFirst) {
  ContentCache cache = open("alice", 100 * kBlob, 3 * kBlob);
  const auto a = content(1), b = content(2), c = content(3), d = content(4);
  for (const auto* one : {&a, &b, &c}) ASSERT_TRUE(put(cache, *one).ok());
  used_ago(file_of(a), 300);
  used_ago(file_of(b), 200);
  used_ago(file_of(c), 100);
  EXPECT_TRUE(has(cache, a));  // used now
  ASSERT_TRUE(put(cache, d).ok());
  EXPECT_FALSE(has(cache, b));
  EXPECT_TRUE(has(cache, a) && has(cache, c) && has(cache, d));
  EXPECT_EQ(cache.used_bytes(), 3 * kBlob);
}

TEST_F(Cache, OnesOwnGoesBeforeThatOfOthers) {
  ContentCache alice = open("alice", 4 * kBlob), bob = open("bob", 4 * kBlob);
  ASSERT_TRUE(put(alice, content(1)).ok());
  used_ago(file_of(content(1)), 1000);
  for (uint64_t i = 2; i < 20; ++i) ASSERT_TRUE(put(bob, content(i)).ok());
  EXPECT_TRUE(has(alice, content(1)));
  EXPECT_EQ(bob.used_bytes(), 3 * kBlob);
  // Who has nothing of their own to give gets room all the same.
  ContentCache carol = open("carol", 4 * kBlob);
  ASSERT_TRUE(put(carol, content(30)).ok());
  EXPECT_TRUE(has(carol, content(30)));
  EXPECT_LE(alice.used_bytes() + bob.used_bytes() + carol.used_bytes(), 4 * kBlob);
}

TEST_F(Cache, WhatWasLeftUnfinishedIsRemoved) {
  ContentCache cache = open("alice", 100 * kBlob, 2 * kBlob);
  ASSERT_TRUE(put(cache, content(1)).ok());
  const auto left = file_of(content(1)).parent_path() / "new.1.1";
  std::ofstream(left) << std::string(2 * kBlob, 'x');
  used_ago(left, 3600);
  ASSERT_TRUE(put(cache, content(2)).ok());
  EXPECT_FALSE(std::filesystem::exists(left));
  EXPECT_TRUE(has(cache, content(1)) && has(cache, content(2)));
}

TEST_F(Cache, FoldersOfOthersAreRefused) {
  ASSERT_EQ(mkdir((folder_ + "/open").c_str(), 0755), 0);
  EXPECT_EQ(ContentCache::open({folder_ + "/open", "alice"}).status().code(), Code::kPermissionDenied);
  ASSERT_EQ(symlink(folder_.c_str(), (folder_ + "/link").c_str()), 0);
  EXPECT_FALSE(ContentCache::open({folder_ + "/link", "alice"}).ok());
  struct stat info {};
  open("alice");
  ASSERT_EQ(stat((folder_ + "/c").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700u);
}

TEST_F(Cache, ManyProcessesAtOnceNeverReadWhatIsWrongNorHoldTooMuch) {
  constexpr int kProcesses = 4, kRounds = 60;
  constexpr uint64_t kMost = 6 * kBlob;
  open("alice", kMost, kMost);
  for (int process = 0; process < kProcesses; ++process) {
    if (fork() != 0) continue;
    std::mt19937_64 random(static_cast<uint64_t>(process));
    bool good = true;
    ContentCache cache = open("alice", kMost, kMost);
    for (int round = 0; round < kRounds; ++round) {
      const auto bytes = content(random() % 12);
      good = good && put(cache, bytes).ok();
      const auto blob = cache.get(digest_of(bytes));
      // It may have been driven out; what is there is right.
      good = good && blob.ok() &&
             (!*blob ||
              std::equal(bytes.begin(), bytes.end(), (*blob)->bytes().begin(), (*blob)->bytes().end()));
    }
    _exit(good ? 0 : 1);
  }
  for (int process = 0; process < kProcesses; ++process) {
    int status = 0;
    ASSERT_GT(wait(&status), 0);
    EXPECT_EQ(status, 0);
  }
  EXPECT_LE(open("alice", kMost, kMost).used_bytes(), kMost);
}

}  // namespace
}  // namespace tessera::cache
