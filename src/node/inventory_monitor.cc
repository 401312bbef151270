#include "node/inventory_monitor.h"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace tessera::node {
namespace {

constexpr uint64_t kTimeoutNs = 10'000'000'000;  // a first nvmlInit without persistence mode takes seconds
constexpr size_t kMaxAnswerBytes = 512 * 1024;

}  // namespace

InventoryMonitor::~InventoryMonitor() {
  if (child_ != 0) lose_child(asking_);
  leaving_.kill_all();
  leaving_.reap();
}

void InventoryMonitor::refresh(uint64_t now_ns, Callback done) {
  waiting_.push_back(std::move(done));
  if (asking_) return;
  leaving_.reap();
  const Status asked = ask(now_ns);
  if (!asked.ok()) finish(asked);
}

Status InventoryMonitor::ask(uint64_t now_ns) {
  asking_ = true;
  asked_ns_ = now_ns;
  text_.clear();
  if (child_ != 0 && now_ns - started_ns_ >= kLongestLifeNs) lose_child(false);
  // One that has ended without being seen to takes nothing any more.
  if (child_ != 0 && send(socket_.get(), "\n", 1, MSG_NOSIGNAL) == 1) return Status();
  if (child_ != 0) lose_child(true);
  return start(now_ns);
}

Status InventoryMonitor::start(uint64_t now_ns) {
  if (leaving_.full()) {
    return Status(Code::kDeadlineExceeded, "the GPU driver hangs: processes that asked it cannot be killed");
  }
  TESSERA_ASSIGN_OR_RETURN(AskedChild child, start_asked(command_));
  child_ = child.pid;
  started_ns_ = now_ns;
  has_answered_ = false;
  auto watch = loop_.watch(child.socket.get(), EPOLLIN, [this](uint32_t) { on_readable(); });
  if (!watch.ok()) {
    lose_child(true);
    return watch.status();
  }
  watch_ = *watch;
  socket_ = std::move(child.socket);
  return Status();
}

void InventoryMonitor::on_readable() {
  char buffer[4096];
  for (;;) {
    const ssize_t count = read(socket_.get(), buffer, sizeof buffer);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) return;
    const bool ended = count <= 0;
    if (!ended) text_.append(buffer, static_cast<size_t>(count));
    const size_t end = text_.find('\n');
    if (ended || text_.size() > kMaxAnswerBytes) lose_child(true);
    if (end != std::string::npos) return hear(std::string_view(text_).substr(0, end));
    if (child_ != 0) continue;
    if (!asking_) return;
    // It ended by itself when it was asked again: that says nothing of the driver.
    if (has_answered_ && text_.empty()) {
      const Status started = start(asked_ns_);
      if (!started.ok()) finish(started);
      return;
    }
    return hear(text_);
  }
}

void InventoryMonitor::hear(std::string_view text) {
  has_answered_ = true;
  if (!asking_) return;  // nobody has asked
  auto answer = parse_inventory_answer(text);
  if (answer.ok()) {
    for (Gpu& gpu : answer->gpus) gpu.processes_ns = gpu.processes_ns == 0 ? 0 : loop_.when(gpu.processes_ns);
  }
  finish(answer);
}

// Without force it sees the end of its input, and ends.
void InventoryMonitor::lose_child(bool by_force) {
  if (watch_ != 0) loop_.unwatch(std::exchange(watch_, 0));
  socket_.reset();
  if (by_force) kill(child_, SIGKILL);
  leaving_.add(std::exchange(child_, 0));
  leaving_.reap();
}

void InventoryMonitor::finish(const Result<Inventory>& answer) {
  asking_ = false;
  text_.clear();
  leaving_.reap();
  std::vector<Callback> waiting = std::move(waiting_);
  waiting_.clear();
  for (const Callback& done : waiting) done(answer);
}

void InventoryMonitor::tick(uint64_t now_ns) {
  if (!asking_) {
    if (child_ != 0 && now_ns >= asked_ns_ + kIdleNs) lose_child(false);
    return;
  }
  if (now_ns < asked_ns_ + kTimeoutNs) return;
  if (child_ != 0) lose_child(true);
  finish(Status(Code::kDeadlineExceeded, "the GPU driver did not answer within 10 s"));
}

std::optional<uint64_t> InventoryMonitor::next_deadline_ns() const {
  if (asking_) return asked_ns_ + kTimeoutNs;
  if (child_ != 0) return asked_ns_ + kIdleNs;
  return std::nullopt;
}

}  // namespace tessera::node
