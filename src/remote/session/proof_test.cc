// Digests and proofs against what others say they are.
#include "remote/session/proof.h"

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <string>

namespace tessera::remote {
namespace {

ByteSpan bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }

std::string hex(const Bytes32& bytes) {
  std::string text;
  for (const std::byte byte : bytes) {
    text += "0123456789abcdef"[static_cast<unsigned>(byte) >> 4];
    text += "0123456789abcdef"[static_cast<unsigned>(byte) & 15];
  }
  return text;
}

std::string openssl_hmac(const std::string& key, const std::string& text) {
  Bytes32 proof;
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
       reinterpret_cast<const unsigned char*>(text.data()), text.size(),
       reinterpret_cast<unsigned char*>(proof.data()), nullptr);
  return hex(proof);
}

TEST(Proof, DigestsAreThoseOfTheStandard) {  // FIPS 180-4
  EXPECT_EQ(hex(sha256({})), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(hex(sha256(bytes_of("abc"))), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Proof, AreThoseOfTheStandard) {  // RFC 4231, cases 2 and 6
  EXPECT_EQ(hex(hmac_sha256(bytes_of("Jefe"), bytes_of("what do ya want for nothing?"))),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  EXPECT_EQ(hex(hmac_sha256(bytes_of(std::string(131, '\xaa')),
                            bytes_of("Test Using Larger Than Block-Size Key - Hash Key First"))),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

TEST(Proof, KeysOfEveryLengthAreTakenAsOpensslTakesThem) {
  for (const size_t length : {1, 31, 32, 63, 64, 65, 128, 200}) {
    const std::string key(length, 'k'), text(length * 3, 't');
    EXPECT_EQ(hex(hmac_sha256(bytes_of(key), bytes_of(text))), openssl_hmac(key, text)) << length;
  }
}

}  // namespace
}  // namespace tessera::remote
