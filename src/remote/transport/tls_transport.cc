#include "remote/transport/tls_transport.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "remote/transport/socket_transport.h"

namespace tessera::remote {
namespace {

bool is_address(const std::string& host) {
  unsigned char space[sizeof(in6_addr)];
  return inet_pton(AF_INET, host.c_str(), space) == 1 || inet_pton(AF_INET6, host.c_str(), space) == 1;
}

bool expect_host(SSL* ssl, const std::string& host) {
  if (is_address(host)) return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host.c_str()) == 1;
  SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  return SSL_set1_host(ssl, host.c_str()) == 1 && SSL_set_tlsext_host_name(ssl, host.c_str()) == 1;
}

// The bytes of `pieces` from `skip` on that fit into `space`, put together.
size_t gather(std::span<const iovec> pieces, size_t skip, std::span<std::byte> space) {
  size_t filled = 0;
  for (const iovec& piece : pieces) {
    if (skip >= piece.iov_len) {
      skip -= piece.iov_len;
      continue;
    }
    const size_t count = std::min(piece.iov_len - skip, space.size() - filled);
    std::memcpy(space.data() + filled, static_cast<const std::byte*>(piece.iov_base) + skip, count);
    filled += count;
    skip = 0;
    if (filled == space.size()) break;
  }
  return filled;
}

std::string text_of(const ASN1_STRING* string) {
  unsigned char* text = nullptr;
  const int bytes = ASN1_STRING_to_UTF8(&text, string);
  if (bytes < 0) return "";
  std::string result(reinterpret_cast<const char*>(text), static_cast<size_t>(bytes));
  OPENSSL_free(text);
  // A zero byte within would let "alice\0.evil" pass for "alice".
  return result.find('\0') == std::string::npos ? result : "";
}

std::string first_dns_name(X509* certificate) {
  auto* const names =
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
  std::string found;
  for (int i = 0; found.empty() && i < sk_GENERAL_NAME_num(names); ++i) {
    const GENERAL_NAME* const name = sk_GENERAL_NAME_value(names, i);
    if (name->type == GEN_DNS) found = text_of(name->d.dNSName);
  }
  GENERAL_NAMES_free(names);
  return found;
}

std::string common_name(X509* certificate) {
  X509_NAME* const subject = X509_get_subject_name(certificate);
  const int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
  return at < 0 ? "" : text_of(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
}

// How it ends where only one side has the key: neither has a certificate that the other would take.
bool lacks_key(int reason) {
  return reason == SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE || reason == SSL_R_CERTIFICATE_VERIFY_FAILED;
}

}  // namespace

Result<std::unique_ptr<TlsTransport>> TlsTransport::create(UniqueFd socket,
                                                           std::shared_ptr<TlsContext> context,
                                                           const std::string& host) {
  TESSERA_RETURN_IF_ERROR(prepare_socket(socket.get()));
  ERR_clear_error();
  SSL* const ssl = SSL_new(context->get());
  const bool server = context->is_server();
  // From here on it is freed with the transport.
  if (ssl == nullptr) return Status(Code::kResourceExhausted, "no memory for a TLS connection");
  std::unique_ptr<TlsTransport> transport(new TlsTransport(std::move(socket), std::move(context), ssl));
  BIO* const bio = new_socket_bio(&transport->ends_);
  if (bio == nullptr) return Status(Code::kResourceExhausted, "no memory for a TLS connection");
  SSL_set_bio(ssl, bio, bio);
  if (!server && !expect_host(ssl, host))
    return Status::error(Code::kInvalidArgument, "TLS to '%s': %s", host.c_str(), take_tls_errors().c_str());
  server ? SSL_set_accept_state(ssl) : SSL_set_connect_state(ssl);
  return transport;
}

TlsTransport::~TlsTransport() { SSL_free(ssl_); }

Status TlsTransport::failure(int result, const char* doing) {
  const int reason = SSL_get_error(ssl_, result);
  if (reason == SSL_ERROR_ZERO_RETURN) return ended_connection();
  if (reason == SSL_ERROR_SYSCALL && ERR_peek_error() == 0)
    return errno != 0 ? broken_connection(errno) : ended_connection();
  return Status::error(Code::kUnavailable, "TLS fails while %s: %s", doing, take_tls_errors().c_str());
}

Result<unsigned> TlsTransport::handshake() {
  const std::lock_guard lock(mutex_);
  ERR_clear_error();
  errno = 0;
  const int result = SSL_do_handshake(ssl_);
  const int reason = SSL_get_error(ssl_, result);
  // An alert is worth sending, too.
  const auto flushed = ends_.output.flush(ends_.socket);
  if (result == 1 || reason == SSL_ERROR_WANT_READ) {
    if (!flushed.ok()) return flushed.status();
    if (!*flushed) return static_cast<unsigned>(kWritable);
    return result == 1 ? 0U : static_cast<unsigned>(kReadable);
  }
  if (context_->is_by_key() && lacks_key(ERR_GET_REASON(ERR_peek_last_error()))) {
    return Status::error(Code::kPermissionDenied, "the other side does not have the key: %s",
                         take_tls_errors().c_str());
  }
  // Where there are no certificates it says nothing.
  const long verified = context_->is_by_key() ? X509_V_OK : SSL_get_verify_result(ssl_);
  if (verified != X509_V_OK) {
    ERR_clear_error();
    return Status::error(Code::kPermissionDenied, "the %s certificate is not accepted: %s",
                         context_->is_server() ? "client's" : "server's",
                         X509_verify_cert_error_string(verified));
  }
  return failure(result, "shaking hands");
}

void TlsTransport::forget_key() {
  const std::lock_guard lock(mutex_);
  SSL_certs_clear(ssl_);
  context_->forget_key();
}

size_t TlsTransport::sealed_bytes() const {
  size_t bytes = 0;
  for (size_t i = 0; i < sealed_count_; ++i) bytes += sealed_[i].plain;
  return bytes;
}

Status TlsTransport::seal(std::span<const iovec> pieces, size_t skip) {
  if (!record_) record_ = std::make_unique<std::byte[]>(kRecordBytes);
  while (sealed_count_ < kRecordsAtOnce) {
    const size_t count = gather(pieces, skip, {record_.get(), kRecordBytes});
    if (count == 0) return Status();
    ERR_clear_error();
    errno = 0;
    const int result = SSL_write(ssl_, record_.get(), static_cast<int>(count));
    if (result <= 0) return failure(result, "sending");
    skip += count;
    sealed_[sealed_count_++] = {count, ends_.output.written()};
  }
  return Status();
}

Result<size_t> TlsTransport::send_sealed() {
  TESSERA_RETURN_IF_ERROR(ends_.output.flush(ends_.socket).status());
  size_t gone = 0, records = 0;
  while (records < sealed_count_ && sealed_[records].end <= ends_.output.gone())
    gone += sealed_[records++].plain;
  std::copy(sealed_.begin() + records, sealed_.begin() + sealed_count_, sealed_.begin());
  sealed_count_ -= records;
  return gone;
}

Result<size_t> TlsTransport::send(std::span<const iovec> pieces) {
  size_t total = 0, taken = 0;
  for (const iovec& piece : pieces) total += piece.iov_len;
  while (taken < total) {
    // Held for some records at a time: whoever receives gets its turn between them.
    const std::lock_guard lock(mutex_);
    if (closed_) return ended_connection();
    if (sealed_bytes() > total - taken)
      return Status(Code::kInternal, "a send began with other bytes than the one before had left");
    if (sealed_count_ == 0) TESSERA_RETURN_IF_ERROR(seal(pieces, taken));
    TESSERA_ASSIGN_OR_RETURN(const size_t gone, send_sealed());
    taken += gone;
    if (sealed_count_ > 0) break;
  }
  return taken;
}

Result<size_t> TlsTransport::receive(std::span<std::byte> space) {
  size_t received = 0;
  const std::lock_guard lock(mutex_);
  may_have_received_ = true;
  while (received < space.size()) {
    ERR_clear_error();
    errno = 0;
    const int most = static_cast<int>(std::min<size_t>(space.size() - received, INT32_MAX));
    const int result = SSL_read(ssl_, space.data() + received, most);
    if (result > 0) {
      received += static_cast<size_t>(result);
      continue;
    }
    const int reason = SSL_get_error(ssl_, result);
    may_have_received_ = reason != SSL_ERROR_WANT_READ;
    if (reason == SSL_ERROR_WANT_READ) break;
    if (received > 0) break;  // the next call says it again
    return failure(result, "receiving");
  }
  // A change of keys is answered.
  if (ends_.output.waiting() > 0) TESSERA_RETURN_IF_ERROR(ends_.output.flush(ends_.socket).status());
  answers_wait_ = ends_.output.waiting() > 0 && sealed_count_ == 0;
  return received;
}

Result<unsigned> TlsTransport::wait(unsigned wanted, std::chrono::nanoseconds limit) {
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return wanted;
    if ((wanted & kReadable) != 0 && may_have_received_) return static_cast<unsigned>(kReadable);
  }
  unsigned asked = wanted;
  if (answers_wait_ && (wanted & kReadable) != 0) asked |= kWritable;
  Result<unsigned> now = 0u;
  const bool ready = spinner_.spin<1>(limit.count() > 0 ? static_cast<uint64_t>(limit.count()) : 0, [&] {
    now = poll_socket(socket_.get(), asked, std::chrono::nanoseconds(0));
    return !now.ok() || *now != 0;
  });
  if (!ready) now = poll_socket(socket_.get(), asked, limit);
  if (now.ok() && asked != wanted && (*now & kWritable) != 0) return (*now | kReadable) & wanted;
  return now;
}

