#include "common/process_identity.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

namespace tessera {
namespace {

TEST(ProcessIdentity, KnowsTheLivingFromTheDead) {
  EXPECT_TRUE(is_alive(this_process()));
  ProcessIdentity earlier = this_process();
  earlier.start_ticks -= 1;
  EXPECT_FALSE(is_alive(earlier));
}

TEST(ProcessIdentity, AZombieHoldsNothing) {
  pid_t child = fork();
  if (child == 0) {
    pause();
    _exit(0);
  }
  auto identity = identify_process(child);
  ASSERT_TRUE(identity.ok());
  EXPECT_TRUE(is_alive(*identity));
  kill(child, SIGKILL);
  siginfo_t info{};
  waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT);
  EXPECT_FALSE(is_alive(*identity));
  waitpid(child, nullptr, 0);
}

}  // namespace
}  // namespace tessera
