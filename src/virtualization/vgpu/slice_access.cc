#include "virtualization/vgpu/slice_access.h"

#include "virtualization/inherited.h"

namespace tessera::vgpu {

SliceAccess SliceAccess::from_environment() {
  return {inherited("TESSERA_SLICE"), inherited("TESSERA_SOCKET")};
}

Result<SliceToken> SliceAccess::checked_token() const {
  if (socket_path.empty()) {
    return Status(Code::kInvalidArgument, "TESSERA_SLICE is set, TESSERA_SOCKET is not");
  }
  return parse_slice_token(token);
}

Status check_privileges() {
  if (!has_raised_privileges()) return Status();
  return Status(Code::kPermissionDenied,
                "this program runs with raised privileges (set-user-ID, set-group-ID or file capabilities): "
                "Tessera does "
                "not obey its environment, so it has no slice and gets no GPU");
}

}  // namespace tessera::vgpu
