#include "remote/worker/content_in.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <cstring>
#include <filesystem>

namespace tessera::remote {
namespace {

class Content : public testing::Test {
 protected:
  Content() {
    char name[] = "/tmp/tessera-content-XXXXXX";
    folder_ = mkdtemp(name);
    cache_.emplace(cache::ContentCache::open({folder_ + "/c", "alice"}).value());
    for (size_t i = 0; i < bytes_.size(); ++i) bytes_[i] = static_cast<std::byte>(i * 7 + i / 251);
  }
  ~Content() override { std::filesystem::remove_all(folder_); }

  Status announce(uint64_t bytes, uint64_t follows, cache::ContentCache* cache) {
    const ContentFields fields{cache::digest_of(bytes_), bytes, follows};
    return content_.announce(std::as_bytes(std::span(&fields, 1)), cache);
  }
  Status announce(uint64_t follows) { return announce(bytes_.size(), follows, &*cache_); }

  std::string folder_;
  std::optional<cache::ContentCache> cache_;
  std::vector<std::byte> bytes_ = std::vector<std::byte>(100'003);
  ContentIn content_;
};

TEST_F(Content, WhatHasComeIsThereWhenItIsNamed) {
  ASSERT_TRUE(announce(0).ok());
  EXPECT_TRUE(content_.is_named() && content_.is_missing());
  EXPECT_TRUE(content_.served().ok());
  ASSERT_TRUE(announce(1).ok());
  EXPECT_FALSE(content_.is_named());
  const ByteSpan all(bytes_);
  content_.arrived(all.first(60'000));
  content_.arrived(all.subspan(60'000));
  const std::byte padding[5] = {};
  content_.arrived(padding);
  ASSERT_TRUE(announce(0).ok());
  ASSERT_FALSE(content_.is_missing());
  std::vector<std::byte> found(100'008, std::byte{1});
  ASSERT_TRUE(content_.read(std::span(found).first(8)).ok());
  ASSERT_TRUE(content_.read(std::span(found).subspan(8)).ok());
  EXPECT_EQ(memcmp(found.data(), bytes_.data(), bytes_.size()), 0);
  for (size_t i = bytes_.size(); i < found.size(); ++i) EXPECT_EQ(found[i], std::byte{0});
  EXPECT_FALSE(content_.read(std::span(found).first(1)).ok()) << "there is no more";
  EXPECT_TRUE(content_.served().ok());
}

TEST_F(Content, AMessageHasToWantExactlyWhatItNames) {
  ASSERT_TRUE(announce(1).ok());
  content_.arrived(bytes_);
  ASSERT_TRUE(announce(0).ok());
  std::byte some[8];
  ASSERT_TRUE(content_.read(some).ok());
  EXPECT_FALSE(content_.served().ok());
  EXPECT_FALSE(content_.is_named());
}

TEST_F(Content, SomethingElseIsNotKept) {
  ASSERT_TRUE(announce(1).ok());
  std::vector<std::byte> other = bytes_;
  other[99] ^= std::byte{1};
  content_.arrived(other);
  EXPECT_EQ(cache_->used_bytes(), 0u);
  // Its name with another length is another thing.
  ASSERT_TRUE(announce(1).ok());
  content_.arrived(bytes_);
  ASSERT_TRUE(announce(bytes_.size() - 1, 0, &*cache_).ok());
  EXPECT_TRUE(content_.is_missing());
}

TEST_F(Content, WithoutACacheNothingIsThere) {
  ASSERT_TRUE(announce(bytes_.size(), 1, nullptr).ok());
  content_.arrived(bytes_);
  ASSERT_TRUE(announce(bytes_.size(), 0, nullptr).ok());
  EXPECT_TRUE(content_.is_missing());
}

TEST_F(Content, HostileAnnouncementsAreRefused) {
  EXPECT_FALSE(announce(2).ok());
  EXPECT_FALSE(announce(UINT64_MAX, 0, &*cache_).ok());
  EXPECT_FALSE(content_.announce(ByteSpan(bytes_).first(47), &*cache_).ok());
  EXPECT_FALSE(content_.announce(ByteSpan(bytes_).first(56), &*cache_).ok());
  // Too much to be kept is no reason to end a session.
  EXPECT_TRUE(announce(uint64_t{1} << 30, 1, &*cache_).ok());
  content_.arrived(bytes_);
  // One at a time.
  ASSERT_TRUE(announce(0).ok());
  EXPECT_FALSE(announce(0).ok());
}

}  // namespace
}  // namespace tessera::remote
