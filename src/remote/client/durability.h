// A session that can be made again when its server has lost it: its journal, when a checkpoint is due, and
// what stands in the way.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "common/status.h"
#include "remote/client/journal.h"
#include "remote/link/link.h"

namespace tessera::remote {

struct DurabilityOptions {
  uint64_t journal_bytes = uint64_t{256} << 20;  // a checkpoint is taken before there are more
  uint64_t interval_ns = 60'000'000'000;  // and after so long, where the program waits for the GPU anyway
};

// Safe from any thread.
class Durability {
 public:
  static constexpr size_t kMostEntries = 500'000;

  // Another session, on the same server or another, of which nothing has been said yet.
  using Reopen = std::function<Result<std::unique_ptr<Link>>()>;
  Durability(DurabilityOptions options, Reopen reopen) : options_(options), reopen_(std::move(reopen)) {}

  // For a message that is about to be kept; 0: it need not be, or cannot any more.
  uint64_t number_for(uint16_t op, ByteSpan message);
  void keep(uint64_t number, uint64_t context, ByteSpan message, ByteSpan payload, ByteSpan answer);
  void keep_hello(ByteSpan message, ByteSpan answer);

  enum class Due { kNot, kWhereItWaits, kNow };
  Due due(uint64_t now_ns);
  // Nothing can be made again from here on, and why: said once.
  void give_up(const std::string& why);
  bool has_given_up();
  std::string why_not();

  // While nobody adds to it.
  Journal& journal() { return journal_; }
  const std::vector<std::byte>& hello() const { return hello_; }
  const std::vector<std::byte>& hello_answer() const { return hello_answer_; }
  Result<std::unique_ptr<Link>> reopen() { return reopen_(); }
  void checkpoint_taken(std::map<uint64_t, std::vector<std::byte>> content, uint64_t now_ns);

 private:
  const DurabilityOptions options_;
  const Reopen reopen_;
  std::mutex lock_;
  Journal journal_;
  std::vector<std::byte> hello_, hello_answer_;
  std::string given_up_;
  uint64_t then_ns_ = 0;
};

}  // namespace tessera::remote
