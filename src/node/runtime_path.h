// Where the daemon's socket lies, and whether the folder around it can be trusted.
#pragma once

#include <string>

#include "common/status.h"

namespace tessera::node {

// $TESSERA_SOCKET, else tesserad.sock in the first of: $XDG_RUNTIME_DIR/tessera, /run/tessera (root),
// /tmp/tessera-<uid>.
std::string default_socket_path();

// The folder of the socket. One of the default folders is made where it is missing (0700) and must belong to
// us alone; any other must exist, and nobody but us and root may be able to replace files in it. Symbolic
// links are refused.
Status prepare_socket_folder(const std::string& socket_path);

}  // namespace tessera::node
