// Programs with several processes. CUDA does not survive a fork: children are made before cuInit.
#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include "../check.h"

namespace check {

// Runs `body` in a process of its own, which must end well.
template <typename Body>
void in_child(const char* what, Body&& body) {
  const pid_t child = fork();
  REQUIRE(child >= 0, "fork failed");
  if (child == 0) {
    body();
    std::exit(0);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child, "waitpid failed");
  if (WIFEXITED(status) && WEXITSTATUS(status) == kSkipExitCode) std::exit(kSkipExitCode);
  REQUIRE(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%s: the child's status is %d", what, status);
}

}  // namespace check
