#include "node/http_address.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

namespace tessera::node {
namespace {

TEST(HttpAddress, IsAnAddressAndAPort) {
  const HttpAddress v4 = parse_http_address("127.0.0.1:9400").value();
  EXPECT_EQ(v4.text(), "127.0.0.1:9400");
  EXPECT_TRUE(v4.is_loopback);
  EXPECT_EQ(parse_http_address("9400").value().text(), "127.0.0.1:9400");
  const HttpAddress v6 = parse_http_address("[::1]:0").value();
  EXPECT_EQ(v6.text(), "[::1]:0");
  EXPECT_TRUE(v6.is_loopback);
  EXPECT_TRUE(parse_http_address("127.8.9.1:1").value().is_loopback);
  EXPECT_FALSE(parse_http_address("0.0.0.0:80").value().is_loopback);
  EXPECT_FALSE(parse_http_address("[::]:80").value().is_loopback);
  EXPECT_FALSE(parse_http_address("192.168.0.3:80").value().is_loopback);
}

TEST(HttpAddress, AnythingElseIsRefusedByName) {
  for (const char* text :
       {"", ":", ":80", "localhost:80", "::1:80", "[::1]", "[127.0.0.1]:80", "127.0.0.1:65536",
        "127.0.0.1:-1", "127.0.0.1:80x", "127.0.0.1:", "1.2.3:80", "[::1:80", "127.0.0.1:80 "}) {
    const auto parsed = parse_http_address(text);
    ASSERT_FALSE(parsed.ok()) << text;
    EXPECT_NE(parsed.status().message().find("127.0.0.1:9400"), std::string::npos);
  }
}

TEST(HttpHost, OnlyTheLoopbackIsLocal) {
  for (const char* host : {"localhost", "localhost:9400", "127.0.0.1", "127.0.0.1:1", "[::1]", "[::1]:9400"})
    EXPECT_TRUE(is_local_host(host)) << host;
  for (const char* host :
       {"", "example.com", "localhost.example.com", "127.0.0.1.example.com", "10.0.0.1", "[fe80::1]:9400",
        "0.0.0.0", "localhost@example.com", "[", "]", "[]:", "127.0.0.1, example.com"})
    EXPECT_FALSE(is_local_host(host)) << host;
}

TEST(HttpToken, IsReadFromAFileOfItsOwnersAlone) {
  const std::string path = testing::TempDir() + "tessera-token-" + std::to_string(getpid());
  auto write = [&](const std::string& text, mode_t mode) {
    std::ofstream(path) << text;
    chmod(path.c_str(), mode);
  };
  write("0123456789abcdef\n", 0600);
  EXPECT_EQ(read_http_token(path).value(), "0123456789abcdef");
  write("0123456789abcdef\n", 0640);
  EXPECT_EQ(read_http_token(path).status().code(), Code::kPermissionDenied);
  write("0123456789abcde\n", 0600);
  EXPECT_EQ(read_http_token(path).status().code(), Code::kInvalidData);
  write("0123456789 abcdef\n", 0600);
  EXPECT_EQ(read_http_token(path).status().code(), Code::kInvalidData);
  write(std::string(513, 'a'), 0600);
  EXPECT_EQ(read_http_token(path).status().code(), Code::kInvalidData);
  write(std::string(4096, 'a'), 0600);
  EXPECT_FALSE(read_http_token(path).ok());
  std::filesystem::remove(path);
  EXPECT_FALSE(read_http_token(path).ok());
  EXPECT_FALSE(read_http_token("/").ok());
}

TEST(HttpToken, IsCarriedWholeOrNot) {
  EXPECT_TRUE(carries_token("Bearer 0123456789abcdef", "0123456789abcdef"));
  EXPECT_TRUE(carries_token("bearer 0123456789abcdef", "0123456789abcdef"));
  for (const char* text : {"", "Bearer", "Bearer ", "Bearer 0123456789abcdeF", "Bearer 0123456789abcde",
                           "0123456789abcdef", "Basic  0123456789abcdef", "Bearer 0123456789abcdef "})
    EXPECT_FALSE(carries_token(text, "0123456789abcdef")) << text;
}

}  // namespace
}  // namespace tessera::node