void TlsTransport::shutdown() {
  const std::lock_guard lock(mutex_);
  if (!closed_.exchange(true) && SSL_is_init_finished(ssl_)) {
    ERR_clear_error();
    (void)SSL_shutdown(ssl_);  // says goodbye, if there is room for it
    (void)ends_.output.flush(ends_.socket);
    ERR_clear_error();
  }
  (void)::shutdown(socket_.get(), SHUT_RDWR);
}

Result<std::array<std::byte, TlsTransport::kBindingBytes>> TlsTransport::channel_binding() {
  static constexpr char kLabel[] = "EXPORTER-Channel-Binding";
  std::array<std::byte, kBindingBytes> binding;
  const std::lock_guard lock(mutex_);
  if (SSL_export_keying_material(ssl_, reinterpret_cast<unsigned char*>(binding.data()), binding.size(),
                                 kLabel, sizeof kLabel - 1, nullptr, 0, 0) != 1)
    return Status::error(Code::kInternal, "TLS has no channel binding: %s", take_tls_errors().c_str());
  return binding;
}

std::string TlsTransport::peer_name() {
  const std::lock_guard lock(mutex_);
  X509* const certificate = SSL_get1_peer_certificate(ssl_);
  if (certificate == nullptr) return "";
  std::string name = SSL_get_verify_result(ssl_) == X509_V_OK ? first_dns_name(certificate) : "";
  if (name.empty() && SSL_get_verify_result(ssl_) == X509_V_OK) name = common_name(certificate);
  X509_free(certificate);
  return name;
}

}  // namespace tessera::remote
