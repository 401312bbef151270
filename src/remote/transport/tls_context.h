// What both ends need for TLS 1.3: whose certificates they trust and which they show. No older version is
// spoken.
#pragma once

#include <memory>
#include <string>

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

  // Errors name the file and what OpenSSL says of it.
  static Result<std::shared_ptr<TlsContext>> client(const ClientFiles& files);
  static Result<std::shared_ptr<TlsContext>> server(const ServerFiles& files);

  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;
  ~TlsContext();

  bool is_server() const { return is_server_; }
  bool asks_for_certificates() const { return asks_for_certificates_; }
  ssl_ctx_st* get() const { return context_; }

 private:
  TlsContext(ssl_ctx_st* context, bool is_server) : context_(context), is_server_(is_server) {}

  ssl_ctx_st* const context_;
  const bool is_server_;
  bool asks_for_certificates_ = false;
};

// What OpenSSL's queue of this thread says last, which is emptied.
std::string take_tls_errors();

}  // namespace tessera::remote
