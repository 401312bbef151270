#include "partitioning/compute_spec.h"

#include <iterator>

namespace tessera::partitioning {
namespace {

constexpr const char* kModeNames[] = {"auto", "time", "space"};

}  // namespace

const char* sm_mode_name(SmMode mode) { return kModeNames[static_cast<size_t>(mode)]; }

std::optional<SmMode> parse_sm_mode(std::string_view name) {
  for (size_t i = 0; i < std::size(kModeNames); ++i) {
    if (name == kModeNames[i]) return static_cast<SmMode>(i);
  }
  return std::nullopt;
}

Status check_compute(const ComputeSpec& spec) {
  TESSERA_RETURN_IF_ERROR(scheduling::check_spec(spec));
  if (spec.mode != SmMode::kSpace || spec.share_permille != 0) return Status();
  return Status(Code::kInvalidArgument, "a slice in space needs a share: give --sm with --sm-mode space");
}

}  // namespace tessera::partitioning
