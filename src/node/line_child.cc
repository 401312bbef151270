#include "node/line_child.h"

#include <signal.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "common/log.h"

namespace tessera::node {
namespace {

constexpr uint64_t kSecondNs = 1'000'000'000;
constexpr uint64_t kLongestPauseNs = 60 * kSecondNs;
constexpr uint64_t kLivedLongNs = 60 * kSecondNs;  // after that an end is the first of its kind again

}  // namespace

// It sees the end of its input and ends by itself; what it has been told it still does.
LineChild::~LineChild() {
  if (child_ == 0) return;
  if (output_watch_ != 0) loop_.unwatch(output_watch_);
  loop_.unwatch(input_watch_);
  input_.reset();
  leaving_.add(child_);
  leaving_.reap();
}

void LineChild::start(uint64_t now_ns) {
  wanted_ = true;
  if (child_ == 0) try_to_start(now_ns);
}

void LineChild::try_to_start(uint64_t now_ns) {
  leaving_.reap();
  pause_ns_ = pause_ns_ == 0 ? kSecondNs : std::min(2 * pause_ns_, kLongestPauseNs);
  retry_at_ns_ = now_ns + pause_ns_;
  if (leaving_.full()) return;
  auto child = start_talking(command_);
  if (!child.ok()) {
    LOG_WARN(what_, "cannot be started: %s", child.status().message().c_str());
    return;
  }
  child_ = child->pid;
  started_ns_ = now_ns;
  input_ = std::move(child->input);
  auto watch = loop_.watch(child->output.get(), EPOLLIN, [this](uint32_t) { on_readable(); });
  if (!watch.ok()) {
    LOG_WARN(what_, "cannot be heard: %s", watch.status().message().c_str());
    return lose();
  }
  input_watch_ = *watch;
  output_ = std::move(child->output);
}

bool LineChild::tell(std::string_view line) {
  if (waiting_.size() + line.size() + 1 > kMostWaitingBytes || child_ == 0) {
    ++dropped_;
    if (child_ != 0 && !std::exchange(told_dropping_, true))
      LOG_WARN(what_, "does not keep up: what finds no room is dropped");
    return false;
  }
  waiting_.append(line);
  waiting_ += '\n';
  if (output_watch_ == 0) flush();
  return true;
}

void LineChild::flush() {
  size_t done = 0;
  while (done < waiting_.size()) {
    const ssize_t count = write(input_.get(), waiting_.data() + done, waiting_.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;  // an end shows where it is read
    done += static_cast<size_t>(count);
  }
  waiting_.erase(0, done);
  if (waiting_.empty()) told_dropping_ = false;
  watch_output(!waiting_.empty());
}

void LineChild::watch_output(bool on) {
  if (on == (output_watch_ != 0)) return;
  if (!on) {
    loop_.unwatch(std::exchange(output_watch_, 0));
    return;
  }
  auto watch = loop_.watch(input_.get(), EPOLLOUT, [this](uint32_t) { flush(); });
  if (watch.ok()) output_watch_ = *watch;
}

void LineChild::on_readable() {
  std::array<char, 16 * 1024> buffer;
  for (;;) {
    const ssize_t count = read(output_.get(), buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) return;
    if (count <= 0) return lose();
    heard_.append(buffer.data(), static_cast<size_t>(count));
    for (size_t end = heard_.find('\n'); end != std::string::npos; end = heard_.find('\n')) {
      const std::string line = heard_.substr(0, end);
      heard_.erase(0, end + 1);
      handlers_.heard(line);
    }
    if (heard_.size() > kMostLineBytes) return lose();
  }
}

void LineChild::lose() {
  watch_output(false);
  if (input_watch_ != 0) loop_.unwatch(std::exchange(input_watch_, 0));
  input_.reset();
  output_.reset();
  heard_.clear();
  waiting_.clear();
  kill(child_, SIGKILL);
  leaving_.add(std::exchange(child_, 0));
  LOG_WARN(what_, "has ended; it is started again in %llu s",
           static_cast<unsigned long long>(pause_ns_ / kSecondNs));
  if (handlers_.lost) handlers_.lost();
}

void LineChild::tick(uint64_t now_ns) {
  if (!wanted_) return;
  if (child_ != 0) {
    if (now_ns >= started_ns_ + kLivedLongNs) pause_ns_ = 0;
    return;
  }
  if (now_ns >= retry_at_ns_) try_to_start(now_ns);
}

std::optional<uint64_t> LineChild::next_deadline_ns() const {
  if (!wanted_ || child_ != 0) return std::nullopt;
  return retry_at_ns_;
}

}  // namespace tessera::node
