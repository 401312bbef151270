// The client's end of a session: sends messages, hands out answers. Threads wait for their answers in turns:
// whoever finds nobody reading reads for all.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "common/status.h"
#include "remote/client/bulk.h"
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

  // Begins threads of its own; after the first message's answer.
  void start_threads();

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
  // The first error of a queued call that nobody has been told of.
  CUresult take_earlier();

  // A function of the program is in a stream: there may be messages while nobody waits for an answer.
  // `is_lasting`: in a graph, which may call it any number of times.
  void expect_callbacks(bool is_lasting) { callbacks_.fetch_add(is_lasting ? kLasting : 1); }
  void expect_no_callback() { callbacks_.fetch_sub(1); }

  HostMemory& host() { return host_; }
  Bulk& bulk() { return bulk_; }
  // The program has been forked: nothing of the session belongs to the child.
  void abandon() { is_abandoned_.store(true); }
  void goodbye();

  // Of the session's own threads.
  void keep();
  void flush_soon();
  void run_callbacks();

 private:
  void append(ThreadState& thread, Link::Sender& sender, uint16_t op, uint16_t flags);
  CUresult lost(const Status& why);
  Status await(ThreadState& thread);
  Status read_message(ThreadState* me);
  Status read_answer(const MessageHeader& header, ThreadState* me);
  Status read_host_data(ByteSpan fields);
  Status read_output(ByteSpan fields);
  void wake_flusher();

  std::unique_ptr<Link> link_;
  const unsigned server_;
  const std::string where_;
  HostMemory host_;
  Bulk bulk_;
  std::atomic<bool> is_abandoned_{false};
  std::atomic<bool> has_said_lost_{false};
  std::atomic<int> earlier_{0};

  std::mutex turn_;
  std::condition_variable turned_;
  bool is_reading_ = false;
  int waiting_ = 0;
  ThreadState* threads_[kMaxThreads] = {};  // that wait for answers

  std::atomic<uint32_t> flusher_awake_{0};
  std::atomic<uint64_t> appended_{0};
  static constexpr int64_t kLasting = int64_t{1} << 40;
  std::atomic<int64_t> callbacks_{0};
  std::mutex callback_lock_;
  std::condition_variable has_callback_;
  std::vector<std::pair<uint64_t, CUresult>> due_callbacks_;
};

// The session with the server of the calling thread's current context (the first, without one), or null
// before there is one, after a fork, and after it has ended.
Session* session();
// What calls answer without one.
CUresult without_session();

}  // namespace tessera::remote
