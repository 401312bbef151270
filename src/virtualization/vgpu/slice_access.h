// How a program reaches its slice: what `tessera run` put into its environment.
#pragma once

#include <string>

#include "virtualization/lease/connection.h"

namespace tessera::vgpu {

struct SliceAccess {
  std::string token;        // TESSERA_SLICE; empty: the program runs in no slice
  std::string socket_path;  // TESSERA_SOCKET

  static SliceAccess from_environment();
  Result<SliceToken> checked_token() const;
};

// kPermissionDenied in a program with raised privileges: its environment is not obeyed, so there is no slice
// to hold it to, and without a slice it would have the whole GPU.
Status check_privileges();

}  // namespace tessera::vgpu
