// Bytes through memory that two processes of a machine share: a ring each way. System calls are made only
// where somebody sleeps.
//
// They meet over a Unix socket, on which the client then passes the memory (a sealed memfd) and a second
// socket. A byte on the first wakes whoever waits to receive, one on the second whoever waits to send; when
// the first ends, the peer has gone. Either side may write into the memory what it likes: the other reads no
// further than the rings. One thread at a time waits for each Readiness.
#pragma once

#include <atomic>
#include <memory>

#include "common/fd.h"
#include "remote/transport/shared_area.h"
#include "remote/transport/shm_ring.h"
#include "remote/transport/spinner.h"
#include "remote/transport/transport.h"

namespace tessera::remote {

class ShmTransport final : public Transport {
 public:
  static constexpr size_t kDefaultRingBytes = size_t{4} << 20;
  static constexpr size_t kLeastRingBytes = size_t{64} << 10;
  static constexpr size_t kMostRingBytes = size_t{64} << 20;

  // The client's side: makes the memory and passes it. `ring_bytes`: a power of two within the bounds.
  static Result<std::unique_ptr<ShmTransport>> offer(UniqueFd socket, size_t ring_bytes = kDefaultRingBytes);
  // The server's: takes what the client passes, for `limit` at most. kInvalidData for anything but that.
  static Result<std::unique_ptr<ShmTransport>> accept(UniqueFd socket, std::chrono::nanoseconds limit);
  ~ShmTransport() override;

  Result<size_t> send(std::span<const iovec> pieces) override;
  Result<size_t> receive(std::span<std::byte> space) override;
  Result<unsigned> wait(unsigned wanted, std::chrono::nanoseconds limit) override;
  void shutdown() override;
  SharedArea* area_out() override { return &area_out_; }
  SharedArea* area_in() override { return &area_in_; }
  const char* kind() const override { return "shm"; }

  // Of the memory that is passed, with rings of that size.
  static size_t memory_bytes(size_t ring_bytes);

 private:
  // What is mapped: all controls in the first page, then for each direction, to the server first, the ring,
  // and then likewise the slots of the areas.
  struct Mapping {
    std::byte* base = nullptr;
    size_t ring_bytes = 0;
  };
  enum class Side { kClient, kServer };

  ShmTransport(UniqueFd socket, UniqueFd room_socket, const Mapping& mapping, Side side);

  static Result<Mapping> map(int memory, size_t ring_bytes);
  void wake(std::atomic<uint32_t>& sleeps, int socket);
  unsigned ready(unsigned wanted) const;
  Result<unsigned> sleep(unsigned wanted, std::chrono::nanoseconds limit);

  const UniqueFd socket_;       // the peer has written bytes, or has gone
  const UniqueFd room_socket_;  // the peer has read bytes
  const Mapping mapping_;
  RingControl* const out_;
  RingControl* const in_;
  RingWriter writer_;
  RingReader reader_;
  SharedArea area_out_, area_in_;
  std::atomic<bool> ended_{false};   // by us
  std::atomic<bool> broken_{false};  // the peer has gone
  Spinner receive_spinner_, send_spinner_;
};

}  // namespace tessera::remote
