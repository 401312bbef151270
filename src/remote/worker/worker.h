// Serves one session: reads the client's messages in their order and makes the calls. One thread at a time
// leads: it reads and serves. Before a call that may wait for the GPU for long it lets another lead, so that
// other threads of the client are not kept from the call that would end the wait; the client's thread itself
// waits for its answer, so its order is kept.
//
// Lock order: lead_, then answering_, then those of the link and the handles.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <unordered_map>
#include <vector>

#include "common/status.h"
#include "cuda/driver_table.h"
#include "remote/link/link.h"
#include "remote/link/piece_encoder.h"
#include "remote/link/stripes.h"
#include "remote/session/proof.h"
#include "remote/worker/callbacks.h"
#include "remote/worker/captured_output.h"
#include "remote/worker/functions.h"
#include "remote/worker/handle_table.h"
#include "remote/worker/host_mirrors.h"
#include "remote/worker/pieces_in.h"
#include "remote/worker/pieces_out.h"
#include "remote/worker/placed_memory.h"
#include "remote/worker/serving.h"
#include "remote/worker/staging.h"

namespace tessera::remote {

struct WorkerOptions {
  Bytes32 tenant_key{};       // see session/sealed.h
  bool takes_errors = false;  // standard error is the program's, too: nothing else is written there
  // What the client's identity has sent before; null: nothing is kept.
  cache::ContentCache* content = nullptr;
  Stripes* stripes = nullptr;  // further connections; null: there are none
};

class Worker {
 public:
  // `driver`: what the calls go to; in a slice the guest's own library.
  Worker(Link& link, const cuda::DriverTable& driver, const WorkerOptions& options = {});
  ~Worker();

  // Until the session ends: why. An orderly farewell is ok.
  Status run();

  // --- for the calls

  // The caller's call may wait: another thread leads from here on.
  void let_others_lead();
  // Before memory of the program is read or an answer is sent that a wait stands behind.
  void bring_host_changes();
  void bring_host_memory();  // of these without what kernels have printed
  CUresult default_stream(ClientThread& thread, CUstream* stream);
  void set_current(ClientThread& thread, CUcontext context);
  // The thread's contexts on our side are not what we think.
  void forget_current();
  void context_is_gone(CUcontext context);
  // A primary context: it is another now, under the same handle.
  void context_was_reset(CUcontext context);
  // Something has been put into a stream; and such that may write wherever the program sees it.
  void note_work() { work_.fetch_add(1, std::memory_order_relaxed); }
  void note_launch() {
    note_work();
    mirrors_.launched();
  }
  // Which work has been given so far; and that much of it is done, as a wait for the only context said.
  uint64_t work_so_far() const { return work_.load(std::memory_order_relaxed); }
  void note_done(uint64_t work);
  // Nothing is in any stream: what waits for the GPU ends at once.
  bool is_quiet() const { return done_.load(std::memory_order_relaxed) == work_so_far(); }
  // Others of the program may call, so that nobody should lead through a call that lasts.
  bool has_others() const { return has_others_.load(std::memory_order_relaxed); }
  void note_others() { has_others_.store(true, std::memory_order_relaxed); }

  // Streams that are being captured, and by which threads of the client: what others may call depends on it.
  void capture_began(uint64_t stream, const ClientThread& thread, CUstreamCaptureMode mode);
  void capture_ended(uint64_t stream);
  bool is_capturing() const { return !captures_.empty(); }
  bool may_end_capture(uint64_t stream, const ClientThread& thread) const;

  // Sends the answer of `serving`, followed by a payload that `next` yields in pieces of its own, then by
  // what it says at the end. Null: no payload.
  struct Payload {
    uint64_t bytes = 0;
    size_t stripes = 0;  // over how many further connections it may go
    // A piece that stays as it is until the link has taken it, at most `limit` bytes; empty where it fails,
    // which is told at the end.
    virtual ByteSpan next(uint64_t limit) = 0;
    virtual void sent(uint64_t offset) = 0;
    virtual CUresult result() = 0;
    virtual ~Payload() = default;
  };
  Status answer(Serving& serving, CUresult result, Payload* payload);
  // A message of the server's own, with a copied payload.
  Status tell(Message message, const std::vector<std::byte>& fields, ByteSpan payload);

  const cuda::DriverTable& driver() const { return driver_; }
  HandleTable& handles() { return handles_; }
  Staging& staging() { return staging_; }
  HostMirrors& mirrors() { return mirrors_; }
  Callbacks& callbacks() { return callbacks_; }
  Functions& code() { return code_; }
  PiecesIn& pieces_in() { return pieces_in_; }
  PlacedMemory& placed() { return placed_; }
  PiecesOut& pieces_out() { return pieces_out_; }
  Link& link() { return link_; }
  Stripes& stripes() { return stripes_; }
  bool keeps_content() const { return content_ != nullptr; }
  const Bytes32& tenant_key() const { return options_.tenant_key; }

 private:
  Status send_payload(Payload& payload);
  Status send_piece(Payload& payload, ByteSpan piece);
  void bring_output(CapturedOutput& output, int descriptor);
  void lead();
  Status read_message(MessageHeader& header, std::vector<std::byte>& body);
  Status serve_next(Serving& serving);
  Status serve_beside(const MessageHeader& header, const std::vector<std::byte>& body);
  void serve(Serving& serving, const MessageHeader& header, ByteSpan body);
  ClientThread* thread_of(uint16_t number);
  void activate(const ClientThread& thread);
  CUstreamCaptureMode mode_of(const ClientThread& thread) const;
  void latch(CUresult result);
  void stop(const Status& why);

  Link& link_;
  const cuda::DriverTable& driver_;
  const WorkerOptions options_;
  Stripes no_stripes_;
  Stripes& stripes_;
  cache::ContentCache* const content_;
  HandleTable handles_;
  Staging staging_;
  PiecesIn pieces_in_;
  PiecesOut pieces_out_;
  HostMirrors mirrors_;
  Callbacks callbacks_;
  Functions code_;
  PlacedMemory placed_;
  CapturedOutput output_;
  std::optional<CapturedOutput> errors_;

  std::mutex lead_;  // held by whoever leads
  std::atomic<int> waiting_to_lead_{0};
  std::vector<std::unique_ptr<ClientThread>> threads_;  // under lead_
  struct Capture {
    uint64_t stream;
    uint16_t thread;
    CUstreamCaptureMode mode;
  };
  std::vector<Capture> captures_;  // under lead_
  std::mutex pool_lock_;
  std::vector<std::thread> pool_;
  size_t beside_ = 0;         // threads of serve_beside(), under pool_lock_; changes tell has_ended_
  bool is_stopping_ = false;  // under pool_lock_
  Status ended_;              // under pool_lock_
  std::condition_variable has_ended_;
  std::mutex answering_;
  PieceEncoder encoder_;  // under answering_
  std::atomic<int> earlier_result_{0};
  std::atomic<bool> is_over_{false};
  std::atomic<uint64_t> work_{0}, done_{0};
  std::atomic<bool> has_others_{false};  // threads of the client beside its first, or functions of it
  CUcontext first_context_ = nullptr;    // under lead_
  std::atomic<bool> has_several_contexts_{false};
};

}  // namespace tessera::remote
