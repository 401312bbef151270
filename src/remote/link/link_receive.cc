// The receiving side of a link.
#include <algorithm>
#include <cstring>

#include "common/clock.h"
#include "remote/link/crc32c.h"
#include "remote/link/link.h"

namespace tessera::remote {
namespace {

constexpr size_t kWorthDirect = 4096;  // bytes that are better received right where they are wanted

Status malformed(const char* what) { return Status::error(Code::kInvalidData, "a frame is wrong: %s", what); }
// An altered frame: the connection is not to be trusted, the stream behind it is whole.
Status altered() { return Status(Code::kUnavailable, "a frame was altered on its way"); }

}  // namespace

Status Link::take_header(const LinkFrame& header) {
  switch (static_cast<FrameType>(header.type)) {
    case FrameType::kStart:
      if (peer_start_.load() != 0) return malformed("a second start");
      if (is_first_ && header.value != 0)
        return malformed("something has arrived before the first connection");
      peer_start_.store(header.value + 1, std::memory_order_release);
      break;
    case FrameType::kData:
      if (header.value != arrived_) return malformed("not the bytes that come next");
      if (header.length == 0) return malformed("no bytes");
      frame_left_ = header.length;
      says_when_had_ = header.say_when_received != 0;
      return Status();
    case FrameType::kAck:
      if (header.value < peer_has_.load()) return malformed("an acknowledgement taken back");
      peer_has_.store(header.value, std::memory_order_release);
      break;
    case FrameType::kPing:
      pong_due_.store(header.value == 0 ? 1 : header.value);
      break;
    case FrameType::kPong:
      round_trip_ns_.store(monotonic_ns() - std::min(monotonic_ns(), header.value),
                           std::memory_order_relaxed);
      break;
    case FrameType::kEnd:
      return Status(Code::kFailedPrecondition, "the other side has ended the session");
    default:
      return malformed("unknown type");
  }
  news_.fetch_add(1, std::memory_order_release);
  news_.notify_all();
  return header.type == static_cast<uint8_t>(FrameType::kPing) ? write_control() : Status();
}

// Headers at the start of raw_, up to the next payload. A checked frame counts once all of it is there.
Status Link::take_headers() {
  while (frame_left_ == 0 && raw_end_ - raw_begin_ >= sizeof(LinkFrame)) {
    LinkFrame header;
    memcpy(&header, raw_.get() + raw_begin_, sizeof header);
    const bool is_data = header.type == static_cast<uint8_t>(FrameType::kData);
    if (header.length > (options_.checked ? kMaxCheckedFrameBytes : kMaxFrameBytes)) {
      return options_.checked ? altered() : malformed("too long");
    }
    if (!is_data && header.length != 0) return options_.checked ? altered() : malformed("a length");
    if (options_.checked) {
      if (raw_end_ - raw_begin_ < sizeof header + header.length) return Status();
      const uint32_t said = std::exchange(header.checksum, 0);
      uint32_t sum = crc32c(0, std::as_bytes(std::span(&header, 1)));
      sum = crc32c(sum, {raw_.get() + raw_begin_ + sizeof header, header.length});
      if (sum != said) return altered();
    }
    raw_begin_ += sizeof header;
    TESSERA_RETURN_IF_ERROR(take_header(header));
  }
  return Status();
}

// Whatever the connection has, without waiting, at most `most` bytes.
Status Link::fill_raw(size_t most) {
  if (raw_begin_ == raw_end_) raw_begin_ = raw_end_ = 0;
  if (raw_begin_ > 0 && kRawBytes - raw_end_ < kRawBytes / 2) {
    memmove(raw_.get(), raw_.get() + raw_begin_, raw_end_ - raw_begin_);
    raw_end_ -= raw_begin_;
    raw_begin_ = 0;
  }
  const auto room = std::span(raw_.get(), kRawBytes).subspan(raw_end_);
  TESSERA_ASSIGN_OR_RETURN(const size_t came, transport()->receive(room.first(std::min(room.size(), most))));
  raw_end_ += came;
  if (came > 0) heard_ns_.store(monotonic_ns(), std::memory_order_relaxed);
  return Status();
}

// Bytes of the stream that are there, at most space.size(): how many, 0 if none are yet.
Result<size_t> Link::next_bytes(std::span<std::byte> space) {
  TESSERA_RETURN_IF_ERROR(take_headers());
  if (frame_left_ == 0 || raw_begin_ == raw_end_) {
    const bool is_direct = frame_left_ >= kWorthDirect && space.size() >= kWorthDirect && !options_.checked;
    if (is_direct) {
      TESSERA_ASSIGN_OR_RETURN(const size_t came,
                               transport()->receive(space.first(std::min(space.size(), frame_left_))));
      if (came > 0) heard_ns_.store(monotonic_ns(), std::memory_order_relaxed);
      frame_left_ -= came;
      arrived_ += came;
      if (frame_left_ == 0 && says_when_had_) early_say_at_ = arrived_;
      is_amid_bulk_ = true;
      return came;
    }
    // Amid payloads the next header is wanted, and what follows it right where it belongs.
    const bool is_bulk = !options_.checked && (space.size() >= kWorthDirect || is_amid_bulk_);
    is_amid_bulk_ = false;
    TESSERA_RETURN_IF_ERROR(fill_raw(is_bulk ? kWorthDirect : kRawBytes));
    TESSERA_RETURN_IF_ERROR(take_headers());
  }
  const size_t taken = std::min({space.size(), frame_left_, raw_end_ - raw_begin_});
  if (taken == 0) return taken;
  memcpy(space.data(), raw_.get() + raw_begin_, taken);
  raw_begin_ += taken;
  frame_left_ -= taken;
  arrived_ += taken;
  if (frame_left_ == 0 && says_when_had_) early_say_at_ = arrived_;
  return taken;
}

// Keeps what has arrived for later readers. The peer sends no more than the window.
Status Link::store_early() {
  if (early_begin_ == early_.size()) {
    early_.clear();
    early_begin_ = 0;
  }
  for (;;) {
    const size_t before = early_.size();
    if (before - early_begin_ > options_.window_bytes + kMaxFrameBytes)
      return malformed("more than the window");
    early_.resize(before + kMaxCheckedFrameBytes);
    auto came = next_bytes(std::span(early_).subspan(before));
    early_.resize(before + (came.ok() ? *came : 0));
    if (!came.ok()) return came.status();
    if (*came == 0) return Status();
  }
}

// A reader has had `bytes` more: the peer learns of it now and then, and where it has asked for it.
void Link::consumed(size_t bytes) {
  const uint64_t had = had_.load(std::memory_order_relaxed) + bytes;
  had_.store(had, std::memory_order_release);
  const bool is_asked = early_say_at_ != 0 && had >= early_say_at_;
  if (!is_asked && had - acknowledged_.load(std::memory_order_relaxed) < options_.window_bytes / 16) return;
  if (is_asked) early_say_at_ = 0;
  (void)write_control();  // a broken connection shows at the next read
}

// Pings after a third of the silence that is allowed; beyond it the connection counts as broken.
Status Link::tend_silence() {
  const uint64_t now = monotonic_ns();
  const uint64_t heard = heard_ns_.load(std::memory_order_relaxed);
  const uint64_t silent = now - std::min(now, heard);
  const auto limit = static_cast<uint64_t>(options_.silence_limit.count());
  if (silent > limit) {
    return Status::error(Code::kDeadlineExceeded, "nothing was heard for %.1f s",
                         static_cast<double>(silent) / 1e9);
  }
  if (silent < limit / 3 || now - pinged_ns_.load() < limit / 3) return Status();
  pinged_ns_.store(now);
  {
    Sending sending(sending_);
    if (data_left_ == 0) put_control(FrameType::kPing, now);
  }
  return write_control();
}

Status Link::wait_readable(std::chrono::nanoseconds limit, bool* is_readable) {
  bool has_control = false;
  {
    Sending sending(sending_);
    // On a new connection what the peer has not got of the old one is sent again as soon as it says what that
    // is: nobody else may be about to send.
    const bool begins = !has_started_ && peer_start_.load(std::memory_order_acquire) != 0;
    has_control = begins || (control_written_ < control_.size() && data_left_ == 0);
  }
  if (has_control) TESSERA_RETURN_IF_ERROR(write_control());
  unsigned wanted = Transport::kReadable;
  {
    Sending sending(sending_);
    if (data_left_ > 0 || control_written_ < control_.size()) wanted |= Transport::kWritable;
  }
  TESSERA_ASSIGN_OR_RETURN(const unsigned ready, transport()->wait(wanted, limit));
  if ((ready & Transport::kWritable) != 0) TESSERA_RETURN_IF_ERROR(write_control());
  *is_readable = (ready & Transport::kReadable) != 0;
  return ready != 0 ? Status() : tend_silence();
}

void Link::tell_others() {
  if (waiting_for_news_.load() == 0) return;
  news_.fetch_add(1, std::memory_order_release);
  news_.notify_all();
}

namespace {

// Runs at the end of its scope: declared before a lock, after that is let go of.
template <typename Action>
struct AtEnd {
  Action action;
  ~AtEnd() { action(); }
};
template <typename Action>
AtEnd(Action) -> AtEnd<Action>;

}  // namespace

Status Link::read(std::span<std::byte> space) {
  const AtEnd others{[this] { tell_others(); }};
  std::unique_lock<std::mutex> receiving(receiving_);
  uint64_t spin_until = 0;
  while (!space.empty()) {
    if (const size_t early = std::min(space.size(), early_.size() - early_begin_); early > 0) {
      memcpy(space.data(), early_.data() + early_begin_, early);
      early_begin_ += early;
      space = space.subspan(early);
      consumed(early);
      continue;
    }
    if (is_over_.load(std::memory_order_acquire)) return failure();
    const uint64_t generation = generation_.load();
    auto came = next_bytes(space);
    Status status = came.ok() ? Status() : came.status();
    if (status.ok() && *came > 0) {
      space = space.subspan(*came);
      consumed(*came);
      spin_until = 0;
      continue;
    }
    if (status.ok()) {
      const uint64_t now = options_.spin.count() > 0 ? monotonic_ns() : 0;
      if (now != 0 && spin_until == 0) spin_until = now + static_cast<uint64_t>(options_.spin.count());
      if (now != 0 && now < spin_until) continue;
      bool is_readable = false;
      status = wait_readable(std::chrono::seconds(1), &is_readable);
    }
    if (!status.ok()) TESSERA_RETURN_IF_ERROR(recover(generation, status, true));
  }
  return Status();
}

Result<bool> Link::readable(std::chrono::nanoseconds limit) {
  const AtEnd others{[this] { tell_others(); }};
  std::unique_lock<std::mutex> receiving(receiving_, std::try_to_lock);
  if (!receiving.owns_lock()) return false;  // a reader sees to it
  if (early_begin_ < early_.size()) return true;
  if (is_over_.load(std::memory_order_acquire)) return failure();
  const uint64_t generation = generation_.load();
  bool is_readable = false;
  Status status = wait_readable(limit, &is_readable);
  if (status.ok() && is_readable) status = store_early();
  if (!status.ok()) TESSERA_RETURN_IF_ERROR(recover(generation, status, true));
  return early_begin_ < early_.size();
}

}  // namespace tessera::remote
