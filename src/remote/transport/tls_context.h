// What both ends need for TLS 1.3: whose certificates they trust and which they show. No older version is
// spoken.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "common/bytes.h"
#include "common/status.h"

struct ssl_ctx_st;  // SSL_CTX of OpenSSL, which stays out of headers

namespace tessera::remote {

// Safe from several threads.
class TlsContext {
 public:
  struct ClientFiles {
    std::string ca;           // PEM; empty: the system's
    std::string certificate;  // PEM chain, with `key`; empty: shows none
    std::string key;
  };
  struct ServerFiles {
    std::string certificate;  // PEM chain
    std::string key;
    std::string client_ca;  // PEM; empty: clients are asked for no certificate
  };

  // A key that both ends have: neither shows a certificate, and who knows it not gets nowhere. The name says
  // which one is meant, and goes in clear.
  using Key = std::array<std::byte, 32>;
  struct SharedKey {
    Key name{}, key{};
  };
  using FindKey = std::function<std::optional<Key>(ByteSpan name)>;

  // Errors name the file and what OpenSSL says of it.
  static Result<std::shared_ptr<TlsContext>> client(const ClientFiles& files);
  static Result<std::shared_ptr<TlsContext>> server(const ServerFiles& files);
  static Result<std::shared_ptr<TlsContext>> client_by_key(const SharedKey& key);
  static Result<std::shared_ptr<TlsContext>> server_by_key(FindKey find);

  // A server's key is needed for nothing any more: it leaves this process's memory.
  void forget_key();

  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;
  ~TlsContext();

  bool is_server() const { return is_server_; }
  bool is_by_key() const { return shared_key_.has_value() || find_key_ != nullptr; }
  bool asks_for_certificates() const { return asks_for_certificates_; }
  ssl_ctx_st* get() const { return context_; }

 private:
  struct Callbacks;  // OpenSSL's, of its types
  struct Shown;      // a server's certificate, with its key
  TlsContext(ssl_ctx_st* context, bool is_server);

  ssl_ctx_st* const context_;
  const bool is_server_;
  bool asks_for_certificates_ = false;
  std::unique_ptr<Shown> shown_;         // apart from the context, which nothing can be taken out of
  std::optional<SharedKey> shared_key_;  // of a client that has one
  FindKey find_key_;                     // of a server whose clients do
};

// What OpenSSL's queue of this thread says last, which is emptied.
std::string take_tls_errors();

}  // namespace tessera::remote
