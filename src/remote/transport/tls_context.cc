#include "remote/transport/tls_context.h"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <unistd.h>

#include <cerrno>
#include <span>
#include <vector>

#include "common/fd.h"
#include "remote/transport/tls_memory.h"

namespace tessera::remote {
namespace {

constexpr size_t kReadBytes = size_t{64} << 10;
constexpr size_t kMostKeyFileBytes = size_t{64} << 10;

Status wrong_file(const char* what, const std::string& path) {
  return Status::error(Code::kInvalidArgument, "cannot use %s %s: %s", what, path.c_str(),
                       take_tls_errors().c_str());
}

// A password would be asked for on the terminal, of programs that know nothing of it.
int no_password(char*, int, int, void*) { return 0; }

// No copy of what is in the file stays in memory: it is read into `space`, which is wiped.
bool read_key(const std::string& path, std::span<char> space, size_t* bytes) {
  const UniqueFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  for (*bytes = 0; file && *bytes < space.size();) {
    const ssize_t count = read(file.get(), space.data() + *bytes, space.size() - *bytes);
    if (count == 0) return true;
    if (count < 0 && errno != EINTR) return false;
    if (count > 0) *bytes += static_cast<size_t>(count);
  }
  return false;
}

bool use_key(SSL_CTX* context, const std::string& path) {
  std::vector<char> text(kMostKeyFileBytes);
  size_t bytes = 0;
  // Where it cannot be read, OpenSSL says why.
  if (!read_key(path, text, &bytes))
    return SSL_CTX_use_PrivateKey_file(context, path.c_str(), SSL_FILETYPE_PEM) == 1;
  BIO* const bio = BIO_new_mem_buf(text.data(), static_cast<int>(bytes));
  EVP_PKEY* const key =
      bio == nullptr ? nullptr : PEM_read_bio_PrivateKey(bio, nullptr, no_password, nullptr);
  BIO_free(bio);
  OPENSSL_cleanse(text.data(), text.size());
  const bool is_used = key != nullptr && SSL_CTX_use_PrivateKey(context, key) == 1;
  EVP_PKEY_free(key);
  return is_used;
}

Status use_certificate(SSL_CTX* context, const std::string& certificate, const std::string& key) {
  if (SSL_CTX_use_certificate_chain_file(context, certificate.c_str()) != 1)
    return wrong_file("the certificate", certificate);
  if (!use_key(context, key)) return wrong_file("the key", key);
  if (SSL_CTX_check_private_key(context) != 1) return wrong_file("the key", key + " with " + certificate);
  return Status();
}

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

// What a server shows while it shakes hands.
struct TlsContext::Shown {
  X509* certificate = nullptr;
  EVP_PKEY* key = nullptr;
  STACK_OF(X509) * chain = nullptr;

  ~Shown() {
    X509_free(certificate);
    EVP_PKEY_free(key);
    sk_X509_pop_free(chain, X509_free);
  }
};

struct TlsContext::Callbacks {
  static TlsContext& context_of(SSL* ssl) {
    return *static_cast<TlsContext*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
  }

  static int show(SSL* ssl, void*) {
    const Shown* shown = context_of(ssl).shown_.get();
    return shown != nullptr && SSL_use_cert_and_key(ssl, shown->certificate, shown->key, shown->chain, 1);
  }

  // A session that was never: it has the key and the cipher that belongs to it. Null where there is no
  // memory.
  static SSL_SESSION* session_of(SSL* ssl, const Key& key) {
    static constexpr unsigned char kAes128GcmSha256[] = {0x13, 0x01};
    const SSL_CIPHER* const cipher = SSL_CIPHER_find(ssl, kAes128GcmSha256);
    SSL_SESSION* const session = SSL_SESSION_new();
    const bool is_made = cipher != nullptr && session != nullptr &&
                         SSL_SESSION_set_cipher(session, cipher) == 1 &&
                         SSL_SESSION_set_protocol_version(session, TLS1_3_VERSION) == 1 &&
                         SSL_SESSION_set1_master_key(
                             session, reinterpret_cast<const unsigned char*>(key.data()), key.size()) == 1;
    if (is_made) return session;
    SSL_SESSION_free(session);
    return nullptr;
  }

