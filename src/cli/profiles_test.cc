#include "cli/profiles.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

namespace tessera::cli {
namespace {

class ProfilesTest : public ::testing::Test {
 protected:
  ProfilesTest() {
    char name[] = "/tmp/tessera-profiles-XXXXXX";
    folder_ = mkdtemp(name);
  }
  ~ProfilesTest() override { std::filesystem::remove_all(folder_); }

  std::string file(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ + "/" + name) << text;
    return folder_ + "/" + name;
  }
  // The message, without the folder.
  std::string error(const std::string& text) const {
    auto profile = read_profile({file("c", text)}, "p");
    if (profile.ok()) return "no error";
    std::string message = profile.status().message();
    size_t at = message.find(folder_);
    return at == std::string::npos ? message : message.erase(at, folder_.size() + 1);
  }

  std::string folder_;
};

TEST_F(ProfilesTest, EveryOption) {
  auto profile = read_profile({file("c",
                                    "profiles:\n"
                                    "  other: {mem: broken}\n"
                                    "  p:\n"
                                    "    gpu: [0, 1]\n"
                                    "    mem: [1GiB, 512M]\n"
                                    "    mem-min: 512M\n"
                                    "    mem-weight: 300\n"
                                    "    copy-min: 1GB/s\n"
                                    "    copy-max: 2GB/s\n"
                                    "    sm-cap: true\n"
                                    "    sm: 12.5\n"
                                    "    priority: high\n"
                                    "    weight: 7\n"
                                    "    slo: p99=2ms\n"
                                    "    qos: burstable\n"
                                    "    name: it\n"
                                    "    summary: true\n"
                                    "    json-summary: /a\n"
                                    "    socket: /s\n")},
                              "p");
  ASSERT_TRUE(profile.ok()) << profile.status().message();
  EXPECT_EQ(profile->gpus, (std::vector<std::string>{"0", "1"}));
  EXPECT_EQ(profile->memory, (std::vector<std::string>{"1GiB", "512M"}));
  EXPECT_EQ(profile->qos.copy_min, "1GB/s");
  EXPECT_EQ(profile->qos.copy_max, "2GB/s");
  EXPECT_EQ(profile->compute.share, "12.5");
  EXPECT_TRUE(profile->compute.cap);
  EXPECT_EQ(profile->compute.priority, "high");
  EXPECT_EQ(profile->compute.weight, 7u);
  EXPECT_EQ(profile->qos.min, "512M");
  EXPECT_EQ(profile->qos.weight, 300u);
  EXPECT_EQ(profile->compute.slo, "p99=2ms");
  EXPECT_EQ(profile->compute.qos, "burstable");
  EXPECT_EQ(profile->name, "it");
  EXPECT_EQ(profile->summary, true);
  EXPECT_EQ(profile->json_summary, "/a");
  EXPECT_EQ(profile->socket, "/s");
}

TEST_F(ProfilesTest, TheUsersFileGoesFirst) {
  std::string user = file("user", "profiles: {a: {mem: 1G}}");
  std::string machine = file("machine", "profiles: {a: {mem: 2G}, b: {gpu: '0,1'}}");
  std::string missing = folder_ + "/missing";
  EXPECT_EQ(read_profile({missing, user, machine}, "a")->memory, std::vector<std::string>{"1G"});
  EXPECT_EQ(read_profile({user, machine}, "b")->gpus, std::vector<std::string>{"0,1"});
  EXPECT_EQ(read_profile({user, machine}, "c").status().message(),
            "no profile 'c' in " + user + ", " + machine + "; known: a, b");
  EXPECT_EQ(read_profile({missing}, "c").status().message(),
            "no profile 'c' in " + missing + "; known: none");
}

TEST_F(ProfilesTest, ErrorsNameFileAndLine) {
  EXPECT_EQ(error("profile:\n  p: 1\n"), "c:1: unknown key 'profile'; known: profiles");
  EXPECT_EQ(error("profiles:\n  p:\n    memory: 1G\n"),
            "c:3: unknown option 'memory'; known: copy-max, copy-min, gate-copies, gpu, json-summary, mem, "
            "mem-min, mem-weight, name, priority, qos, slo, sm, sm-cap, sm-mode, socket, summary, weight");
  EXPECT_EQ(error("profiles:\n  p:\n    memory: [1G]\n"),
            "c:3: unknown option 'memory'; known: copy-max, copy-min, gate-copies, gpu, json-summary, mem, "
            "mem-min, mem-weight, name, priority, qos, slo, sm, sm-cap, sm-mode, socket, summary, weight");
  EXPECT_TRUE(error("profiles:\n  p:\n    mem: much\n").starts_with("c:3: mem: "));
  EXPECT_TRUE(error("profiles:\n  p:\n    mem:\n      - 1G\n      - {}\n").starts_with("c:5: mem needs"));
  EXPECT_TRUE(error("profiles:\n  p:\n    gpu: first\n").starts_with("c:3: gpu: 'first' is no index"));
  EXPECT_TRUE(error("profiles:\n  p:\n    name: a b\n").starts_with("c:3: name: "));
  EXPECT_TRUE(error("profiles:\n  p:\n    name: [a]\n").starts_with("c:3: name needs one value"));
  EXPECT_TRUE(error("profiles:\n  p:\n    summary: perhaps\n").starts_with("c:3: summary is true or false"));
  EXPECT_TRUE(error("profiles:\n  p: 3\n").starts_with("c:2: profile 'p' is not a map"));
  EXPECT_TRUE(error("profiles: [p]\n").starts_with("c:1: profiles is not a map"));
  EXPECT_TRUE(error("- p\n").starts_with("c:1: the file is not a map"));
  EXPECT_TRUE(error("profiles:\n  p: {mem: 1G\n").starts_with("c:3: "))
      << error("profiles:\n  p: {mem: 1G\n");
}

TEST_F(ProfilesTest, AnEmptyProfileSetsNothing) {
  auto profile = read_profile({file("c", "profiles:\n  p:\n")}, "p");
  ASSERT_TRUE(profile.ok());
  EXPECT_TRUE(profile->gpus.empty() && profile->memory.empty() && !profile->name && !profile->summary);
}

}  // namespace
}  // namespace tessera::cli
