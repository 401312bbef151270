// TLS 1.3 over a stream socket.
//
// What a send has not taken must begin the next one: a record that the socket had no room for is sealed
// already.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <string>

#include "common/fd.h"
#include "remote/transport/spinner.h"
#include "remote/transport/tls_context.h"
#include "remote/transport/transport.h"

struct ssl_st;  // SSL of OpenSSL

namespace tessera::remote {

class TlsTransport final : public Transport {
 public:
  static constexpr size_t kBindingBytes = 32;
  static constexpr size_t kRecordBytes = 16384;  // the most that a record of TLS holds

  // The socket is non-blocking. A client says which host it means: its certificate has to be that host's.
  static Result<std::unique_ptr<TlsTransport>> create(UniqueFd socket, std::shared_ptr<TlsContext> context,
                                                      const std::string& host);
  ~TlsTransport() override;

  // One step of the handshake, without waiting: 0 once it is done, else the Readiness that it waits for. Whom
  // the certificates do not satisfy is kPermissionDenied.
  Result<unsigned> handshake();

  Result<size_t> send(std::span<const iovec> pieces) override;
  Result<size_t> receive(std::span<std::byte> space) override;
  Result<unsigned> wait(unsigned wanted, std::chrono::nanoseconds limit) override;
  void shutdown() override;
  const char* kind() const override { return "tls"; }

  int descriptor() const { return socket_.get(); }
  // Both ends compute the same, and nobody between them who ends the encryption does (RFC 9266).
  Result<std::array<std::byte, kBindingBytes>> channel_binding();
  // Of the peer's certificate, which was verified: its first DNS name, or its common name; empty: it showed
  // none.
  std::string peer_name();

 private:
  TlsTransport(UniqueFd socket, std::shared_ptr<TlsContext> context, ssl_st* ssl)
      : socket_(std::move(socket)), context_(std::move(context)), ssl_(ssl) {}

  Result<size_t> write_record(std::span<const iovec> pieces, size_t skip);
  Status failure(int result, const char* doing);

  UniqueFd socket_;
  const std::shared_ptr<TlsContext> context_;
  std::mutex mutex_;  // an SSL object is one thread's at a time
  ssl_st* const ssl_;
  bool sealing_ = false;  // the record in `record_` has not gone yet
  size_t record_bytes_ = 0;
  std::atomic<bool> receiving_needs_room_{false};  // an answer to a change of keys waits for the socket
  std::atomic<bool> closed_{false};
  Spinner spinner_;
  std::unique_ptr<std::byte[]> record_;  // kRecordBytes, from the first send on: many connections never send
};

}  // namespace tessera::remote
