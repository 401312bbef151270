// tesserad: the node daemon. What it does is in Daemon; this is the process around it.
#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "common/log.h"
#include "common/short_slice.h"
#include "node/command_line.h"
#include "node/daemon.h"
#include "node/history_keeper.h"
#include "node/instance.h"
#include "node/runtime_path.h"
#include "node/version.h"

namespace tessera::node {
namespace {

constexpr int kExitFailure = 1;
constexpr int kExitRunsAlready = 3;
constexpr rlim_t kDescriptorsWanted = 8192;  // a socket and a pidfd per process, and some
constexpr off_t kMaxLogBytes = 4 * 1024 * 1024;
constexpr uint64_t kNsPerSecond = 1'000'000'000;

int fail(const Status& status) {
  fprintf(stderr, "tesserad: %s\n", status.message().c_str());
  return status.code() == Code::kAlreadyExists ? kExitRunsAlready : kExitFailure;
}

void raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= kDescriptorsWanted) return;
  limit.rlim_cur = std::min(limit.rlim_max, kDescriptorsWanted);
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0) LOG_WARN("daemon", "cannot raise the limit of open files");
}

// Standard error into "<socket>.log", the rest to nowhere; the terminal is not ours any more.
Status leave_terminal(const std::string& socket) {
  std::string path = socket + ".log";
  UniqueFd log(open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600));
  UniqueFd nowhere(open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!log || !nowhere) return Status::from_errno(errno, "cannot open %s", path.c_str());
  struct stat info {};
  if (fstat(log.get(), &info) == 0 && info.st_size > kMaxLogBytes && ftruncate(log.get(), 0) != 0) {
    return Status::from_errno(errno, "cannot empty %s", path.c_str());
  }
  if (dup2(nowhere.get(), STDIN_FILENO) < 0 || dup2(nowhere.get(), STDOUT_FILENO) < 0 ||
      dup2(log.get(), STDERR_FILENO) < 0) {
    return Status::from_errno(errno, "cannot redirect the standard files");
  }
  return Status();
}

// Forks; the parent stays until the child is ready to serve (a byte in the pipe) or has failed, and ends with
// that.
UniqueFd go_to_background() {
  // Whoever started us may wait for the end of a pipe that we have inherited.
  close_range(STDERR_FILENO + 1, ~0U, 0);
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) exit(fail(Status::from_errno(errno, "cannot make a pipe")));
  pid_t child = fork();
  if (child < 0) exit(fail(Status::from_errno(errno, "cannot fork")));
  if (child == 0) {
    close(ends[0]);
    setsid();
    return UniqueFd(ends[1]);
  }
  close(ends[1]);
  char ready = 0;
  ssize_t count;
  do {
    count = read(ends[0], &ready, 1);
  } while (count < 0 && errno == EINTR);
  if (count == 1) _exit(0);
  int status = 0;
  waitpid(child, &status, 0);
  _exit(WIFEXITED(status) ? WEXITSTATUS(status) : kExitFailure);
}

