#include "cli/identity_file.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

namespace tessera::cli {
namespace {

class IdentityFile : public testing::Test {
 protected:
  IdentityFile() {
    char name[] = "/tmp/tessera-identities-XXXXXX";
    folder_ = mkdtemp(name);
    write("alice.token", "a token of thirty-two characters\n", 0600);
  }
  ~IdentityFile() override { std::filesystem::remove_all(folder_); }

  std::string write(const std::string& name, const std::string& text, mode_t mode = 0600) {
    const std::string path = folder_ + "/" + name;
    std::ofstream(path) << text;
    chmod(path.c_str(), mode);
    return path;
  }
  // What is wrong with it.
  std::string wrong(const std::string& text) {
    KnownIdentities known;
    const Status status = read_identities(write("file", text), known);
    return status.ok() ? "nothing" : status.message().substr(folder_.size());
  }

  std::string folder_;
};

TEST_F(IdentityFile, SaysWhoMayWhat) {
  KnownIdentities known;
  const Status status = read_identities(write("file", R"(
identities:
  alice:
    token-file: alice.token
    sessions: 4
    rate: 2.5
    gpu: [0, 1]
    mem: 2GiB
    sm: 25
    priority: low
    weight: 50
    download: 1Gbit
    upload-guaranteed: 80Mbit
    link-weight: 300
  bob:
    certificate: [bob.example, bob]
)"),
                                        known);
  ASSERT_TRUE(status.ok()) << status.message();
  const remote::Identity* const alice = known.identities.with_token("alice");
  ASSERT_NE(alice, nullptr);
  EXPECT_EQ(alice->token, "a token of thirty-two characters");
  EXPECT_EQ(alice->sessions, 4u);
  EXPECT_EQ(alice->connections_per_second, 2.5);
  const SessionLimits& limits = known.limits.at("alice");
  EXPECT_EQ(limits.gpus, (std::vector<uint32_t>{0, 1}));
  EXPECT_EQ(limits.memory_bytes, uint64_t{2} << 30);
  EXPECT_EQ(limits.share_permille, 250u);
  EXPECT_EQ(limits.priority, scheduling::PriorityClass::kLow);
  EXPECT_EQ(limits.weight, 50u);
  const remote::BandwidthTerms& bandwidth = known.bandwidth.at("alice");
  EXPECT_EQ(bandwidth.download, (RateTerms{0, 125'000'000, 300}));
  EXPECT_EQ(bandwidth.upload, (RateTerms{10'000'000, UINT64_MAX, 300}));
  EXPECT_FALSE(known.bandwidth.contains("bob"));
  EXPECT_EQ(known.identities.with_certificate("bob")->name, "bob");
  EXPECT_FALSE(known.limits.at("bob").memory_bytes);
}

TEST_F(IdentityFile, SaysWhereItIsWrong) {
  write("open.token", "a token of thirty-two characters", 0644);
  write("short.token", "secret");
  EXPECT_EQ(wrong("- x"), "/file:1: the file has one key: identities");
  EXPECT_EQ(wrong("people: {}"), "/file:1: unknown key 'people'; known: identities");
  EXPECT_NE(wrong("identities:\n  a: 5").find("/file:2: 'a' is not a map"), std::string::npos);
  EXPECT_NE(wrong("identities:\n  a:\n    mem: 2GiB").find("needs a token-file or a certificate"),
            std::string::npos);
  EXPECT_NE(wrong("identities:\n  a:\n    token-file: open.token").find("chmod 600"), std::string::npos);
  EXPECT_NE(wrong("identities:\n  a:\n    token-file: short.token").find("can be guessed"),
            std::string::npos);
  EXPECT_NE(wrong("identities:\n  a:\n    token-file: none.token").find("none.token"), std::string::npos);
  EXPECT_NE(wrong("identities: {a: {certificate: c}, b: {certificate: c}}").find("two identities"),
            std::string::npos);
  EXPECT_NE(wrong("identities:\n  a:\n    colour: red").find("/file:3: unknown option 'colour'; known:"),
            std::string::npos);
  for (const char* option :
       {"sessions: 0", "sessions: x", "rate: 0", "rate: -1", "rate: x", "mem: 2XB", "sm: 101",
        "priority: first", "weight: 0", "weight: x", "gpu: x", "gpu: [[0]]", "mem: [1GiB, 2GiB]",
        "download: fast", "upload: 1", "link-weight: 0", "downloads: 1Gbit", "token-file: {}"}) {
    EXPECT_NE(wrong(std::string("identities:\n  a:\n    ") + option).find("/file:3: "), std::string::npos)
        << option << ": " << wrong(std::string("identities:\n  a:\n    ") + option);
  }
  EXPECT_NE(wrong("identities: {").find("/file:"), std::string::npos);
}

TEST_F(IdentityFile, ATokenAloneIsAnIdentity) {
  KnownIdentities known;
  ASSERT_TRUE(add_token_file(folder_ + "/alice.token", known).ok());
  EXPECT_EQ(known.identities.with_token("")->name, "default");
  EXPECT_FALSE(add_token_file(write("two.token", "one line\nanother line of it"), known).ok());
}

}  // namespace
}  // namespace tessera::cli
