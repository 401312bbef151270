// The sending side of a link.
#include <algorithm>
#include <array>
#include <cstring>

#include "common/clock.h"
#include "remote/link/crc32c.h"
#include "remote/link/link.h"

namespace tessera::remote {
namespace {

constexpr size_t kPieces = 60;  // of one write; a transport takes 64
constexpr std::chrono::milliseconds kLook(50);

}  // namespace

void Link::Sender::append(ByteSpan bytes) {
  while (!bytes.empty()) {
    const size_t part = std::min(bytes.size(), SendQueue::kBlockBytes);
    memcpy(room(part), bytes.data(), part);
    append(part);
    bytes = bytes.subspan(part);
  }
}

uint64_t Link::Sender::append_borrowed(ByteSpan bytes) {
  link_.queue_.append_borrowed(bytes);
  link_.wanted_ = link_.queue_.appended();
  return link_.wanted_;
}

void Link::put_control(FrameType type, uint64_t value) {
  LinkFrame header;
  header.type = static_cast<uint8_t>(type);
  header.value = value;
  if (options_.checked) header.checksum = crc32c(0, std::as_bytes(std::span(&header, 1)));
  const auto bytes = std::as_bytes(std::span(&header, 1));
  control_.insert(control_.end(), bytes.begin(), bytes.end());
}

uint64_t Link::window_left() const {
  const uint64_t under_way =
      queue_.sent() - std::min(queue_.sent(), peer_has_.load(std::memory_order_acquire));
  return options_.window_bytes - std::min(options_.window_bytes, under_way);
}

void Link::put_data_header() {
  std::array<iovec, kPieces> pieces;
  const size_t limit =
      std::min<uint64_t>(options_.checked ? kMaxCheckedFrameBytes : kMaxFrameBytes, window_left());
  const SendQueue::Pieces found = queue_.unsent(pieces, limit);
  if (found.bytes == 0) return;
  LinkFrame header;
  header.type = static_cast<uint8_t>(FrameType::kData);
  header.length = static_cast<uint32_t>(found.bytes);
  header.value = queue_.sent();
  header.say_when_received = queue_.sent() < wanted_ && queue_.sent() + found.bytes >= wanted_ ? 1 : 0;
  if (options_.checked) {
    uint32_t sum = crc32c(0, std::as_bytes(std::span(&header, 1)));
    for (size_t i = 0; i < found.count; ++i) {
      sum = crc32c(sum, {static_cast<const std::byte*>(pieces[i].iov_base), pieces[i].iov_len});
    }
    header.checksum = sum;
  }
  const auto bytes = std::as_bytes(std::span(&header, 1));
  control_.insert(control_.end(), bytes.begin(), bytes.end());
  data_left_ = found.bytes;
}

// What the receiving side has heard.
void Link::apply_news() {
  if (!has_started_) {
    const uint64_t start = peer_start_.load(std::memory_order_acquire);
    if (start == 0) return;
    if (!queue_.mark_received(start - 1)) {
      (void)fail(Status(Code::kInvalidData, "the peer says that it has received what was never sent"));
      return;
    }
    queue_.rewind();
    has_started_ = true;
  }
  if (!is_resumable()) return;
  const uint64_t has = peer_has_.load(std::memory_order_acquire);
  if (has > queue_.received() && !queue_.mark_received(has)) {
    (void)fail(Status(Code::kInvalidData, "the peer acknowledges what was never sent"));
  }
}

// Between two frames: which come next.
void Link::begin_frames() {
  if (data_left_ > 0) return;
  if (control_written_ == control_.size()) {
    control_.clear();
    control_written_ = 0;
  }
  if (const uint64_t had = had_.load(std::memory_order_acquire); had > acknowledged_.load() && has_started_) {
    put_control(FrameType::kAck, had);
    acknowledged_.store(had, std::memory_order_relaxed);
  }
  if (const uint64_t value = pong_due_.exchange(0); value != 0) put_control(FrameType::kPong, value);
  if (has_started_) put_data_header();
}

Result<size_t> Link::write_some() {
  std::array<iovec, kPieces + 1> pieces;
  size_t count = 0;
  const size_t control = control_.size() - control_written_;
  if (control > 0) pieces[count++] = {control_.data() + control_written_, control};
  if (data_left_ > 0) {
    count += queue_.unsent(std::span(pieces).subspan(count, kPieces), data_left_).count;
  }
  if (count == 0) return size_t{0};
  TESSERA_ASSIGN_OR_RETURN(const size_t taken, transport()->send(std::span(pieces).first(count)));
  if (taken == 0) return taken;
  sends_.fetch_add(1, std::memory_order_relaxed);
  const size_t of_control = std::min(taken, control);
  control_written_ += of_control;
  const size_t of_data = taken - of_control;
  data_left_ -= of_data;
  queue_.mark_sent(of_data);
  sent_total_.fetch_add(of_data, std::memory_order_relaxed);
  // Nobody will ask for it again.
  if (!is_resumable() && !queue_.mark_received(queue_.sent())) {
    return Status(Code::kInternal, "the queue of sent bytes is out of step");
  }
  return taken;
}

// Control frames that are due, as far as they go without waiting.
Status Link::write_control() {
  Sending sending(sending_);
  if (is_over_.load(std::memory_order_acquire)) return failure();
  apply_news();
  for (;;) {
    begin_frames();
    TESSERA_ASSIGN_OR_RETURN(const size_t taken, write_some());
    if (taken == 0) return Status();
  }
}

// With the receiving side held.
Status Link::look_after_receiving(bool wants_writable) {
  const auto connection = transport();
  const unsigned wanted = Transport::kReadable | (wants_writable ? Transport::kWritable : 0U);
  TESSERA_ASSIGN_OR_RETURN(const unsigned ready, connection->wait(wanted, kLook));
  if ((ready & Transport::kReadable) != 0) TESSERA_RETURN_IF_ERROR(store_early());
  return tend_silence();
}

// Lets go of the sending side until something has changed. Whoever finds the receiving side free looks after
// it, as the peer may be waiting for us to read before it reads. One thread waits for room at the connection,
// whose news of it is one thread's to take, and tells the others. `news`: their count when the caller looked
// at them last.
Status Link::wait_for_room(Sending& sending, uint32_t news, bool wants_writable) {
  sending.unlock();
  Status status;
  std::unique_lock<std::mutex> writable(waiting_to_write_, std::defer_lock);
  std::unique_lock<std::mutex> receiving(receiving_, std::defer_lock);
  const auto has_part = [&] {
    if (wants_writable && !writable.try_lock()) return false;
    return receiving.try_lock() || wants_writable;
  };
  if (!has_part()) {
    // Whoever lets go of a part looks whether somebody waits, after it has: one of us sees the other.
    waiting_for_news_.fetch_add(1);
    if (!has_part()) news_.wait(news, std::memory_order_acquire);
    waiting_for_news_.fetch_sub(1);
  }
  if (receiving.owns_lock()) {
    status = look_after_receiving(writable.owns_lock());
    receiving.unlock();
  } else if (writable.owns_lock()) {
    auto ready = transport()->wait(Transport::kWritable, kLook);
    if (!ready.ok()) status = ready.status();
  }
  if (writable.owns_lock()) writable.unlock();
  tell_others();
  sending.lock();
  return status;
}

Status Link::flush() {
  Sending sending(sending_);
  return flush(sending);
}

Status Link::flush(Sending& sending) {
  for (;;) {
    if (is_over_.load(std::memory_order_acquire)) return failure();
    const uint64_t generation = generation_.load();
    const uint32_t news = news_.load(std::memory_order_acquire);
    apply_news();
    begin_frames();
    const bool has_bytes = data_left_ > 0 || control_written_ < control_.size();
    if (!has_bytes && queue_.sent() == queue_.appended()) return Status();
    auto taken = has_bytes ? write_some() : Result<size_t>(size_t{0});
    if (taken.ok() && *taken > 0) continue;
    Status status = taken.ok() ? wait_for_room(sending, news, has_bytes) : taken.status();
    if (!status.ok()) {
      sending.unlock();
      status = recover(generation, status, false);
      sending.lock();
      if (!status.ok()) return status;
    }
  }
}

Status Link::wait_taken(uint64_t offset) {
  Sending sending(sending_);
  for (;;) {
    const uint32_t news = news_.load(std::memory_order_acquire);
    TESSERA_RETURN_IF_ERROR(flush(sending));
    if (queue_.received() >= offset) return Status();
    const uint64_t generation = generation_.load();
    Status status = wait_for_room(sending, news, false);
    if (!status.ok()) {
      sending.unlock();
      status = recover(generation, status, false);
      sending.lock();
      TESSERA_RETURN_IF_ERROR(status);
    }
  }
}

}  // namespace tessera::remote
