#include "tests/remote/relay/relayed_direction.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

namespace tessera::remote {
namespace {

constexpr size_t kReadBytes = size_t{64} << 10;
constexpr size_t kPacedBytes = size_t{8} << 10;  // with a rate, what leaves at once
constexpr size_t kMostSplitBytes = 16;
constexpr int kReadsAtOnce = 16;
constexpr double kNsPerSecond = 1e9;

bool is_transient(int error) { return error == EAGAIN || error == EWOULDBLOCK || error == EINTR; }

}  // namespace

void RelayedDirection::enqueue(std::string bytes, const Conditions& conditions, uint64_t now_ns) {
  uint64_t leaves_ns = std::max(now_ns + conditions.merge_ns, stalled_ns_);
  if (conditions.bytes_per_second != 0) {
    const double takes =
        static_cast<double>(bytes.size()) * kNsPerSecond / static_cast<double>(conditions.bytes_per_second);
    line_free_ns_ = std::max(line_free_ns_, leaves_ns) + static_cast<uint64_t>(takes);
    leaves_ns = line_free_ns_;
  }
  uint64_t due_ns = leaves_ns + conditions.delay_ns;
  if (conditions.jitter_ns != 0) due_ns += plan_.random()() % conditions.jitter_ns;
  last_due_ns_ = std::max(last_due_ns_, due_ns);
  queued_ += bytes.size();
  chunks_.push_back({last_due_ns_, std::move(bytes)});
}

void RelayedDirection::enqueue_end(Outcome end, uint64_t now_ns) {
  read_ended_ = true;
  last_due_ns_ = std::max(last_due_ns_, now_ns);
  chunks_.push_back({last_due_ns_, "", 0, end});
}

RelayedDirection::Outcome RelayedDirection::read(int from, const Conditions& conditions, uint64_t now_ns) {
  std::string buffer;
  for (int i = 0; i < kReadsAtOnce && wants_more(); ++i) {
    buffer.resize(conditions.bytes_per_second != 0 ? kPacedBytes : kReadBytes);
    const ssize_t count = recv(from, buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (count < 0 && is_transient(errno)) return Outcome::kGoesOn;
    if (count <= 0) {
      enqueue_end(count == 0 ? Outcome::kEnded : Outcome::kReset, now_ns + conditions.delay_ns);
      return Outcome::kGoesOn;
    }
    buffer.resize(static_cast<size_t>(count));
    bytes_ += static_cast<uint64_t>(count);
    for (size_t done = 0; done < buffer.size();) {
      uint64_t after = 0;
      const Fault fault = plan_.next(buffer.size() - done, &after);
      if (fault == Fault::kNone) break;
      done += after;
      if (fault == Fault::kCorrupt)
        buffer[done] = static_cast<char>(buffer[done] ^ (1 << (plan_.random()() % 8)));
      if (fault == Fault::kStall) stalled_ns_ = now_ns + conditions.stall_ns;
      if (fault != Fault::kReset && fault != Fault::kDrop) continue;
      buffer.resize(done);
      if (!buffer.empty()) enqueue(std::move(buffer), conditions, now_ns);
      enqueue_end(fault == Fault::kReset ? Outcome::kReset : Outcome::kDropped, now_ns);
      return Outcome::kGoesOn;
    }
    enqueue(std::move(buffer), conditions, now_ns);
    buffer = std::string();
  }
  return Outcome::kGoesOn;
}

RelayedDirection::Outcome RelayedDirection::write(int to, const Conditions& conditions, uint64_t now_ns) {
  blocked_ = false;
  while (!chunks_.empty() && chunks_.front().due_ns <= now_ns) {
    Chunk& chunk = chunks_.front();
    while (chunk.sent < chunk.bytes.size()) {
      size_t count = chunk.bytes.size() - chunk.sent;
      if (conditions.split) count = std::min<size_t>(count, 1 + plan_.random()() % kMostSplitBytes);
      const ssize_t sent = send(to, chunk.bytes.data() + chunk.sent, count, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (sent < 0 && is_transient(errno)) {
        blocked_ = true;
        return Outcome::kGoesOn;
      }
      if (sent < 0) return Outcome::kReset;
      chunk.sent += static_cast<size_t>(sent);
    }
    queued_ -= chunk.bytes.size();
    const Outcome then = chunk.then;
    chunks_.pop_front();
    if (then != Outcome::kGoesOn) return then;
  }
  return Outcome::kGoesOn;
}

}  // namespace tessera::remote
