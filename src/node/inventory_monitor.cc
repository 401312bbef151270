#include "node/inventory_monitor.h"

#include <signal.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <cassert>
#include <cerrno>

namespace tessera::node {
namespace {

constexpr uint64_t kTimeoutNs = 10'000'000'000;  // a first nvmlInit without persistence mode takes seconds
constexpr size_t kMaxAnswerBytes = 512 * 1024;

}  // namespace

InventoryMonitor::~InventoryMonitor() {
  loop_.unwatch(watch_);
  if (busy()) leaving_.add(child_);
  leaving_.kill_all();
  leaving_.reap();
}

void InventoryMonitor::refresh(uint64_t now_ns, Callback done) {
  waiting_.push_back(std::move(done));
  if (busy()) return;
  leaving_.reap();
  Status started = start(now_ns);
  if (!started.ok()) finish(started);
}

Status InventoryMonitor::start(uint64_t now_ns) {
  if (leaving_.full()) {
    return Status(Code::kDeadlineExceeded, "the GPU driver hangs: processes that asked it cannot be killed");
  }
  TESSERA_ASSIGN_OR_RETURN(PrintingChild child, start_printing(command_));
  child_ = child.pid;
  deadline_ns_ = now_ns + kTimeoutNs;
  TESSERA_ASSIGN_OR_RETURN(watch_,
                           loop_.watch(child.output.get(), EPOLLIN, [this](uint32_t) { on_readable(); }));
  pipe_ = std::move(child.output);
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
  if (child_ != 0) leaving_.add(std::exchange(child_, 0));
  leaving_.reap();
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
