#include "node/xid_monitor.h"

#include <signal.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "common/log.h"

namespace tessera::node {
namespace {

constexpr uint64_t kSecondNs = 1'000'000'000;
constexpr uint64_t kLongestPauseNs = 60 * kSecondNs;
constexpr uint64_t kLivedLongNs = 60 * kSecondNs;  // after that an end is the first of its kind again
constexpr size_t kMaxLineBytes = 256;

}  // namespace

XidMonitor::~XidMonitor() {
  if (child_ != 0) lose_child();
}

void XidMonitor::start(uint64_t now_ns) {
  if (wanted_ || command_.empty()) return;
  wanted_ = true;
  try_to_start(now_ns);
}

void XidMonitor::try_to_start(uint64_t now_ns) {
  leaving_.reap();
  pause_ns_ = pause_ns_ == 0 ? kSecondNs : std::min(2 * pause_ns_, kLongestPauseNs);
  retry_at_ns_ = now_ns + pause_ns_;
  if (leaving_.full()) return;
  auto child = start_printing(command_);
  if (!child.ok()) {
    LOG_WARN("health", "XIDs are not heard: %s", child.status().message().c_str());
    return;
  }
  child_ = child->pid;
  started_ns_ = now_ns;
  auto watch = loop_.watch(child->output.get(), EPOLLIN, [this](uint32_t) { on_readable(); });
  if (!watch.ok()) {
    LOG_WARN("health", "XIDs are not heard: %s", watch.status().message().c_str());
    return lose_child();
  }
  watch_ = *watch;
  pipe_ = std::move(child->output);
}

void XidMonitor::on_readable() {
  char buffer[1024];
  for (;;) {
    const ssize_t count = read(pipe_.get(), buffer, sizeof buffer);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) return;
    if (count <= 0) return lose_child();
    text_.append(buffer, static_cast<size_t>(count));
    hear_lines();
    if (text_.size() > kMaxLineBytes) return lose_child();
  }
}

void XidMonitor::hear_lines() {
  for (size_t end = text_.find('\n'); end != std::string::npos; end = text_.find('\n')) {
    const std::string line = text_.substr(0, end);
    text_.erase(0, end + 1);
    if (const auto event = parse_xid_event(line)) {
      heard_(*event);
    } else if (line.starts_with(kXidRemark)) {
      LOG_INFO("health", "XIDs: %s", line.c_str() + 1);
    } else {
      LOG_WARN("health", "XIDs: '%s' is not understood", line.c_str());
    }
  }
}

// Its end is seen when its pipe's is, so it is not there for long; SIGKILL for those that have only closed
// it.
void XidMonitor::lose_child() {
  if (watch_ != 0) loop_.unwatch(watch_);
  watch_ = 0;
  pipe_.reset();
  text_.clear();
  kill(child_, SIGKILL);
  leaving_.add(std::exchange(child_, 0));
}

void XidMonitor::tick(uint64_t now_ns) {
  if (!wanted_) return;
  if (child_ != 0) {
    if (now_ns >= started_ns_ + kLivedLongNs) pause_ns_ = 0;
    return;
  }
  if (now_ns >= retry_at_ns_) try_to_start(now_ns);
}

std::optional<uint64_t> XidMonitor::next_deadline_ns() const {
  if (!wanted_ || child_ != 0) return std::nullopt;
  return retry_at_ns_;
}

}  // namespace tessera::node
