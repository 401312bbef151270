#include "remote/transport/tls_bio.h"

#include <openssl/bio.h>
#include <sys/socket.h>

#include <cerrno>

#include "remote/transport/socket_transport.h"

namespace tessera::remote {
namespace {

TlsEnds& ends_of(BIO* bio) { return *static_cast<TlsEnds*>(BIO_get_data(bio)); }

bool may_be_tried_again(int error_number) {
  return error_number == EAGAIN || error_number == EWOULDBLOCK || error_number == EINTR;
}

int write_collected(BIO* bio, const char* bytes, int count) {
  BIO_clear_retry_flags(bio);
  ends_of(bio).output.append(bytes, static_cast<size_t>(count));
  return count;
}

int read_socket(BIO* bio, char* space, int count) {
  BIO_clear_retry_flags(bio);
  const ssize_t received = recv(ends_of(bio).socket, space, static_cast<size_t>(count), MSG_DONTWAIT);
  if (received < 0 && may_be_tried_again(errno)) BIO_set_retry_read(bio);
  if (received == 0) BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
  return static_cast<int>(received);
}

long control_socket(BIO* bio, int command, long, void*) {
  if (command == BIO_CTRL_FLUSH) return 1;
  if (command == BIO_CTRL_EOF) return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0 ? 1 : 0;
  return 0;
}

// Made once and kept for as long as the process lives.
const BIO_METHOD* socket_method() {
  static const BIO_METHOD* const method = [] {
    BIO_METHOD* const made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK | BIO_TYPE_DESCRIPTOR,
                                          "socket without signals");
    if (made == nullptr) return made;
    BIO_meth_set_write(made, write_collected);
    BIO_meth_set_read(made, read_socket);
    BIO_meth_set_ctrl(made, control_socket);
    return made;
  }();
  return method;
}

}  // namespace

void TlsOutput::append(const char* bytes, size_t count) {
  bytes_.insert(bytes_.end(), bytes, bytes + count);
  written_ += count;
}

Result<bool> TlsOutput::flush(int socket) {
  while (waiting() > 0) {
    const ssize_t count = send(socket, bytes_.data() + sent_, waiting(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && may_be_tried_again(errno)) return false;
    if (count < 0) return broken_connection(errno);
    sent_ += static_cast<size_t>(count);
  }
  // Many connections never send again: they keep no memory for it.
  constexpr size_t kKeptBytes = size_t{32} << 10;
  sent_ = 0;
  bytes_.clear();
  if (bytes_.capacity() < kKeptBytes) bytes_.shrink_to_fit();
  return true;
}

bio_st* new_socket_bio(TlsEnds* ends) {
  const BIO_METHOD* const method = socket_method();
  BIO* const bio = method != nullptr ? BIO_new(method) : nullptr;
  if (bio == nullptr) return nullptr;
  BIO_set_data(bio, ends);
  BIO_set_init(bio, 1);
  return bio;
}

}  // namespace tessera::remote