  static int use(SSL* ssl, const EVP_MD*, const unsigned char** name, size_t* bytes, SSL_SESSION** session) {
    const auto& shared = context_of(ssl).shared_key_;
    *session = session_of(ssl, shared->key);
    *name = reinterpret_cast<const unsigned char*>(shared->name.data());
    *bytes = shared->name.size();
    return *session != nullptr;
  }

  static int find(SSL* ssl, const unsigned char* name, size_t bytes, SSL_SESSION** session) {
    auto key = context_of(ssl).find_key_(std::as_bytes(std::span(name, bytes)));
    *session = key ? session_of(ssl, *key) : nullptr;
    if (key) OPENSSL_cleanse(key->data(), key->size());
    return key.has_value() == (*session != nullptr);
  }
};

TlsContext::TlsContext(ssl_ctx_st* context, bool is_server) : context_(context), is_server_(is_server) {
  SSL_CTX_set_app_data(context, this);
}

TlsContext::~TlsContext() {
  SSL_CTX_free(context_);
  if (shared_key_) OPENSSL_cleanse(shared_key_->key.data(), shared_key_->key.size());
}

void TlsContext::forget_key() { shown_.reset(); }

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
  TESSERA_RETURN_IF_ERROR(wipe_tls_memory());
  TESSERA_ASSIGN_OR_RETURN(SSL_CTX * made, new_context(TLS_server_method()));
  std::shared_ptr<TlsContext> context(new TlsContext(made, true));
  {
    // Put together and looked at in a context that goes again.
    TESSERA_ASSIGN_OR_RETURN(SSL_CTX * files_only, new_context(TLS_server_method()));
    const std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> ended(files_only, &SSL_CTX_free);
    TESSERA_RETURN_IF_ERROR(use_certificate(files_only, files.certificate, files.key));
    context->shown_ = std::make_unique<Shown>();
    context->shown_->certificate = SSL_CTX_get0_certificate(files_only);
    context->shown_->key = SSL_CTX_get0_privatekey(files_only);
    X509_up_ref(context->shown_->certificate);
    EVP_PKEY_up_ref(context->shown_->key);
    STACK_OF(X509)* chain = nullptr;
    if (SSL_CTX_get0_chain_certs(files_only, &chain) == 1 && chain != nullptr)
      context->shown_->chain = X509_chain_up_ref(chain);
  }
  SSL_CTX_set_cert_cb(made, Callbacks::show, nullptr);
  if (files.client_ca.empty()) return context;
  if (SSL_CTX_load_verify_locations(made, files.client_ca.c_str(), nullptr) != 1)
    return wrong_file("the clients' CA", files.client_ca);
  // Who shows no certificate may have a token; what is shown must be good.
  SSL_CTX_set_verify(made, SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_client_CA_list(made, SSL_load_client_CA_file(files.client_ca.c_str()));
  context->asks_for_certificates_ = true;
  return context;
}

Result<std::shared_ptr<TlsContext>> TlsContext::client_by_key(const SharedKey& key) {
  TESSERA_ASSIGN_OR_RETURN(SSL_CTX * made, new_context(TLS_client_method()));
  std::shared_ptr<TlsContext> context(new TlsContext(made, false));
  context->shared_key_ = key;
  SSL_CTX_set_psk_use_session_callback(made, Callbacks::use);
  // Nobody's certificate would do: no CA is trusted.
  SSL_CTX_set_verify(made, SSL_VERIFY_PEER, nullptr);
  return context;
}

Result<std::shared_ptr<TlsContext>> TlsContext::server_by_key(FindKey find) {
  TESSERA_ASSIGN_OR_RETURN(SSL_CTX * made, new_context(TLS_server_method()));
  std::shared_ptr<TlsContext> context(new TlsContext(made, true));
  context->find_key_ = std::move(find);
  SSL_CTX_set_psk_find_session_callback(made, Callbacks::find);
  return context;
}

}  // namespace tessera::remote
