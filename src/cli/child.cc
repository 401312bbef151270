#include "cli/child.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "common/fd.h"
#include "common/strings.h"

namespace tessera::cli {
namespace {

constexpr int kRegainPauseMs = 1'000;
constexpr int kForwarded[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2};

std::vector<std::string> candidates_for(const std::string& name) {
  if (name.find('/') != std::string::npos) return {name};
  std::vector<std::string> candidates;
  std::string path = env_or("PATH", "/usr/local/bin:/usr/bin:/bin");
  for (std::string_view folder : split(path, ':')) {
    candidates.push_back((folder.empty() ? "." : std::string(folder)) + "/" + name);
  }
  return candidates;
}

Status check_not_privileged(const std::string& path, const struct stat& info) {
  bool other_user = (info.st_mode & S_ISUID) != 0 && info.st_uid != geteuid();
  bool other_group = (info.st_mode & S_ISGID) != 0 && info.st_gid != getegid();
  bool capabilities = geteuid() != 0 && getxattr(path.c_str(), "security.capability", nullptr, 0) > 0;
  if (!other_user && !other_group && !capabilities) return Status();
  return Status::error(Code::kPermissionDenied,
                       "%s %s: the loader ignores LD_LIBRARY_PATH there, so it would run outside its slice",
                       path.c_str(),
                       capabilities ? "has file capabilities" : "is set-user-ID or set-group-ID");
}

[[noreturn]] void become(const Program& program,
                         const std::vector<std::pair<std::string, std::string>>& environment,
                         const sigset_t& mask, int failure) {
  for (const auto& [name, value] : environment) setenv(name.c_str(), value.c_str(), 1);
  std::vector<char*> arguments;
  arguments.reserve(program.arguments.size() + 1);
  for (const std::string& argument : program.arguments) {
    arguments.push_back(const_cast<char*>(argument.c_str()));
  }
  arguments.push_back(nullptr);
  sigprocmask(SIG_SETMASK, &mask, nullptr);
  execvp(program.path.c_str(), arguments.data());
  int error = errno;
  [[maybe_unused]] ssize_t written = write(failure, &error, sizeof error);
  _exit(kExitNotExecutable);
}

// 0 once the program runs, else why it could not be executed.
int wait_for_exec(int descriptor) {
  int error = 0;
  ssize_t count;
  do {
    count = read(descriptor, &error, sizeof error);
  } while (count < 0 && errno == EINTR);
  return count == static_cast<ssize_t>(sizeof error) ? error : 0;
}

void forward_signals(int signals, pid_t child) {
  signalfd_siginfo info{};
  while (read(signals, &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
    // What the terminal sends (SI_KERNEL) goes to the whole process group: the child has had it.
    bool sent_to_us = info.ssi_code <= 0;
    auto number = static_cast<int>(info.ssi_signo);
    if (number != SIGCHLD && sent_to_us) kill(child, number);
  }
}

ChildResult wait_to_end(pid_t child, int signals, const DaemonWatch& watch) {
  int daemon = watch.connection;
  for (;;) {
    int status = 0;
    if (waitpid(child, &status, WNOHANG) == child) {
      if (WIFSIGNALED(status)) return {128 + WTERMSIG(status), WTERMSIG(status)};
      return {WEXITSTATUS(status), 0};
    }
    pollfd entries[] = {{signals, POLLIN, 0}, {daemon, POLLIN, 0}};  // a negative descriptor is passed over
    if (poll(entries, 2, daemon < 0 && watch.regain ? kRegainPauseMs : -1) < 0) continue;
    if ((entries[0].revents & POLLIN) != 0) forward_signals(signals, child);
    if (daemon < 0) {
      if (watch.regain) daemon = watch.regain();
    } else if (entries[1].revents != 0) {
      daemon = -1;
      watch.gone();
    }
  }
}

}  // namespace

std::pair<Result<std::string>, int> find_program(const std::string& name) {
  Status why = Status::error(Code::kNotFound, "%s: no such program", name.c_str());
  int code = kExitNotFound;
  for (const std::string& path : candidates_for(name)) {
    struct stat info {};
    if (stat(path.c_str(), &info) != 0) {
      if (errno == ENOENT || errno == ENOTDIR) continue;
      why = Status::from_errno(errno, "%s", path.c_str());
      code = kExitNotExecutable;
      continue;
    }
    if (!S_ISREG(info.st_mode) || access(path.c_str(), X_OK) != 0) {
      why = Status::error(Code::kPermissionDenied, "%s is not an executable file", path.c_str());
      code = kExitNotExecutable;
      continue;
    }
    Status allowed = check_not_privileged(path, info);
    if (!allowed.ok()) return {allowed, kExitNotExecutable};
    return {path, 0};
  }
  return {why, code};
}

Result<ChildResult> run_child(const Program& program,
                              const std::vector<std::pair<std::string, std::string>>& environment,
                              const DaemonWatch& daemon) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return Status::from_errno(errno, "cannot make a pipe");
  UniqueFd reading(ends[0]);
  UniqueFd writing(ends[1]);
  sigset_t watched;
  sigemptyset(&watched);
  sigaddset(&watched, SIGCHLD);
  for (int number : kForwarded) sigaddset(&watched, number);
  sigset_t before;
  // An ignored SIGCHLD, inherited from a careless parent, would let the child vanish without its status.
  signal(SIGCHLD, SIG_DFL);
  sigprocmask(SIG_BLOCK, &watched, &before);
  UniqueFd signals(signalfd(-1, &watched, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals) return Status::from_errno(errno, "cannot make a signalfd");
  pid_t child = fork();
  if (child < 0) return Status::from_errno(errno, "cannot fork");
  if (child == 0) become(program, environment, before, writing.get());
  writing.reset();
  if (int error = wait_for_exec(reading.get())) {
    waitpid(child, nullptr, 0);
    return Status::from_errno(error, "cannot execute %s", program.path.c_str());
  }
  return wait_to_end(child, signals.get(), daemon);
}

}  // namespace tessera::cli
