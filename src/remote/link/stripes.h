// Further connections of a session, over which pieces of large payloads go beside each other. What they are
// and where they belong is said in the session's own streams, in order, by their numbers. Each is a link of
// its own, which outlives its connection; where one is lost for good, all is.
#pragma once

#include <pthread.h>

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "remote/link/link.h"

namespace tessera::remote {

class Stripes {
 public:
  static constexpr size_t kMost = 8;
  static constexpr uint64_t kMostPieceBytes = 1 << 20;

  Stripes() = default;
  ~Stripes();
  Stripes(const Stripes&) = delete;
  Stripes& operator=(const Stripes&) = delete;

  // kResourceExhausted where there are as many as there may be.
  Status add(std::unique_ptr<Link> link);
  size_t count() const;

  // Hands over a copy of the piece (1 byte to kMostPieceBytes), which goes over whichever of the first
  // `among` has nothing to send: its number. Waits while all have enough.
  Result<uint64_t> send(ByteSpan piece, size_t among);
  // Until the other side has had all that was sent.
  Status drain();
  // What the other side has had, of all that was ever sent.
  uint64_t peer_had() const;

  // The piece of that number, once it has come.
  Result<std::vector<std::byte>> take(uint64_t number);

  // Whoever waits returns; nothing goes any more.
  void end(const Status& why);

 private:
  struct Head {
    uint64_t number = 0;
    uint64_t bytes = 0;
  };
  struct Piece {
    uint64_t number = 0;
    std::vector<std::byte> bytes;
  };
  struct Stripe {
    Stripes* all = nullptr;
    size_t index = 0;
    std::unique_ptr<Link> link;
    pthread_t sender{}, receiver{};
    std::deque<Piece> waiting;  // to be sent, under lock_
    bool is_sending = false;    // under lock_
    uint64_t sent_until = 0;    // in its link's stream, under lock_
    size_t uncollected = 0;     // that have come, under lock_
    // The sender's: what it has sent, with where it ends in the stream, until it cannot be needed again.
    std::deque<std::pair<uint64_t, Piece>> sent;
  };

  static constexpr size_t kMostWaiting = 2, kMostSent = 8, kMostUncollected = 2;

  Status send_one(Stripe& stripe, Piece piece);
  void send_all(Stripe& stripe);
  void receive_all(Stripe& stripe);
  Status receive_one(Stripe& stripe);

  mutable std::mutex lock_;
  std::condition_variable changed_;
  std::vector<std::unique_ptr<Stripe>> stripes_;
  struct Arrived {
    size_t stripe;
    std::vector<std::byte> bytes;
  };
  std::unordered_map<uint64_t, Arrived> arrived_;
  uint64_t next_ = 1;
  bool has_ended_ = false;
  Status why_;
};

}  // namespace tessera::remote
