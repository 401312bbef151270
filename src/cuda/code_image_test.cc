#include "cuda/code_image.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>

namespace tessera::cuda {
namespace {

std::vector<std::byte> fatbin(uint64_t body) {
  std::vector<std::byte> bytes(16 + body);
  const uint32_t magic = 0xba55ed50;
  const uint16_t version = 1, header = 16;
  memcpy(bytes.data(), &magic, 4);
  memcpy(bytes.data() + 4, &version, 2);
  memcpy(bytes.data() + 6, &header, 2);
  memcpy(bytes.data() + 8, &body, 8);
  return bytes;
}

struct Wrapper {
  uint32_t magic = 0x466243b1, version = 1;
  const void* data = nullptr;
  const void* extra = nullptr;
};

TEST(CodeImage, TextEndsWithItsNul) {
  auto found = find_code_image(".version 7.0");
  ASSERT_TRUE(found.ok());
  EXPECT_EQ(found->form, CodeImage::Form::kPlain);
  EXPECT_EQ(found->pieces[0].size(), 13u);
  EXPECT_TRUE(is_whole_code(found->pieces[0]));
  EXPECT_FALSE(is_whole_code(found->pieces[0].first(5)));
}

TEST(CodeImage, AFatBinarySaysItsSize) {
  const auto bytes = fatbin(100);
  auto found = find_code_image(bytes.data());
  ASSERT_TRUE(found.ok());
  EXPECT_EQ(found->pieces[0].size(), 116u);
  EXPECT_TRUE(is_whole_code(found->pieces[0]));
  EXPECT_FALSE(is_whole_code(found->pieces[0].first(115)));
  EXPECT_FALSE(is_whole_code(found->pieces[0].first(8)));
}

TEST(CodeImage, AWrapperIsRebuiltAroundItsPiece) {
  const auto bytes = fatbin(8);
  const Wrapper wrapper{.data = bytes.data()};
  auto found = find_code_image(&wrapper);
  ASSERT_TRUE(found.ok());
  EXPECT_EQ(found->form, CodeImage::Form::kWrapper);
  const RebuiltImage image(*found);
  auto again = find_code_image(image.get());
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->pieces[0].data(), bytes.data());
}

TEST(CodeImage, UnitsOfRelocatableCodeAreEachAPiece) {
  const auto one = fatbin(8), two = fatbin(24);
  const void* units[] = {one.data(), two.data(), nullptr};
  const Wrapper wrapper{.version = 2, .extra = units};
  auto found = find_code_image(&wrapper);
  ASSERT_TRUE(found.ok());
  ASSERT_EQ(found->pieces.size(), 2u);
  const RebuiltImage image(*found);
  auto again = find_code_image(image.get());
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->form, CodeImage::Form::kUnits);
  EXPECT_EQ(again->pieces[1].size(), 40u);
}

TEST(CodeImage, PointersOfAnotherProcessAreNoCode) {
  const Wrapper wrapper;
  EXPECT_FALSE(is_whole_code(std::as_bytes(std::span(&wrapper, 1))));
  EXPECT_FALSE(find_code_image(nullptr).ok());
  EXPECT_FALSE(find_code_image(&wrapper).ok());
}

TEST(CodeImage, AnElfFileReachesToTheEndOfItsTables) {
  std::vector<std::byte> bytes(400);
  memcpy(bytes.data(),
         "\x7f"
         "ELF",
         4);
  const uint64_t sections_at = 200;
  const uint16_t size = 64, count = 3;
  memcpy(bytes.data() + 40, &sections_at, 8);
  memcpy(bytes.data() + 58, &size, 2);
  memcpy(bytes.data() + 60, &count, 2);
  auto found = find_code_image(bytes.data());
  ASSERT_TRUE(found.ok());
  EXPECT_EQ(found->pieces[0].size(), 392u);
  EXPECT_FALSE(is_whole_code(ByteSpan(bytes).first(391)));
}

}  // namespace
}  // namespace tessera::cuda
