#include "node/child_process.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

namespace tessera::node {
namespace {

// `input` below 0: it has this process's.
Result<pid_t> spawn(int input, int output, const std::vector<std::string>& command) {
  std::vector<char*> arguments;
  arguments.reserve(command.size() + 1);
  for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  if (input >= 0) posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);  // the daemon blocks the signals it reads from its signalfd
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  pid_t child = 0;
  int error = posix_spawn(&child, arguments[0], &actions, &attributes, arguments.data(), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return Status::from_errno(error, "cannot start %s", arguments[0]);
  return child;
}

struct Pipe {
  UniqueFd reading, writing;
};

Result<Pipe> make_pipe() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return Status::from_errno(errno, "cannot make a pipe");
  return Pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

}  // namespace

Result<PrintingChild> start_printing(const std::vector<std::string>& command) {
  TESSERA_ASSIGN_OR_RETURN(Pipe pipe, make_pipe());
  fcntl(pipe.reading.get(), F_SETFL, O_NONBLOCK);
  TESSERA_ASSIGN_OR_RETURN(pid_t pid, spawn(-1, pipe.writing.get(), command));
  return PrintingChild{pid, std::move(pipe.reading)};
}

Result<TalkingChild> start_talking(const std::vector<std::string>& command) {
  TESSERA_ASSIGN_OR_RETURN(Pipe told, make_pipe());
  TESSERA_ASSIGN_OR_RETURN(Pipe tells, make_pipe());
  fcntl(told.writing.get(), F_SETFL, O_NONBLOCK);
  fcntl(tells.reading.get(), F_SETFL, O_NONBLOCK);
  TESSERA_ASSIGN_OR_RETURN(pid_t pid, spawn(told.reading.get(), tells.writing.get(), command));
  return TalkingChild{pid, std::move(told.writing), std::move(tells.reading)};
}

Result<AskedChild> start_asked(const std::vector<std::string>& command) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
    return Status::from_errno(errno, "cannot make a socket");
  UniqueFd ours(ends[0]), its(ends[1]);
  fcntl(ours.get(), F_SETFL, O_NONBLOCK);
  TESSERA_ASSIGN_OR_RETURN(pid_t pid, spawn(its.get(), its.get(), command));
  return AskedChild{pid, std::move(ours)};
}

void LeavingChildren::reap() {
  std::erase_if(children_, [](pid_t child) { return waitpid(child, nullptr, WNOHANG) != 0; });
}

void LeavingChildren::kill_all() {
  for (pid_t child : children_) kill(child, SIGKILL);
}

}  // namespace tessera::node
