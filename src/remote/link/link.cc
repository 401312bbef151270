#include "remote/link/link.h"

#include <ctime>

#include "common/clock.h"
#include "remote/link/crc32c.h"

namespace tessera::remote {
namespace {

constexpr int kMostInVain = 16;

}  // namespace

Link::Link(std::unique_ptr<Transport> transport, LinkOptions options) : options_(std::move(options)) {
  adopt(std::move(transport), true);
}

Link::~Link() = default;

std::shared_ptr<Transport> Link::transport() const {
  std::lock_guard lock(transport_lock_);
  return transport_;
}

Status Link::failure() const {
  std::lock_guard lock(transport_lock_);
  return failure_;
}

Status Link::fail(const Status& why) {
  {
    std::lock_guard lock(transport_lock_);
    if (failure_.ok()) failure_ = why;
    if (transport_ != nullptr) transport_->shutdown();
  }
  is_over_.store(true, std::memory_order_release);
  news_.fetch_add(1, std::memory_order_release);
  news_.notify_all();
  return failure();
}

// Both sides are held, or nobody else has the link yet.
void Link::adopt(std::unique_ptr<Transport> transport, bool is_first) {
  {
    std::lock_guard lock(transport_lock_);
    transport_ = std::move(transport);
  }
  raw_begin_ = raw_end_ = 0;
  frame_left_ = 0;
  control_.clear();
  control_written_ = 0;
  data_left_ = 0;
  // Of the first connection each side knows that nothing has come through before: neither waits to be told.
  has_started_ = is_first_ = is_first;
  peer_start_.store(0);
  heard_ns_.store(monotonic_ns());
  pinged_ns_.store(0);
  put_control(FrameType::kStart, arrived_);
}

Status Link::recover(uint64_t generation, const Status& broken, bool holds_receiving) {
  std::unique_lock<std::mutex> receiving(receiving_, std::defer_lock);
  // A reader holds its side while it waits: it is woken by the end of the connection, unless it has another
  // already.
  while (!holds_receiving && !receiving.try_lock()) {
    if (is_over_.load(std::memory_order_acquire)) return failure();
    if (generation_.load() != generation) return Status();
    transport()->shutdown();
    const timespec pause{0, 200'000};
    nanosleep(&pause, nullptr);
  }
  Sending sending(sending_);
  if (is_over_.load(std::memory_order_acquire)) return failure();
  if (generation_.load() != generation) return Status();  // somebody else has
  const bool may_be_replaced =
      broken.code() == Code::kUnavailable || broken.code() == Code::kDeadlineExceeded;  // broken, or silent
  if (!may_be_replaced || !is_resumable()) return fail(broken);
  const uint64_t progress = arrived_ + peer_has_.load();
  in_vain_ = progress == progress_ ? in_vain_ + 1 : 0;
  progress_ = progress;
  if (in_vain_ > kMostInVain) return fail(broken.with_context("new connections break at the same place"));
  transport()->shutdown();
  auto found = options_.reconnect(broken);
  if (!found.ok()) return fail(found.status());
  adopt(std::move(*found), false);
  generation_.fetch_add(1);
  reconnects_.fetch_add(1, std::memory_order_relaxed);
  news_.fetch_add(1, std::memory_order_release);
  news_.notify_all();
  return Status();
}

void Link::break_connection() { transport()->shutdown(); }

void Link::end() {
  {
    Sending sending(sending_);
    if (is_over_.load(std::memory_order_acquire)) return;
    if (data_left_ == 0) {
      put_control(FrameType::kEnd, 0);
      (void)write_some();  // a farewell that does not get through is told by the end of the connection
    }
  }
  (void)fail(Status(Code::kUnavailable, "the session has ended"));
}

LinkFigures Link::figures() const {
  LinkFigures figures;
  figures.sent_bytes = sent_total_.load(std::memory_order_relaxed);
  figures.received_bytes = had_.load(std::memory_order_relaxed);
  figures.sends = sends_.load(std::memory_order_relaxed);
  figures.reconnects = reconnects_.load(std::memory_order_relaxed);
  figures.round_trip_ns = round_trip_ns_.load(std::memory_order_relaxed);
  return figures;
}

}  // namespace tessera::remote
