// Our libcuda.so.1 in programs of their own, over the driver double.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <map>
#include <string>

#include "test_daemon.h"

namespace tessera {
namespace {

using Environment = std::map<std::string, std::string>;

struct Output {
  std::string text;  // both streams
  bool has(const std::string& part) const { return text.find(part) != std::string::npos; }
};

Output run_probe(const std::string& scenario, const Environment& extra,
                 const std::string& program = GUEST_PROBE_PATH) {
  Environment environment = {{"LD_LIBRARY_PATH", GUEST_DIR}, {"TESSERA_DRIVER", FAKE_DRIVER_PATH}};
  for (const auto& [name, value] : extra) environment[name] = value;
  std::string command = "env -u CUDA_VISIBLE_DEVICES -u TESSERA_SLICE -u TESSERA_SOCKET";
  for (const auto& [name, value] : environment) command += " '" + name + "=" + value + "'";
  command += std::string(" timeout 20 ") + program + " " + scenario + " 2>&1";
  Output output;
  FILE* pipe = popen(command.c_str(), "r");
  char buffer[512];
  while (fgets(buffer, sizeof buffer, pipe) != nullptr) output.text += buffer;
  int status = pclose(pipe);
  output.text += "exit=" + std::to_string(status) + "\n";
  EXPECT_FALSE(output.has("Sanitizer")) << output.text;  // what it reports of the library is an error of ours
  return output;
}

Environment in_slice(const test::TestDaemon& daemon) {
  return {{"TESSERA_SLICE", daemon.token_text()}, {"TESSERA_SOCKET", daemon.socket_path()}};
}

// Its runtime has to come first in a process, and looks for leaks in a way that raised privileges forbid.
#ifdef __SANITIZE_ADDRESS__
constexpr bool kAddressSanitizer = true;
#else
constexpr bool kAddressSanitizer = false;
#endif

#define EXPECT_HAS(output, part) EXPECT_TRUE((output).has(part)) << (output).text

TEST(Guest, LoadingDoesNothing) {
  test::TestDaemon daemon;
  EXPECT_HAS(run_probe("idle", in_slice(daemon)), "loaded=1 threads=0 files=0");
}

TEST(Guest, WithoutASliceEverythingIsPassedOn) {
  Output output = run_probe("memory", {{"TESSERA_LOG", "info"}});
  EXPECT_HAS(output, "init=0 devices=2 total=85899345920 alloc_1m=0 alloc_100m=0");
  EXPECT_HAS(output, "without limits");
}

TEST(Guest, InASliceItsLimitsHold) {
  test::TestDaemon daemon;
  EXPECT_HAS(run_probe("memory", in_slice(daemon)),
             "init=0 devices=1 total=67108864 alloc_1m=0 alloc_100m=2");
  EXPECT_EQ(daemon.counters().used_bytes, 1u << 20);  // as it was when the program ended
}

TEST(Guest, WhyMemoryIsRefusedIsToldWithoutBeingAskedFor) {
  test::TestDaemon daemon;
  EXPECT_HAS(run_probe("memory", in_slice(daemon)), "warn vgpu: 100MiB of device memory refused: slice ");
}

TEST(Guest, PreloadedItDoesTheSame) {
  if (kAddressSanitizer) GTEST_SKIP() << "its runtime would be preloaded too late";
  test::TestDaemon daemon;
  Environment environment = in_slice(daemon);
  environment["LD_LIBRARY_PATH"] = "";
  environment["LD_PRELOAD"] = std::string(GUEST_DIR) + "/libcuda.so.1";
  EXPECT_HAS(run_probe("memory", environment), "init=0 devices=1 total=67108864 alloc_1m=0 alloc_100m=2");
}

TEST(Guest, TheUsersDeviceListCountsWithinTheSlice) {
  test::TestDaemon daemon({64 << 20, 1 << 20, {"GPU-01000000-0000-0000-0000-000000000000"}});
  Environment environment = in_slice(daemon);
  environment["CUDA_VISIBLE_DEVICES"] = "0";
  EXPECT_HAS(run_probe("memory", environment), "init=0 devices=1 total=67108864");
  environment["CUDA_VISIBLE_DEVICES"] = "1";
  EXPECT_HAS(run_probe("memory", environment), "init=100 devices=0");
}

TEST(Guest, ARefusedTokenFailsCuInitAndNothingIsUnlimited) {
  test::TestDaemon daemon;
  Environment environment = in_slice(daemon);
  environment["TESSERA_SLICE"] = std::string(64, 'b');
  Output output = run_probe("memory", environment);
  EXPECT_HAS(output, "init=802 devices=-1 total=0 alloc_1m=3 alloc_100m=3");
  EXPECT_HAS(output, "no slice has this token");
  environment["TESSERA_SLICE"] = "garbage";
  EXPECT_HAS(run_probe("memory", environment), "init=802");
  environment = in_slice(daemon);
  environment["TESSERA_SOCKET"] = "/nowhere/socket";
  EXPECT_HAS(run_probe("memory", environment), "no tesserad on /nowhere/socket");
}

TEST(Guest, AProgramThatClearsItsEnvironmentStaysInItsSlice) {
  test::TestDaemon daemon;
  EXPECT_HAS(run_probe("cleared", in_slice(daemon)),
             "init=0 devices=1 total=67108864 alloc_1m=0 alloc_100m=2");
}

TEST(Guest, AProgramWithRaisedPrivilegesIsRefusedWhateverItsEnvironmentSays) {
  constexpr uid_t kNobody = 65534;
  if (kAddressSanitizer) GTEST_SKIP() << "its runtime does not end well with raised privileges";
  if (geteuid() != 0) GTEST_SKIP() << "only root can make a program of another user";
  char folder[] = "/tmp/guest_raised.XXXXXX";
  ASSERT_NE(mkdtemp(folder), nullptr);
  const std::string program = std::string(folder) + "/probe";
  std::filesystem::copy_file(GUEST_PROBE_PATH, program);
  ASSERT_EQ(chown(program.c_str(), kNobody, kNobody), 0);
  ASSERT_EQ(chmod(program.c_str(), S_ISUID | 0755), 0);
  ASSERT_EQ(chmod(folder, 0755), 0);
  test::TestDaemon daemon;
  // The loader ignores LD_LIBRARY_PATH there: such a program finds us where an administrator has put us.
  Output output = run_probe(std::string("raised ") + GUEST_DIR + "/libcuda.so.1", in_slice(daemon), program);
  std::filesystem::remove_all(folder);
  if (output.has("secure=0")) GTEST_SKIP() << "/tmp is mounted without set-user-ID";
  EXPECT_HAS(output, "secure=1 init=100 devices=-1 total=0 alloc_1m=100 alloc_100m=100");
  EXPECT_HAS(output, "raised privileges");
  EXPECT_EQ(daemon.connection_count(), 0u);
}

TEST(Guest, WithoutADriverCallsFailWithAReason) {
  Output output = run_probe("memory", {{"TESSERA_DRIVER", "/nowhere/libcuda.so.1"}});
  EXPECT_HAS(output, "init=100");
  EXPECT_HAS(output, "/nowhere/libcuda.so.1: no such file");
  output = run_probe("memory", {{"TESSERA_DRIVER", std::string(GUEST_DIR) + "/libcuda.so.1"}});
  EXPECT_HAS(output, "init=100");
  EXPECT_HAS(output, "own guest library");
}

TEST(Guest, AChildForkedBeforeCuInitHasALeaseOfItsOwn) {
  test::TestDaemon daemon;
  Output output = run_probe("fork-before", in_slice(daemon));
  EXPECT_HAS(output, "child early=3 launch=0 init=0 alloc_60m=0 alloc_10m=2");
  EXPECT_HAS(output, "parent init=0 alloc=0 child_status=0");
}

TEST(Guest, AChildForkedAfterCuInitNeitherUsesNorBreaksItsParentsLease) {
  test::TestDaemon daemon;
  Output output = run_probe("fork-after", in_slice(daemon));
  EXPECT_HAS(output, "child early=3 launch=0 init=0 alloc_60m=0 alloc_10m=2");
  EXPECT_HAS(output, "parent init=0 alloc=0 child_status=0");
}

TEST(Guest, LookUpsGiveTheExportsOfTheAskedForm) {
  test::TestDaemon daemon;
  EXPECT_HAS(run_probe("lookup", in_slice(daemon)), "plain=1 per_thread=1");
}

}  // namespace
}  // namespace tessera
