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

}  // namespace tessera::vgpu
