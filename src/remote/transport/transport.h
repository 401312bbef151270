// One connection between a client and a server, as bytes: ordered and whole until it breaks. What is in them
// is remote/stream's and remote/wire's matter.
#pragma once

#include <sys/uio.h>

#include <chrono>
#include <cstddef>
#include <span>

#include "common/status.h"

namespace tessera::remote {

class SharedArea;

// One thread may send while another receives; neither call waits. `wait` may be called by both at once.
class Transport {
 public:
  enum Readiness : unsigned { kReadable = 1, kWritable = 2 };

  Transport() = default;
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;
  virtual ~Transport() = default;

  // Takes as many bytes of `pieces` (in order, at most 64 pieces) as go without waiting: how many, 0 if none.
  // What it has not taken begins the next call's. kUnavailable once the connection has broken.
  virtual Result<size_t> send(std::span<const iovec> pieces) = 0;
  // Puts what has arrived into `space`: how many bytes, 0 if there are none yet. kUnavailable once the peer
  // has ended the connection and all of it has been received, or it has broken.
  virtual Result<size_t> receive(std::span<std::byte> space) = 0;
  // Waits for any of `wanted` (Readiness), for `limit` at most: what holds now, 0 if the limit has passed. A
  // broken connection is ready for everything: the next call says what is wrong.
  virtual Result<unsigned> wait(unsigned wanted, std::chrono::nanoseconds limit) = 0;
  // Ends it both ways, from any thread, more than once; whoever waits returns.
  virtual void shutdown() = 0;
  // Memory that both sides see, for payloads to the other side and from it; null where there is none.
  virtual SharedArea* area_out() { return nullptr; }
  virtual SharedArea* area_in() { return nullptr; }
  // Whether they are to be used now for what goes out; and how many bytes have gone through them, which
  // waits where there is a limit to what comes in.
  virtual bool is_area_open() { return true; }
  virtual void count_area(size_t /*out*/, size_t /*in*/) {}
  // "tcp", "tls", "shm".
  virtual const char* kind() const = 0;
};

}  // namespace tessera::remote
