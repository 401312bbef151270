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
#include "remote/transport/tls_bio.h"
#include "remote/transport/tls_context.h"
#include "remote/transport/transport.h"

struct ssl_st;  // SSL of OpenSSL

namespace tessera::remote {

class TlsTransport final : public Transport {
 public:
  static constexpr size_t kBindingBytes = 32;
  static constexpr size_t kRecordBytes = 16384;  // the most that a record of TLS holds

  // A client says which host it means: its certificate has to be that host's.
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

  // What only shaking hands needs: a server's certificate and its key, of this connection and of its context.
  void forget_key();

  int descriptor() const { return ends_.socket; }
  // Both ends compute the same, and nobody between them who ends the encryption does (RFC 9266).
  Result<std::array<std::byte, kBindingBytes>> channel_binding();
  // Of the peer's certificate, which was verified: its first DNS name, or its common name; empty: it showed
  // none.
  std::string peer_name();

 private:
  // A record on its way: the bytes in it, and where in the output it ends.
  struct Sealed {
    size_t plain = 0;
    size_t end = 0;
  };
  static constexpr size_t kRecordsAtOnce = 8;

  TlsTransport(UniqueFd socket, std::shared_ptr<TlsContext> context, ssl_st* ssl)
      : socket_(std::move(socket)), context_(std::move(context)), ssl_(ssl) {
    ends_.socket = socket_.get();
  }

  // Seals records of the bytes from `skip` on, up to kRecordsAtOnce of them.
  Status seal(std::span<const iovec> pieces, size_t skip);
  // Sends what is sealed, as far as there is room: how many of the bytes in it have gone as whole records.
  Result<size_t> send_sealed();
  size_t sealed_bytes() const;
  Status failure(int result, const char* doing);

  const UniqueFd socket_;
  const std::shared_ptr<TlsContext> context_;
  std::mutex mutex_;  // an SSL object is one thread's at a time
  TlsEnds ends_;
  ssl_st* const ssl_;
  std::array<Sealed, kRecordsAtOnce> sealed_;  // in order
  size_t sealed_count_ = 0;
  bool may_have_received_ = true;          // more than was asked for: no socket is readable for that
  std::atomic<bool> answers_wait_{false};  // what receiving has to send, for which there was no room
  std::atomic<bool> closed_{false};
  Spinner spinner_;
  std::unique_ptr<std::byte[]> record_;  // kRecordBytes, from the first send on: many connections never send
};

}  // namespace tessera::remote
