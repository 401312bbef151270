#include "remote/transport/address.h"

#include <gtest/gtest.h>

namespace tessera::remote {
namespace {

TEST(Address, EveryFormIsRead) {
  EXPECT_EQ(*parse_address("box:7070"), (Address{Flavour::kTcp, "box", 7070, ""}));
  EXPECT_EQ(*parse_address("tcp://10.0.0.1:1"), (Address{Flavour::kTcp, "10.0.0.1", 1, ""}));
  EXPECT_EQ(*parse_address("tls://gpu-box.example:65535"),
            (Address{Flavour::kTls, "gpu-box.example", 65535, ""}));
  EXPECT_EQ(*parse_address("[::1]:7070"), (Address{Flavour::kTcp, "::1", 7070, ""}));
  EXPECT_EQ(*parse_address("tls://[fe80::1%eth0]:7070"), (Address{Flavour::kTls, "fe80::1%eth0", 7070, ""}));
  EXPECT_EQ(*parse_address("shm:/run/gpu.sock"), (Address{Flavour::kShm, "", 0, "/run/gpu.sock"}));
  EXPECT_EQ(*parse_address("unix:/run/gpu.sock"), (Address{Flavour::kUnix, "", 0, "/run/gpu.sock"}));
}

TEST(Address, WhatIsWrittenIsReadAgain) {
  for (const char* text : {"tcp://box:7070", "tls://[::1]:7070", "shm:/a", "unix:/b/c"})
    EXPECT_EQ(to_text(*parse_address(text)), text);
}

TEST(Address, WhatIsWrongIsSaid) {
  const std::pair<const char*, const char*> cases[] = {
      {"box", "no port"},
      {"", "no port"},
      {":7070", "no host"},
      {"box:", "a port is"},
      {"box:0", "a port is"},
      {"box:65536", "a port is"},
      {"box:0x10", "a port is"},
      {"box:-1", "a port is"},
      {"::1:7070", "brackets"},
      {"[::1", "no ']'"},
      {"[5%]:9", "only an IPv6 address"},
      {"[::1]7070", "no port"},
      {"a b:7070", "no host"},
      {"http://box:7070", "brackets"},
      {"shm:relative", "begins with /"},
      {"unix:", "begins with /"},
  };
  for (const auto& [text, what] : cases) {
    const auto address = parse_address(text);
    ASSERT_FALSE(address.ok()) << text;
    EXPECT_EQ(address.status().code(), Code::kInvalidArgument);
    EXPECT_NE(address.status().message().find(what), std::string::npos) << address.status().message();
  }
  EXPECT_FALSE(parse_address("shm:/" + std::string(107, 'x')).ok());
  EXPECT_FALSE(parse_address(std::string(300, 'x') + ":1").ok());
}

TEST(Address, AnyPortIsForListening) {
  EXPECT_FALSE(parse_address("127.0.0.1:0").ok());
  EXPECT_EQ(parse_address("127.0.0.1:0", Purpose::kListen)->port, 0);
}

TEST(Address, ListsAreBounded) {
  const auto two = parse_addresses("a:1, tls://b:2");
  ASSERT_TRUE(two.ok());
  ASSERT_EQ(two->size(), 2u);
  EXPECT_EQ((*two)[1].flavour, Flavour::kTls);
  EXPECT_FALSE(parse_addresses("a:1,").ok());
  std::string many = "a:1";
  for (int i = 0; i < 64; ++i) many += ",a:1";
  EXPECT_FALSE(parse_addresses(many).ok());
}

}  // namespace
}  // namespace tessera::remote
