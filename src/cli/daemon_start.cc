#include "cli/daemon_start.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "cli/installation.h"
#include "common/clock.h"
#include "common/strings.h"

namespace tessera::cli {
namespace {

constexpr const char* kIdleExitSeconds = "30";
constexpr int kExitRunsAlready = 3;  // tesserad's, when another start was faster
constexpr uint64_t kStartTimeoutNs = 20'000'000'000;

// The daemon serves all slices, so it must not take itself for a process of the slice it was started from.
std::vector<char*> daemon_environment() {
  std::vector<char*> environment;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    if (strncmp(*entry, "TESSERA_SLICE=", 14) != 0) environment.push_back(*entry);
  }
  environment.push_back(nullptr);
  return environment;
}

// What the daemon printed on its way to the background: nothing unless it failed.
std::string read_to_end(int descriptor) {
  std::string text;
  char buffer[1024];
  for (;;) {
    ssize_t count = read(descriptor, buffer, sizeof buffer);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return text;
    if (text.size() < 16 * sizeof buffer) text.append(buffer, static_cast<size_t>(count));
  }
}

Status start_daemon(const std::string& socket) {
  TESSERA_ASSIGN_OR_RETURN(std::string program, find_daemon());
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return Status::from_errno(errno, "cannot make a pipe");
  UniqueFd reading(ends[0]);
  UniqueFd writing(ends[1]);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, writing.get(), STDERR_FILENO);
  const char* arguments[] = {program.c_str(), "--socket",       socket.c_str(),
                             "--idle-exit",   kIdleExitSeconds, nullptr};
  pid_t child = 0;
  int error = posix_spawn(&child, program.c_str(), &actions, nullptr, const_cast<char**>(arguments),
                          daemon_environment().data());
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return Status::from_errno(error, "cannot start %s", program.c_str());
  writing.reset();
  std::string complaint = read_to_end(reading.get());
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status) && (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == kExitRunsAlready)) {
    return Status();
  }
  return Status::error(Code::kUnavailable, "tesserad did not start: %s",
                       complaint.empty() ? "it said nothing" : std::string(trim(complaint)).c_str());
}

}  // namespace

Result<node::ControlClient> connect_or_start(const std::string& socket) {
  uint64_t deadline_ns = monotonic_ns() + kStartTimeoutNs;
  for (;;) {
    auto client = node::ControlClient::connect(socket);
    if (client.ok() || client.status().code() != Code::kUnavailable) return client;
    if (monotonic_ns() >= deadline_ns) return client;
    // A daemon that another command is starting holds the lock but may not listen yet; one that is ending may
    // still hold it. Both are a matter of moments.
    TESSERA_RETURN_IF_ERROR(start_daemon(socket));
    usleep(10'000);
  }
}

}  // namespace tessera::cli
