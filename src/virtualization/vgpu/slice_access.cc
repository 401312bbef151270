#include "virtualization/vgpu/slice_access.h"

#include "common/strings.h"

namespace tessera::vgpu {

SliceAccess SliceAccess::from_environment() {
  return {env_or("TESSERA_SLICE", ""), env_or("TESSERA_SOCKET", "")};
}

Result<SliceToken> SliceAccess::checked_token() const {
  if (socket_path.empty()) {
    return Status(Code::kInvalidArgument, "TESSERA_SLICE is set, TESSERA_SOCKET is not");
  }
  return parse_slice_token(token);
}

}  // namespace tessera::vgpu
