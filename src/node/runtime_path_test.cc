#include "node/runtime_path.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "node/instance.h"
#include "node/socket.h"

namespace tessera::node {
namespace {

class RuntimePathTest : public ::testing::Test {
 protected:
  RuntimePathTest() {
    char name[] = "/tmp/tessera-test-XXXXXX";
    folder_ = mkdtemp(name);
    unsetenv("TESSERA_SOCKET");
    setenv("XDG_RUNTIME_DIR", folder_.c_str(), 1);
  }
  ~RuntimePathTest() override {
    unsetenv("XDG_RUNTIME_DIR");
    std::filesystem::remove_all(folder_);
  }

  std::string folder_;
};

TEST_F(RuntimePathTest, DefaultFolderIsMadeForUsAlone) {
  std::string path = default_socket_path();
  EXPECT_EQ(path, folder_ + "/tessera/tesserad.sock");
  ASSERT_TRUE(prepare_socket_folder(path).ok());
  struct stat info {};
  ASSERT_EQ(stat((folder_ + "/tessera").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0700U);
  ASSERT_EQ(chmod((folder_ + "/tessera").c_str(), 0755), 0);
  EXPECT_EQ(prepare_socket_folder(path).code(), Code::kPermissionDenied);
}

TEST_F(RuntimePathTest, SymbolicLinksAreRefused) {
  ASSERT_EQ(symlink("/tmp", (folder_ + "/tessera").c_str()), 0);
  EXPECT_EQ(prepare_socket_folder(default_socket_path()).code(), Code::kPermissionDenied);
}

TEST_F(RuntimePathTest, AStickyFolderWillDoWhereNamed) {
  EXPECT_TRUE(prepare_socket_folder("/tmp/any.sock").ok());
  EXPECT_FALSE(prepare_socket_folder(folder_ + "/missing/any.sock").ok());
}

TEST_F(RuntimePathTest, OneInstancePerSocket) {
  std::string path = folder_ + "/s";
  auto first = InstanceLock::take(path);
  ASSERT_TRUE(first.ok());
  auto second = InstanceLock::take(path);
  EXPECT_EQ(second.status().code(), Code::kAlreadyExists);
  EXPECT_NE(second.status().message().find(std::to_string(getpid())), std::string::npos);
}

TEST_F(RuntimePathTest, SocketIsPrivateAndReplacesAStaleOne) {
  std::string path = folder_ + "/s";
  { ASSERT_TRUE(listen_on(path).ok()); }
  EXPECT_EQ(connect_to(path).status().code(), Code::kUnavailable);
  auto listener = listen_on(path);
  ASSERT_TRUE(listener.ok()) << listener.status().message();
  struct stat info {};
  ASSERT_EQ(stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
  auto client = connect_to(path);
  ASSERT_TRUE(client.ok());
  EXPECT_EQ(peer_of(client->get())->pid, getpid());
}

}  // namespace
}  // namespace tessera::node
