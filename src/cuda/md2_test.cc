#include "cuda/md2.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace tessera::cuda {
namespace {

std::span<const uint8_t> bytes(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

std::string hex(const Md2Digest& digest) {
  std::string text;
  for (uint8_t byte : digest) {
    text += "0123456789abcdef"[byte >> 4];
    text += "0123456789abcdef"[byte & 15];
  }
  return text;
}

// RFC 1319, appendix A.5.
TEST(Md2, DigestsTheVectorsOfTheRfc) {
  const std::pair<std::string_view, std::string_view> vectors[] = {
      {"", "8350e5a3e24c153df2275c9f80692773"},
      {"a", "32ec01ec4a6dac72c0ab96fb34c0b5d1"},
      {"abc", "da853b0d3f88d99b30283a69e6ded6bb"},
      {"message digest", "ab4f496bfb2a530b219ff33031fe06b0"},
      {"abcdefghijklmnopqrstuvwxyz", "4e8ddff3650292ab5a4108c3aa47940b"},
      {"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", "da33def2a42df13975352846c30338cd"},
      {"12345678901234567890123456789012345678901234567890123456789012345678901234567890",
       "d5976f79d83d3a0dc9806c3c66f3efd8"},
  };
  for (const auto& [text, digest] : vectors) {
    EXPECT_EQ(hex(Md2().update(bytes(text)).finish()), digest) << text;
  }
}

TEST(Md2, DoesNotCareHowTheTextIsCut) {
  const std::string_view text = "12345678901234567890123456789012345678901234567890";
  const auto whole = Md2().update(bytes(text)).finish();
  for (size_t cut = 0; cut <= text.size(); ++cut) {
    EXPECT_EQ(Md2().update(bytes(text.substr(0, cut))).update(bytes(text.substr(cut))).finish(), whole);
  }
}

// RFC 2104, section 2, written out for a key of one block.
TEST(HmacMd2, IsTheHashOfTheHash) {
  const std::string key = "0123456789abcdef";
  std::string inner = key, outer = key;
  for (char& c : inner) c = static_cast<char>(c ^ 0x36);
  for (char& c : outer) c = static_cast<char>(c ^ 0x5c);
  const Md2Digest first = Md2().update(bytes(inner + "what do ya want for nothing?")).finish();
  const Md2Digest second = Md2().update(bytes(outer)).update(first).finish();
  EXPECT_EQ(hmac_md2(bytes(key), bytes("what do ya want for nothing?")), second);
}

TEST(HmacMd2, HashesLongKeysAndPadsShortOnes) {
  const std::string key(40, 'k');
  const Md2Digest hashed = Md2().update(bytes(key)).finish();
  EXPECT_EQ(hmac_md2(bytes(key), bytes("text")), hmac_md2(hashed, bytes("text")));
  EXPECT_EQ(hmac_md2(bytes("k"), bytes("text")), hmac_md2(bytes(std::string_view("k\0", 2)), bytes("text")));
}

}  // namespace
}  // namespace tessera::cuda
