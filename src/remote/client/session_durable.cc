// Sessions that are made again: when checkpoints are taken, and what happens when the server has lost one.
#include "common/clock.h"
#include "common/log.h"
#include "remote/client/rebuild.h"
#include "remote/client/session.h"
#include "remote/ops.h"
#include "remote/wire/copy.h"
#include "remote/wire/writer.h"

namespace tessera::remote {
namespace {

constexpr uint64_t kPatienceNs = 1'000'000'000;  // with calls of other threads, before a checkpoint
constexpr int kMostFailures = 16;                // of servers that are lost again meanwhile

bool waits_anyway(uint16_t op) {
  return op == static_cast<uint16_t>(Op::cuCtxSynchronize) ||
         op == static_cast<uint16_t>(Op::cuStreamSynchronize) ||
         op == static_cast<uint16_t>(Message::kCopyOut);
}

void pause() {
  const timespec moment{0, 100'000};
  nanosleep(&moment, nullptr);
}

}  // namespace

void Session::checkpoint_if_due(uint16_t op) {
  const auto due = durability_->due(monotonic_ns());
  if (due == Durability::Due::kNot || (due == Durability::Due::kWhereItWaits && !waits_anyway(op))) return;
  std::unique_lock lock(epoch_);
  if (durability_->due(monotonic_ns()) == Durability::Due::kNot) return;  // another thread has taken it
  const uint64_t until = monotonic_ns() + kPatienceNs;
  while (in_flight_.load() > 0 && monotonic_ns() < until) pause();
  if (in_flight_.load() > 0) {
    // Somebody waits for longer: it is tried again, unless there is no room for that.
    if (due == Durability::Due::kNow) durability_->give_up("its journal is full while other threads wait");
    return;
  }
  if (durability_->journal().has_variables()) {
    if (due == Durability::Due::kNow)
      durability_->give_up(
          "its journal is full, and the program's code may have variables, which no checkpoint holds");
    return;
  }
  const Status status = take_checkpoint();
  if (!status.ok()) LOG_WARN("remote", "no checkpoint: %s", status.message().c_str());
}

// With the epoch held, and no call under way.
Status Session::take_checkpoint() {
  ThreadState thread;
  thread.number = kMaxThreads - 2;
  std::map<uint64_t, std::vector<std::byte>> content;
  const auto ask = [&](uint16_t op, std::span<std::byte> payload_to) -> Status {
    TESSERA_RETURN_IF_ERROR(exchange(thread, op, 0, {}, payload_to, Epoch(), link()));
    AnswerHead head;
    memcpy(&head, thread.answer.data(), sizeof head);
    if (head.result == 0 && head.earlier_result == 0 && thread.payload_result == CUDA_SUCCESS)
      return Status();
    if (int none = 0; head.earlier_result != 0) earlier_.compare_exchange_strong(none, head.earlier_result);
    durability_->give_up("the GPU has reported an error");
    return Status(Code::kFailedPrecondition, "the GPU has reported an error");
  };
  for (const JournalBlock& block : durability_->journal().blocks()) {
    thread.contexts = {reinterpret_cast<CUcontext>(block.context)};
    thread.message.assign(sizeof(MessageHeader), std::byte{0});
    TESSERA_RETURN_IF_ERROR(ask(static_cast<uint16_t>(Op::cuCtxSynchronize), {}));
    std::vector<std::byte>& bytes = content[block.address];
    bytes.resize(block.bytes);
    thread.message.assign(sizeof(MessageHeader), std::byte{0});
    Writer(thread.message).value(CopyFields{block.address, block.bytes, 0});
    const bool is_inline = block.bytes <= kInlineBytes;
    TESSERA_RETURN_IF_ERROR(
        ask(static_cast<uint16_t>(Message::kCopyOut), is_inline ? std::span<std::byte>() : std::span(bytes)));
    if (is_inline) memcpy(bytes.data(), thread.answer.data() + sizeof(AnswerHead) + 8, bytes.size());
  }
  durability_->checkpoint_taken(std::move(content), monotonic_ns());
  printed_.store(0);
  return Status();
}

bool Session::recover(const Link& broken, const Status& why) {
  if (durability_ == nullptr || is_abandoned_.load()) return false;
  std::unique_lock lock(epoch_);
  if (&link() != &broken) return true;
  if (durability_->has_given_up() || has_said_lost_.load()) return false;
  link().end();
  while (in_flight_.load() > 0) pause();  // those that wait hear of it
  LOG_WARN("remote", "the session with %s is lost (%s): it is made again", where_.c_str(),
           why.message().c_str());
  Status status;
  for (int attempt = 0; attempt < kMostFailures; ++attempt) {
    auto fresh = durability_->reopen();
    status = fresh.status();
    if (!status.ok()) break;
    skip_output_.store(printed_.load());
    Link& its = **fresh;
    generation_.fetch_add(1);
    status = rebuild(its, *durability_, generation_.load(),
                     [&](ByteSpan fields) { return read_output(its, fields); });
    if (status.ok()) {
      bulk_.use(its);
      links_.push_back(std::move(*fresh));
      link_.store(links_.back().get(), std::memory_order_release);
      LOG_WARN("remote", "the session goes on as it was");
      return true;
    }
    // Where that link has broken, too, another may do; what fails over a link that works would fail again.
    const bool is_broken = !its.failure().ok();
    its.end();
    links_.push_back(std::move(*fresh));  // somebody may look at it still
    if (!is_broken) break;
  }
  durability_->give_up(status.message());
  return false;
}

}  // namespace tessera::remote
