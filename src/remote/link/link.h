// Two streams of bytes, one each way, that outlive the connections that carry them. Any thread may send; one
// at a time receives. A broken connection is replaced where the owner can find another: what the peer has not
// received is sent again, and nothing is received twice.
//
// Lock order: receiving_ before sending_. sending_ is never held while waiting.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "common/bytes.h"
#include "common/status.h"
#include "remote/link/frame.h"
#include "remote/link/send_queue.h"
#include "remote/transport/shared_area.h"
#include "remote/transport/transport.h"

namespace tessera::remote {

struct LinkOptions {
  bool checked = false;  // frames carry checksums: for ways that may alter bytes and have no other protection
  // At most so many bytes are under way that the peer's reader has not had; each side has room for as many.
  uint64_t window_bytes = 16 << 20;
  std::chrono::nanoseconds silence_limit = std::chrono::seconds(15);  // then a connection counts as broken
  std::chrono::nanoseconds spin = std::chrono::nanoseconds(0);  // looks for bytes so long before it sleeps
  // Finds another connection after one has broken. Without it, and where it fails, the link is over.
  std::function<Result<std::unique_ptr<Transport>>(const Status& broken)> reconnect;
};

struct LinkFigures {
  uint64_t sent_bytes = 0, received_bytes = 0;  // of the streams
  uint64_t sends = 0;                           // calls of the transport that took something
  uint64_t reconnects = 0;
  uint64_t round_trip_ns = 0;  // of the last ping; 0 before the first
};

class Link {
 public:
  Link(std::unique_ptr<Transport> transport, LinkOptions options);
  ~Link();
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

  // --- sending

  // Holds the sending side: what is appended in it stays together.
  class Sender {
   public:
    explicit Sender(Link& link) : link_(link), lock_(link.sending_) {}
    std::byte* room(size_t bytes) { return link_.queue_.room(bytes); }
    void append(size_t bytes) { link_.queue_.append(bytes); }
    void append(ByteSpan bytes);  // copied, of any size
    // The bytes have to stay as they are until wait_taken(the offset given back).
    uint64_t append_borrowed(ByteSpan bytes);
    size_t unsent_bytes() const { return link_.queue_.appended() - link_.queue_.sent(); }
    // Sends all that was appended; the sending side may be let go of meanwhile.
    Status flush() { return link_.flush(lock_); }

   private:
    Link& link_;
    std::unique_lock<std::mutex> lock_;
  };

  Status flush();
  // Waits until nothing of our stream before `offset` can be needed any more.
  Status wait_taken(uint64_t offset);

  // --- receiving

  // Waits for all of `space`.
  Status read(std::span<std::byte> space);
  // Whether a byte can be read, waiting for `limit` at most; sees to heartbeats, too.
  Result<bool> readable(std::chrono::nanoseconds limit);

  // --- both

  // The connection counts as broken from now on: where it can be, it is replaced.
  void break_connection();
  // Tells the peer that the session is over, and ends.
  void end();
  // Why nothing goes any more; ok while it does.
  Status failure() const;
  LinkFigures figures() const;
  // How much of our stream the peer says that its reader has had.
  uint64_t peer_had() const { return peer_has_.load(std::memory_order_acquire); }
  // Of the connection, and as long as it: links over such memory have one connection only.
  SharedArea* area_out() const { return transport()->area_out(); }
  SharedArea* area_in() const { return transport()->area_in(); }
  bool is_area_open() const { return transport()->is_area_open(); }
  void count_area(size_t out, size_t in) { transport()->count_area(out, in); }

 private:
  using Sending = std::unique_lock<std::mutex>;

  Status flush(Sending& sending);
  void apply_news();
  void begin_frames();
  void put_control(FrameType type, uint64_t value);
  void put_data_header();
  uint64_t window_left() const;
  Result<size_t> write_some();
  Status wait_for_room(Sending& sending, uint32_t news, bool wants_writable);

  Result<size_t> next_bytes(std::span<std::byte> space);
  Status fill_raw(size_t most);
  Status take_headers();
  Status take_header(const LinkFrame& header);
  void consumed(size_t bytes);
  Status wait_readable(std::chrono::nanoseconds limit, bool* is_readable);
  Status store_early();
  Status tend_silence();
  Status write_control();
  Status look_after_receiving(bool wants_writable);
  // Whoever waits to send may look after the receiving side now, or wait for room itself.
  void tell_others();

  std::shared_ptr<Transport> transport() const;
  Status recover(uint64_t generation, const Status& broken, bool holds_receiving);
  void adopt(std::unique_ptr<Transport> transport, bool is_first);
  Status fail(const Status& why);
  bool is_resumable() const { return options_.reconnect != nullptr; }

  LinkOptions options_;
  mutable std::mutex transport_lock_;  // innermost
  std::shared_ptr<Transport> transport_;
  std::atomic<uint64_t> generation_{1};  // counts connections
  bool is_first_ = true;  // the connection that the link was made with; changes as transport_ does
  std::atomic<bool> is_over_{false};
  Status failure_;  // under transport_lock_

  // Sending.
  mutable std::mutex sending_;
  SendQueue queue_;
  std::vector<std::byte> control_;  // headers that are written before anything else
  size_t control_written_ = 0;
  size_t data_left_ = 0;      // bytes of the data frame whose header was the last in control_
  bool has_started_ = false;  // the peer's kStart for this connection has been applied, or needs not be
  uint64_t wanted_ = 0;       // the peer shall say when it has had so much

  // What the receiving side has heard, for the sending side.
  std::atomic<uint64_t> peer_has_{0};    // by kAck
  std::atomic<uint64_t> peer_start_{0};  // by kStart, plus 1; 0 before it has come
  std::atomic<uint64_t> pong_due_{0};    // value of a ping to answer
  std::atomic<int> waiting_for_news_{0};
  std::atomic<uint32_t> news_{0};  // counts what has been heard
  std::mutex waiting_to_write_;    // held by whoever waits for room at the connection

  // Receiving.
  std::mutex receiving_;
  // As it came from the connection. Pages of it that nothing has come into are not there: most links carry
  // little.
  static constexpr size_t kRawBytes = kMaxCheckedFrameBytes + sizeof(LinkFrame);
  const std::unique_ptr<std::byte[]> raw_ = std::make_unique_for_overwrite<std::byte[]>(kRawBytes);
  size_t raw_begin_ = 0, raw_end_ = 0;
  size_t frame_left_ = 0;         // payload of the present frame that has not been taken
  bool says_when_had_ = false;    // of the present frame
  bool is_amid_bulk_ = false;     // what came last went right to where it was wanted
  std::vector<std::byte> early_;  // arrived while somebody waited to send, before anybody asked for it
  size_t early_begin_ = 0;
  uint64_t arrived_ = 0;                   // bytes of the peer's stream taken from connections
  uint64_t early_say_at_ = 0;              // a reader that has had so much says so
  std::atomic<uint64_t> had_{0};           // bytes that readers have had
  std::atomic<uint64_t> acknowledged_{0};  // what our last kAck said; written by the sending side
  std::atomic<uint64_t> heard_ns_{0};      // when anything came last
  std::atomic<uint64_t> pinged_ns_{0};
  uint64_t progress_ = 0;  // what had come through when a connection was replaced last
  int in_vain_ = 0;        // how often nothing has, since
  std::atomic<uint64_t> sends_{0}, reconnects_{0}, round_trip_ns_{0}, sent_total_{0};
};

}  // namespace tessera::remote
