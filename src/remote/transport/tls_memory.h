// What OpenSSL gives back to the heap may have been a key, or a part of one: it decodes keys through memory
// that it frees as it is.
#pragma once

#include "common/status.h"

namespace tessera::remote {

// From here on all that OpenSSL frees is overwritten first, until stop_wiping_tls_memory(). Fails where
// OpenSSL had memory of its own before this library was there.
Status wipe_tls_memory();
// No key is left, and none comes: buffers of records are freed all the time.
void stop_wiping_tls_memory();

}  // namespace tessera::remote
