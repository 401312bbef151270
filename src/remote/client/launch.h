// What goes before every launch.
#pragma once

#include "common/bytes.h"

namespace tessera::remote {

class Session;

// Memory of the program that these parameters name, and that the device has not been seen to use before, is
// compared from here on; what the program has changed in any such is sent.
void publish_host_memory(Session& session, ByteSpan parameters);

}  // namespace tessera::remote
