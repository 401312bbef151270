#include "node/inventory_monitor.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cassert>
#include <cerrno>

namespace tessera::node {
namespace {

constexpr uint64_t kTimeoutNs = 10'000'000'000;  // a first nvmlInit without persistence mode takes seconds
constexpr size_t kMaxAnswerBytes = 512 * 1024;
constexpr size_t kMaxLeaving = 4;

Result<pid_t> spawn_printing_to(int descriptor, const std::vector<std::string>& command) {
  std::vector<char*> arguments;
  arguments.reserve(command.size() + 1);
  for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, descriptor, STDOUT_FILENO);
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

}  // namespace

InventoryMonitor::~InventoryMonitor() {
  loop_.unwatch(watch_);
  if (busy()) leaving_.push_back(child_);
  for (pid_t child : leaving_) kill(child, SIGKILL);
  reap();
}

void InventoryMonitor::reap() {
  // Never waits: SIGKILL does not reach a process that hangs in a driver's system call.
  std::erase_if(leaving_, [](pid_t child) { return waitpid(child, nullptr, WNOHANG) != 0; });
}

void InventoryMonitor::refresh(uint64_t now_ns, Callback done) {
  waiting_.push_back(std::move(done));
  if (busy()) return;
  reap();
  Status started = start(now_ns);
  if (!started.ok()) finish(started);
}

Status InventoryMonitor::start(uint64_t now_ns) {
  if (leaving_.size() >= kMaxLeaving) {
    return Status(Code::kDeadlineExceeded, "the GPU driver hangs: processes that asked it cannot be killed");
  }
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return Status::from_errno(errno, "cannot make a pipe");
  UniqueFd reading(ends[0]);
  UniqueFd writing(ends[1]);
  fcntl(reading.get(), F_SETFL, O_NONBLOCK);
  TESSERA_ASSIGN_OR_RETURN(child_, spawn_printing_to(writing.get(), command_));
  deadline_ns_ = now_ns + kTimeoutNs;
  TESSERA_ASSIGN_OR_RETURN(watch_, loop_.watch(reading.get(), EPOLLIN, [this](uint32_t) { on_readable(); }));
  pipe_ = std::move(reading);
  text_.clear();
  return Status();
}

void InventoryMonitor::on_readable() {
  char buffer[4096];
  for (;;) {
    ssize_t count = read(pipe_.get(), buffer, sizeof buffer);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) return;
    if (count > 0 && text_.size() < kMaxAnswerBytes) {
      text_.append(buffer, static_cast<size_t>(count));
      continue;
    }
    if (count != 0) kill(child_, SIGKILL);
    auto answer = parse_inventory_answer(text_);
    if (answer.ok()) {
      for (Gpu& gpu : answer->gpus)
        gpu.processes_ns = gpu.processes_ns == 0 ? 0 : loop_.when(gpu.processes_ns);
    }
    finish(answer);
    return;
  }
}

void InventoryMonitor::finish(const Result<Inventory>& answer) {
  loop_.unwatch(watch_);
  watch_ = 0;
  pipe_.reset();
  if (child_ != 0) leaving_.push_back(std::exchange(child_, 0));
  reap();
  std::vector<Callback> waiting = std::move(waiting_);
  waiting_.clear();
  for (const Callback& done : waiting) done(answer);
}

void InventoryMonitor::tick(uint64_t now_ns) {
  if (!busy() || now_ns < deadline_ns_) return;
  kill(child_, SIGKILL);
  finish(Status(Code::kDeadlineExceeded, "the GPU driver did not answer within 10 s"));
}

std::optional<uint64_t> InventoryMonitor::next_deadline_ns() const {
  if (!busy()) return std::nullopt;
  return deadline_ns_;
}

}  // namespace tessera::node
