// OpenSSL's way to a socket. What it writes is collected, so that several records go in one system call; what
// it reads comes straight from the socket. OpenSSL's own one would end the program by SIGPIPE where the peer
// has gone.
#pragma once

#include <cstddef>
#include <vector>

#include "common/status.h"

struct bio_st;  // BIO of OpenSSL

namespace tessera::remote {

class TlsOutput {
 public:
  // As many bytes as the socket takes now: whether none are left.
  Result<bool> flush(int socket);
  size_t waiting() const { return bytes_.size() - sent_; }
  // How many bytes have ever been written into it, and how many of them have gone.
  size_t written() const { return written_; }
  size_t gone() const { return written_ - waiting(); }
  void append(const char* bytes, size_t count);

 private:
  std::vector<char> bytes_;
  size_t sent_ = 0;  // of bytes_
  size_t written_ = 0;
};

// Both outlive it. Null where there is no memory.
struct TlsEnds {
  int socket = -1;
  TlsOutput output;
};
bio_st* new_socket_bio(TlsEnds* ends);

}  // namespace tessera::remote
