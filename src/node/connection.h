// One client's connection as the daemon holds it: who is there, what is queued for it, what it stands for.
#pragma once

#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <string_view>

#include "common/fd.h"
#include "node/ledger.h"
#include "node/messages.h"
#include "node/socket.h"

namespace tessera::node {

// What may wait for a client that does not read; beyond it the connection is dropped.
inline constexpr size_t kMaxQueuedBytes = 4 * 1024 * 1024;

class Connection {
 public:
  // `changed` is set whenever closing() or wants_to_write() may have changed, and must outlive this.
  Connection(UniqueFd socket, Peer peer, uint64_t accepted_ns, bool& changed)
      : socket_(std::move(socket)), peer_(peer), accepted_ns_(accepted_ns), changed_(&changed) {}

  int descriptor() const { return socket_.get(); }
  const Peer& peer() const { return peer_; }
  uint64_t accepted_ns() const { return accepted_ns_; }

  // Sends now or queues. A connection that cannot take it is marked for closing: the caller need not look.
  // Descriptors cannot be queued, so a packet with descriptors must be the first one sent.
  void send(std::string packet, std::span<const int> descriptors = {});
  // An answer of any length: as many packets as it takes, ended by one that is not full.
  void send_control_reply(uint32_t request, std::string_view text);
  // Tells the client what it did wrong and marks the connection for closing.
  void fail(const Status& why);
  void flush();
  bool wants_to_write() const { return !queue_.empty() && !closing_; }

  // Closed by the daemon once the current events are handled, so that nobody holds a dangling reference.
  void mark_closing() { *changed_ = closing_ = true; }
  bool closing() const { return closing_; }

  // A connection plays one part: it carries a lease, looks at a slice, or carries control requests.
  LeaseId lease = 0;
  SliceId observed_slice = 0;
  SliceId held_slice = 0;
  bool is_control = false;
  // One whose part is over is being closed, not new.
  bool is_new() const { return !closing_ && lease == 0 && observed_slice == 0 && !is_control; }

 private:
  UniqueFd socket_;
  Peer peer_;
  uint64_t accepted_ns_;
  bool* changed_;
  std::deque<std::string> queue_;
  size_t queued_bytes_ = 0;
  bool closing_ = false;
};

}  // namespace tessera::node
