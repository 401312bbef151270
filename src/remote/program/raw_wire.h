// A bare TCP connection over loopback to a process that answers: what the wire itself costs.
#pragma once

#include <sys/types.h>

#include <cstdint>

#include "common/fd.h"

namespace tessera::remote {

class RawWire {
 public:
  static Result<RawWire> start();
  RawWire(RawWire&& other) noexcept
      : socket_(std::move(other.socket_)), peer_(std::exchange(other.peer_, -1)) {}
  ~RawWire();

  // 64 bytes there and back.
  bool ping() const { return ask(nullptr, 0, 0); }
  // So many bytes there; so many back.
  bool send(const void* data, uint64_t bytes) const { return ask(const_cast<void*>(data), bytes, 0); }
  bool receive(void* data, uint64_t bytes) const { return ask(data, 0, bytes); }

 private:
  RawWire(UniqueFd socket, pid_t peer) : socket_(std::move(socket)), peer_(peer) {}
  bool ask(void* data, uint64_t there, uint64_t back) const;

  UniqueFd socket_;
  pid_t peer_;
};

}  // namespace tessera::remote
