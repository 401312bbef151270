// OpenSSL's way to a socket. Its own one would end the program by SIGPIPE where the peer has gone.
#pragma once

struct bio_st;  // BIO of OpenSSL

namespace tessera::remote {

// The socket stays the caller's. Null where there is no memory.
bio_st* new_socket_bio(int socket);

}  // namespace tessera::remote
