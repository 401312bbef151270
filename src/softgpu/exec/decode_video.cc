// The video instructions, without selectors of bytes and halves (the parser knows none).
#include <optional>

#include "softgpu/exec/flags.h"
#include "softgpu/exec/function_decoder.h"

namespace tessera::softgpu::exec {
namespace {

struct VideoName {
  const char* name;
  VideoOperation operation;
  bool in_parts;  // has forms ending in 2 and 4
};
constexpr VideoName kNames[] = {
    {"vadd", kVideoAdd, true},  {"vsub", kVideoSub, true},  {"vabsdiff", kVideoAbsdiff, true},
    {"vmin", kVideoMin, true},  {"vmax", kVideoMax, true},  {"vavrg", kVideoAverage, true},
    {"vset", kVideoSet, true},  {"vshl", kVideoShl, false}, {"vshr", kVideoShr, false},
    {"vmad", kVideoMad, false},
};

struct Shape {
  VideoOperation operation;
  uint32_t parts;
};
std::optional<Shape> shape_of(const std::string& opcode) {
  for (const VideoName& known : kNames) {
    if (opcode == known.name && known.operation != kVideoAverage) return Shape{known.operation, 1};
    if (known.in_parts && opcode == std::string(known.name) + "2") return Shape{known.operation, 2};
    if (known.in_parts && opcode == std::string(known.name) + "4") return Shape{known.operation, 4};
  }
  return std::nullopt;
}

struct FlagName {
  const char* name;
  uint32_t flags;
};
constexpr FlagName kFlagNames[] = {
    {"sat", kSaturate},
    {"clamp", kVideoClamp},
    {"wrap", 0},
    {"add", kVideoThenAdd},
    {"min", kVideoThenMin},
    {"max", kVideoThenMax},
    {"shr7", 7u << kVideoScaleShift},
    {"shr15", 15u << kVideoScaleShift},
    {"eq", kEq << kVideoCompareShift},
    {"ne", kNe << kVideoCompareShift},
    {"lt", kLt << kVideoCompareShift},
    {"le", kLe << kVideoCompareShift},
    {"gt", kGt << kVideoCompareShift},
    {"ge", kGe << kVideoCompareShift},
};

}  // namespace

bool is_video(const std::string& opcode) { return shape_of(opcode).has_value(); }

Status FunctionDecoder::video(const Instruction& in) {
  const Shape shape = *shape_of(in.opcode);
  uint32_t flags = shape.operation;
  // Types come first: of d, a and b; vset has none for d.
  const uint32_t signs[] = {kVideoSignedD, kVideoSignedA, kVideoSignedB};
  size_t type = shape.operation == kVideoSet ? 1 : 0;
  size_t next = 0;
  for (;
       next < in.modifiers.size() && type < 3 && (in.modifiers[next] == "s32" || in.modifiers[next] == "u32");
       ++next, ++type) {
    if (in.modifiers[next] == "s32") flags |= signs[type];
  }
  if (type != 3) return unsupported(in);
  for (; next < in.modifiers.size(); ++next) {
    bool known = false;
    for (const FlagName& name : kFlagNames) {
      if (in.modifiers[next] != name.name) continue;
      flags |= name.flags;
      known = true;
    }
    if (!known) return unsupported(in);
  }
  const bool third = (flags & kVideoSecondMask) != 0 || shape.operation == kVideoMad;
  if (in.operands.size() < (third ? 4u : 3u) || in.operands.size() > 4)
    return malformed(in, "wrong number of operands");
  TESSERA_ASSIGN_OR_RETURN(const ValueId d, destination(in, in.operands[0], 'w'));
  TESSERA_ASSIGN_OR_RETURN(const ValueId a, source(in, in.operands[1], 'w'));
  TESSERA_ASSIGN_OR_RETURN(const ValueId b, source(in, in.operands[2], 'w'));
  ValueId c = builder_.constant(Width::k32, 0);
  if (in.operands.size() == 4) {
    TESSERA_ASSIGN_OR_RETURN(c, source(in, in.operands[3], 'w'));
  }
  ProtoOp& proto = emit("video", {d, a, b, c});
  proto.op.aux = flags;
  proto.op.aux2 = shape.parts;
  return {};
}

}  // namespace tessera::softgpu::exec
