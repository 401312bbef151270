#include "remote/client/durability.h"

#include "common/log.h"
#include "remote/ops.h"

namespace tessera::remote {

uint64_t Durability::number_for(uint16_t op, ByteSpan message) {
  const JournalRole role = journal_role(op, message);
  if (role == JournalRole::kAsks) return 0;
  if (role == JournalRole::kUnknown) {
    give_up(op < kCalls ? std::string(kCallNames[op]) + " cannot be made again"
                        : "what the program and the GPU both write to cannot be made again");
    return 0;
  }
  std::lock_guard lock(lock_);
  return given_up_.empty() ? journal_.next_number() : 0;
}

void Durability::keep(uint64_t number, uint64_t context, ByteSpan message, ByteSpan payload,
                      ByteSpan answer) {
  JournalEntry entry;
  entry.message.assign(message.begin(), message.end());
  entry.role = journal_role(entry.op(), message);
  entry.context = context;
  entry.payload.assign(payload.begin(), payload.end());
  entry.payload.resize(padded(payload.size()));
  if (entry.role != JournalRole::kWorks) entry.answer.assign(answer.begin(), answer.end());
  std::lock_guard lock(lock_);
  if (given_up_.empty()) journal_.add(number, std::move(entry));
}

void Durability::keep_hello(ByteSpan message, ByteSpan answer) {
  hello_.assign(message.begin(), message.end());
  hello_answer_.assign(answer.begin(), answer.end());
}

Durability::Due Durability::due(uint64_t now_ns) {
  std::lock_guard lock(lock_);
  if (!given_up_.empty() || journal_.entries() == 0) return Due::kNot;
  if (journal_.bytes() > options_.journal_bytes || journal_.entries() > kMostEntries) return Due::kNow;
  if (then_ns_ == 0) then_ns_ = now_ns;
  const bool is_worth =
      journal_.bytes() > options_.journal_bytes / 2 || now_ns - then_ns_ > options_.interval_ns;
  return is_worth ? Due::kWhereItWaits : Due::kNot;
}

void Durability::give_up(const std::string& why) {
  std::lock_guard lock(lock_);
  if (!given_up_.empty()) return;
  given_up_ = why;
  journal_ = Journal();
  LOG_WARN("remote", "the session cannot be made again from here on: %s", why.c_str());
}

bool Durability::has_given_up() {
  std::lock_guard lock(lock_);
  return !given_up_.empty();
}

std::string Durability::why_not() {
  std::lock_guard lock(lock_);
  return given_up_.empty() ? "" : "; it could not be made again: " + given_up_;
}

void Durability::checkpoint_taken(std::map<uint64_t, std::vector<std::byte>> content, uint64_t now_ns) {
  std::lock_guard lock(lock_);
  journal_.checkpoint(std::move(content));
  then_ns_ = now_ns;
}

}  // namespace tessera::remote
