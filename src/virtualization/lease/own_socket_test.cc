#include "virtualization/lease/own_socket.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

namespace tessera::vgpu {
namespace {

UniqueFd new_socket() { return UniqueFd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)); }

TEST(OwnSocket, ClosesItsDescriptor) {
  int number = -1;
  {
    OwnSocket socket(new_socket());
    number = socket.get();
    EXPECT_TRUE(socket.ours());
    EXPECT_NE(fcntl(number, F_GETFD) & FD_CLOEXEC, 0);
  }
  EXPECT_EQ(fcntl(number, F_GETFD), -1);
}

TEST(OwnSocket, ANumberThatNowNamesAnotherFileIsLeftAlone) {
  UniqueFd other = new_socket();  // of the same kind even
  int number = -1;
  {
    OwnSocket socket(new_socket());
    number = socket.get();
    ASSERT_EQ(dup2(other.get(), number), number);
    EXPECT_FALSE(socket.ours());
  }
  EXPECT_EQ(close(number), 0);
}

TEST(OwnSocket, AClosedNumberIsNobodys) {
  OwnSocket socket(new_socket());
  close(socket.get());
  EXPECT_FALSE(socket.ours());
}

}  // namespace
}  // namespace tessera::vgpu