Status serve(Daemon& daemon) {
  sigset_t ending;
  sigemptyset(&ending);
  for (int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&ending, signal);
  sigprocmask(SIG_BLOCK, &ending, nullptr);
  UniqueFd signals(signalfd(-1, &ending, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals) return Status::from_errno(errno, "cannot make a signalfd");
  bool asked_to_end = false;
  TESSERA_ASSIGN_OR_RETURN(
      auto watch, daemon.loop().watch(signals.get(), EPOLLIN, [&](uint32_t) { asked_to_end = true; }));
  Status status;
  while (status.ok() && !asked_to_end && !daemon.idle_too_long()) status = daemon.step(std::nullopt);
  daemon.loop().unwatch(watch);
  LOG_INFO("daemon", "%s", asked_to_end ? "ends: asked to" : "ends: nothing to do");
  return status;
}

MonitorOptions monitor_options(const CommandLine& options) {
  MonitorOptions monitor;
  if (!options.history.empty())
    monitor.history_command = {"/proc/self/exe", "--keep-history", "--history", options.history};
  monitor.history_file = options.history;
  monitor.rules = options.rules;
  if (options.webhook.url.empty()) return monitor;
  monitor.webhook_command = {"/proc/self/exe", "--send-webhooks", "--alert-webhook", options.webhook.url};
  if (!options.webhook_secret_file.empty())
    monitor.webhook_command.insert(monitor.webhook_command.end(),
                                   {"--alert-secret", options.webhook_secret_file});
  return monitor;
}

Status run(const CommandLine& options, UniqueFd ready) {
  TESSERA_RETURN_IF_ERROR(prepare_socket_folder(options.socket));
  TESSERA_ASSIGN_OR_RETURN(InstanceLock lock, InstanceLock::take(options.socket));
  DaemonOptions daemon_options;
  daemon_options.inventory_command = {"/proc/self/exe", "--tell-inventory"};
  daemon_options.xid_command = {"/proc/self/exe", "--print-xids"};
  daemon_options.journal = options.socket + ".journal";
  daemon_options.idle_exit_ns = options.idle_exit_s * 1'000'000'000;
  daemon_options.refuse_faulty = options.refuse_faulty;
  daemon_options.scheduling = options.scheduling;
  daemon_options.packing = options.packing;
  daemon_options.co_execution = options.co_execution;
  daemon_options.overcommit_permille = options.overcommit_permille;
  daemon_options.counts_needs = options.counts_needs;
  daemon_options.working_set_window_ns = options.working_set_window_s * kNsPerSecond;
  daemon_options.residence_round_ns = options.residence_round_s * kNsPerSecond;
  daemon_options.swap = options.swap;
  daemon_options.swap_host_bytes = options.swap_host_bytes;
  daemon_options.use_mps = options.use_mps;
  daemon_options.round_policy = options.round_policy;
  daemon_options.http = options.http;
  daemon_options.monitor = monitor_options(options);
  Result<Machine> machine = Machine::read();
  if (machine.ok()) {
    daemon_options.machine = std::move(machine).value();
  } else {
    LOG_WARN("daemon", "nothing is placed near GPUs: %s", machine.status().message().c_str());
  }
  TESSERA_ASSIGN_OR_RETURN(UniqueFd listener, listen_on(options.socket));
  TESSERA_ASSIGN_OR_RETURN(auto daemon, Daemon::create(std::move(listener), std::move(daemon_options)));
  TESSERA_RETURN_IF_ERROR(daemon->start());
  if (ready) {
    TESSERA_RETURN_IF_ERROR(leave_terminal(options.socket));
    if (write(ready.get(), "r", 1) != 1) return Status::from_errno(errno, "the starter is gone");
    ready.reset();
  }
  LOG_INFO("daemon", "tesserad %s serves %s", kVersion, options.socket.c_str());
  if (daemon->http() != nullptr)
    LOG_INFO("daemon", "HTTP on http://%s", daemon->http()->address().text().c_str());
  ask_for_short_slices();
  Status status = serve(*daemon);
  daemon->end();
  if (unlink(options.socket.c_str()) != 0) LOG_WARN("daemon", "cannot remove %s", options.socket.c_str());
  return status;
}

int daemon_main(int argc, char** argv) {
  log_init("tesserad", "TESSERA_LOG");
  CommandLine options;
  if (auto code = parse_command_line(argc, argv, options)) return *code;
  if (options.print_inventory) {
    puts(inventory_answer_text(read_inventory()).c_str());
    return 0;
  }
  if (options.tell_inventory) return tell_inventory(stdin, stdout);
  if (options.print_xids) {
    const Status printed = print_xids(stdout);
    return printed.ok() ? 0 : fail(printed);
  }
  if (options.keep_history) return keep_history(options.history, stdin, stdout);
  if (options.send_webhooks) return send_webhooks(options.webhook, stdin, stdout);
  if (options.socket.front() != '/') {
    char folder[PATH_MAX];
    if (getcwd(folder, sizeof folder) == nullptr) return fail(Status::from_errno(errno, "no current folder"));
    options.socket = std::string(folder) + "/" + options.socket;
  }
  signal(SIGPIPE, SIG_IGN);
  raise_descriptor_limit();
  UniqueFd ready;
  if (!options.foreground) {
    ready = go_to_background();
    if (chdir("/") != 0) return fail(Status::from_errno(errno, "cannot go to /"));
  }
  Status status = run(options, std::move(ready));
  return status.ok() ? 0 : fail(status);
}

}  // namespace
}  // namespace tessera::node

int main(int argc, char** argv) { return tessera::node::daemon_main(argc, argv); }
