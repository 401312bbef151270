#include "remote/transport/tls_context.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

namespace tessera::remote {
namespace {

constexpr size_t kReadBytes = size_t{64} << 10;

Status wrong_file(const char* what, const std::string& path) {
  return Status::error(Code::kInvalidArgument, "cannot use %s %s: %s", what, path.c_str(),
                       take_tls_errors().c_str());
}

Status use_certificate(SSL_CTX* context, const std::string& certificate, const std::string& key) {
  if (SSL_CTX_use_certificate_chain_file(context, certificate.c_str()) != 1)
    return wrong_file("the certificate", certificate);
  if (SSL_CTX_use_PrivateKey_file(context, key.c_str(), SSL_FILETYPE_PEM) != 1)
    return wrong_file("the key", key);
  if (SSL_CTX_check_private_key(context) != 1) return wrong_file("the key", key + " with " + certificate);
  return Status();
}

// A password would be asked for on the terminal, of programs that know nothing of it.
int no_password(char*, int, int, void*) { return 0; }

Result<SSL_CTX*> new_context(const SSL_METHOD* method) {
  // Nothing of ours is destroyed at exit, and no file of the machine changes what we speak.
  OPENSSL_init_ssl(OPENSSL_INIT_NO_ATEXIT | OPENSSL_INIT_NO_LOAD_CONFIG, nullptr);
  ERR_clear_error();
  SSL_CTX* const context = SSL_CTX_new(method);
  if (context == nullptr)
    return Status::error(Code::kInternal, "OpenSSL does not start: %s", take_tls_errors().c_str());
  SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  // Several records with one system call.
  SSL_CTX_set_read_ahead(context, 1);
  SSL_CTX_set_default_read_buffer_len(context, kReadBytes);
  SSL_CTX_set_options(context,
                      SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_ciphersuites(context,
                           "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256");
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(context, 0);
  SSL_CTX_set_default_passwd_cb(context, no_password);
  return context;
}

}  // namespace

TlsContext::~TlsContext() { SSL_CTX_free(context_); }

std::string take_tls_errors() {
  const char* text = ERR_reason_error_string(ERR_peek_last_error());
  std::string result = text != nullptr ? text : "no reason given";
  ERR_clear_error();
  return result;
}

Result<std::shared_ptr<TlsContext>> TlsContext::client(const ClientFiles& files) {
  TESSERA_ASSIGN_OR_RETURN(SSL_CTX * made, new_context(TLS_client_method()));
  std::shared_ptr<TlsContext> context(new TlsContext(made, false));
  if (files.ca.empty()) {
    SSL_CTX_set_default_verify_paths(made);
  } else if (SSL_CTX_load_verify_locations(made, files.ca.c_str(), nullptr) != 1) {
    return wrong_file("the CA's certificate", files.ca);
  }
  SSL_CTX_set_verify(made, SSL_VERIFY_PEER, nullptr);
  if (files.certificate.empty() != files.key.empty())
    return Status(Code::kInvalidArgument, "a client's certificate and its key are given together");
  if (!files.certificate.empty())
    TESSERA_RETURN_IF_ERROR(use_certificate(made, files.certificate, files.key));
  return context;
}

Result<std::shared_ptr<TlsContext>> TlsContext::server(const ServerFiles& files) {
  TESSERA_ASSIGN_OR_RETURN(SSL_CTX * made, new_context(TLS_server_method()));
  std::shared_ptr<TlsContext> context(new TlsContext(made, true));
  TESSERA_RETURN_IF_ERROR(use_certificate(made, files.certificate, files.key));
  if (files.client_ca.empty()) return context;
  if (SSL_CTX_load_verify_locations(made, files.client_ca.c_str(), nullptr) != 1)
    return wrong_file("the clients' CA", files.client_ca);
  // Who shows no certificate may have a token; what is shown must be good.
  SSL_CTX_set_verify(made, SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_client_CA_list(made, SSL_load_client_CA_file(files.client_ca.c_str()));
  context->asks_for_certificates_ = true;
  return context;
}

}  // namespace tessera::remote
