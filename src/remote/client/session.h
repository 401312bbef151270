// The client's end of a session: sends messages, hands out answers. Threads wait for their answers in turns:
// whoever finds nobody reading reads for all.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <utility>
#include <vector>

#include "common/status.h"
#include "remote/client/bulk.h"
#include "remote/client/durability.h"
#include "remote/client/host_memory.h"
#include "remote/client/known.h"
#include "remote/client/thread_state.h"
#include "remote/link/link.h"
#include "remote/wire/message.h"

namespace tessera::remote {

class Session {
 public:
  // `server`: its place among the process's servers, and where it is, for messages.
  Session(std::unique_ptr<Link> link, unsigned server, std::string where);

  unsigned server() const { return server_; }

  // Begins the thread that answers heartbeats; after the first message's answer. The other two begin when
  // there is something for them to do: a thread takes as long to begin as several calls.
  void start_keeping();

  // The message of `thread`, whose fields are written, goes out and its answer is waited for: what the call
  // returned. Fields of results are in thread.answer from sizeof(AnswerHead) on. `payload` follows the
  // message; what follows the answer goes to `payload_to`.
  CUresult call(ThreadState& thread, uint16_t op, uint16_t flags, ByteSpan payload = {},
                std::span<std::byte> payload_to = {});
  // It goes out soon. The payload has been taken when this returns.
  CUresult queue(ThreadState& thread, uint16_t op, uint16_t flags, ByteSpan payload = {});
  // queue(), of a piece of a large payload, which is sent at once. Where it is borrowed it has to stay as it
  // is until wait_taken(what is given back in `taken_at`).
  CUresult send_piece(ThreadState& thread, uint16_t op, uint16_t flags, ByteSpan payload, bool is_borrowed,
                      uint64_t* taken_at);
  CUresult wait_taken(uint64_t offset);
  // What calls answer where the connection is lost for good, for which that is the reason.
  CUresult lost(const Status& why);
  // The first error of a queued call that nobody has been told of.
  CUresult take_earlier();

  // A function of the program is in a stream: there may be messages while nobody waits for an answer.
  // `is_lasting`: in a graph, which may call it any number of times.
  void expect_callbacks(bool is_lasting);
  void expect_no_callback() { callbacks_.fetch_sub(1); }

  HostMemory& host() { return host_; }
  Bulk& bulk() { return bulk_; }
  // The program has been forked: nothing of the session belongs to the child.
  void abandon() { is_abandoned_.store(true); }
  void goodbye();

  // Before anything is sent: what it has can be made again. See durability.h.
  void make_durable(std::unique_ptr<Durability> durability) { durability_ = std::move(durability); }
  bool is_durable() const { return durability_ != nullptr; }

  // Of the session's own threads.
  void keep();
  void flush_soon();
  void run_callbacks();

 private:
  friend class Rebuilding;
  using Epoch = std::shared_lock<std::shared_mutex>;

  // Held while something is sent: a session that is made again, or whose checkpoint is taken, keeps others
  // out.
  Epoch epoch() { return durability_ == nullptr ? Epoch() : Epoch(epoch_); }
  Link& link() { return *link_.load(std::memory_order_acquire); }
  // Its number in the journal; 0 where it is not kept.
  uint64_t append(ThreadState& thread, Link::Sender& sender, uint16_t op, uint16_t flags);
  void journal(ThreadState& thread, uint64_t number, ByteSpan payload, bool with_answer);
  // One attempt at a call. The epoch is let go of once the message has gone.
  Status exchange(ThreadState& thread, uint16_t op, uint16_t flags, ByteSpan payload,
                  std::span<std::byte> payload_to, Epoch epoch, Link& link);
  // Whether the session goes on, over another link: made again by this call, or by somebody else's.
  bool recover(const Link& broken, const Status& why);
  void checkpoint_if_due(uint16_t op);
  Status take_checkpoint();
  Status await(Link& link, ThreadState& thread);
  Status read_message(Link& link, ThreadState* me);
  Status read_answer(Link& link, const MessageHeader& header, ThreadState* me);
  Status read_host_data(Link& link, ByteSpan fields);
  Status read_host_changes(Link& link, ByteSpan fields);
  Status read_output(Link& link, ByteSpan fields);
  Status wake_flusher();
  bool flush();

  std::atomic<Link*> link_;
  std::vector<std::unique_ptr<Link>> links_;  // threads may still look at those before
  const unsigned server_;
  const std::string where_;
  HostMemory host_;
  Bulk bulk_;
  std::atomic<bool> is_abandoned_{false};
  std::atomic<bool> has_said_lost_{false};
  std::atomic<int> earlier_{0};

  std::unique_ptr<Durability> durability_;  // null: what is lost is lost
  std::shared_mutex epoch_;
  std::atomic<uint64_t> generation_{1};                // of the session
  std::atomic<int> in_flight_{0};                      // calls that are sent and not written down yet
  std::atomic<uint64_t> printed_{0}, skip_output_{0};  // since the checkpoint; of what is said again

  std::mutex turn_;
  std::condition_variable turned_;
  bool is_reading_ = false;
  int waiting_ = 0;
  std::vector<ThreadState*> threads_;  // that wait for answers, by number; only as many as have waited

  std::atomic<uint32_t> flusher_awake_{0};
  std::atomic<bool> has_flusher_{false}, runs_callbacks_{false};  // their threads have begun
  std::atomic<uint64_t> appended_{0};
  static constexpr size_t kMostDueCallbacks = 1'000'000;  // a server that sends more means us ill
  // Of graphs: they may come at any time from then on, and are not counted in `callbacks_`.
  std::atomic<bool> has_lasting_callbacks_{false};
  std::atomic<int64_t> callbacks_{0};
  std::mutex callback_lock_;
  std::condition_variable has_callback_;
  std::deque<CallbackTurn> due_callbacks_;
};

// The session with the server of the calling thread's current context (the first, without one), or null
// before there is one, after a fork, and after it has ended.
Session* session();
// What calls answer without one.
CUresult without_session();

}  // namespace tessera::remote
