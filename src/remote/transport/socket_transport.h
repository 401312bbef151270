// Bytes straight through a stream socket: TCP, or a Unix socket.
#pragma once

#include <atomic>
#include <memory>

#include "common/fd.h"
#include "remote/transport/spinner.h"
#include "remote/transport/transport.h"

namespace tessera::remote {

class SocketTransport final : public Transport {
 public:
  // `kind` outlives it: a literal. The socket is made non-blocking; a TCP socket gets TCP_NODELAY.
  static Result<std::unique_ptr<SocketTransport>> create(UniqueFd socket, const char* kind);

  Result<size_t> send(std::span<const iovec> pieces) override;
  Result<size_t> receive(std::span<std::byte> space) override;
  Result<unsigned> wait(unsigned wanted, std::chrono::nanoseconds limit) override;
  void shutdown() override;
  const char* kind() const override { return kind_; }

  int descriptor() const { return socket_.get(); }
  // Takes the socket out, for what goes on over it; nothing else may be called afterwards.
  UniqueFd release() && { return std::move(socket_); }

 private:
  SocketTransport(UniqueFd socket, const char* kind) : socket_(std::move(socket)), kind_(kind) {}

  UniqueFd socket_;
  const char* const kind_;
  Spinner spinner_;
};

// Non-blocking, and TCP sends at once what it gets.
Status prepare_socket(int socket);

// poll(2) of one descriptor for Transport::Readiness, for `limit` at most, whatever signals come. A socket
// that is broken or ended is ready for all of `wanted`.
Result<unsigned> poll_socket(int socket, unsigned wanted, std::chrono::nanoseconds limit);

// What a connection of this machine that is gone is told as: kUnavailable, "the connection has broken:
// <errno>".
Status broken_connection(int error_number);
Status ended_connection();

}  // namespace tessera::remote
