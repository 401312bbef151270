// cvt in its forms: one value, two packed, saturating pack.
#include <optional>

#include "softgpu/exec/flags.h"
#include "softgpu/exec/function_decoder.h"
#include "softgpu/exec/handler_table.h"

namespace tessera::softgpu::exec {
namespace {

struct FormatName {
  const char* name;
  Format format;
};
constexpr FormatName kFormats[] = {
    {"u8", kFmtU8},     {"s8", kFmtS8},   {"u16", kFmtU16}, {"s16", kFmtS16}, {"u32", kFmtU32},
    {"s32", kFmtS32},   {"u64", kFmtU64}, {"s64", kFmtS64}, {"f16", kFmtF16}, {"bf16", kFmtBF16},
    {"tf32", kFmtTF32}, {"f32", kFmtF32}, {"f64", kFmtF64},
};
std::optional<Format> format_of(const std::string& type) {
  for (const FormatName& known : kFormats) {
    if (type == known.name) return known.format;
  }
  return std::nullopt;
}
bool is_float8_pair(const std::string& type) { return type == "e4m3x2" || type == "e5m2x2"; }
bool is_float(const std::string& type) { return type[0] == 'f' || type[0] == 'b' || type == "tf32"; }

struct FlagName {
  const char* name;
  uint32_t flags;
};
constexpr FlagName kFlagNames[] = {
    {"rn", kNearest << kRoundShift},
    {"rz", kTowardZero << kRoundShift},
    {"rm", kDown << kRoundShift},
    {"rp", kUp << kRoundShift},
    {"rna", kNearestAway << kRoundShift},
    {"rni", (kNearest << kRoundShift) | kIntegral},
    {"rzi", (kTowardZero << kRoundShift) | kIntegral},
    {"rmi", (kDown << kRoundShift) | kIntegral},
    {"rpi", (kUp << kRoundShift) | kIntegral},
    {"ftz", kFlush},
    {"sat", kSaturate},
    {"relu", kRelu},
    {"satfinite", kSaturateFinite},
};
bool flags_of(const ptx::Instruction& in, uint32_t* flags, std::string* round) {
  for (size_t i = 0; i + 2 < in.modifiers.size(); ++i) {
    bool known = false;
    for (const FlagName& name : kFlagNames) {
      if (in.modifiers[i] != name.name) continue;
      *flags |= name.flags;
      if (in.modifiers[i][0] == 'r' && in.modifiers[i] != "relu") *round = in.modifiers[i] + ".";
      known = true;
    }
    if (!known) return false;
  }
  return true;
}

char letter_of(const std::string& type) {
  const uint32_t bits = type_bits(type);
  return type == "f32" ? 'f' : type == "f64" ? 'd' : bits <= 16 ? 'h' : bits == 32 ? 'w' : 'q';
}
char register_letter(Width width) { return width == Width::k16 ? 'h' : width == Width::k32 ? 'w' : 'q'; }

}  // namespace

// d and a have the natural widths of their types; 8-bit values live in 16-bit registers.
Status FunctionDecoder::convert_one(const Instruction& in, const std::string& to, const std::string& from,
                                    uint32_t flags, ValueId d, ValueId a, Width d_width, Width a_width) {
  const auto to_format = format_of(to);
  const auto from_format = format_of(from);
  if (!to_format || !from_format || *from_format == kFmtTF32) return unsupported(in);
  constexpr const char* kRounds[] = {"rn.", "rz.", "rm.", "rp.", "rna."};
  constexpr const char* kIntegralRounds[] = {"rni.", "rzi.", "rmi.", "rpi."};
  const uint32_t mode = (flags & kRoundMask) >> kRoundShift;
  constexpr uint32_t kGeneral = kFlush | kSaturate | kRelu | kSaturateFinite;
  if ((flags & kGeneral) == 0 && (flags & kIntegral) == 0 && mode == kNearest) {
    const bool integers = !is_float(to) && !is_float(from);
    const std::string target = integers && type_bits(to) > 8 ? "b" + std::to_string(type_bits(to)) : to;
    for (const std::string& name : {"cvt." + target + "." + from, "cvt.rn." + target + "." + from}) {
      if (find_handler(name) == nullptr) continue;
      emit(name, {d, a});
      return {};
    }
  }
  if ((flags & kGeneral) == 0) {
    const std::string round = (flags & kIntegral) != 0 ? kIntegralRounds[mode] : kRounds[mode];
    if (const std::string name = "cvt." + round + to + "." + from; find_handler(name) != nullptr) {
      emit(name, {d, a});
      return {};
    }
  }
  const char upper = static_cast<char>(register_letter(d_width) - 'a' + 'A');
  ProtoOp& proto = emit(std::string("convert.") + upper + register_letter(a_width), {d, a});
  proto.op.aux = flags;
  proto.op.aux2 = static_cast<uint32_t>(*to_format) | static_cast<uint32_t>(*from_format) << 8;
  return {};
}

Status FunctionDecoder::convert(const Instruction& in) {
  if (in.modifiers.size() < 2) return malformed(in, "expected two types");
  if (in.modifiers[0] == "pack") return convert_pack(in);
  const std::string& to = in.modifiers[in.modifiers.size() - 2];
  const std::string& from = type_of(in);
  if (is_float8_pair(to) || is_float8_pair(from)) return convert_float8(in);
  if (to == "f16x2" || to == "bf16x2") return convert_pair(in);
  uint32_t flags = 0;
  std::string round;
  if (in.operands.size() != 2 || !format_of(to) || !format_of(from) || !flags_of(in, &flags, &round))
    return unsupported(in);
  TESSERA_ASSIGN_OR_RETURN(const ValueId a, source(in, in.operands[1], letter_of(from)));
  const Operand& target = in.operands[0];
  if (target.kind != ptx::OperandKind::kRegister) return malformed(in, "the destination is no register");
  const Width natural = width_of_bits(type_bits(to));
  const ValueId wanted =
      registers_[static_cast<size_t>(target.reg)] + (target.component > 0 ? target.component : 0);
  const Width actual = builder_.value(wanted).width;
  const Width a_width = width_of_bits(type_bits(from));
  if (actual == natural) return convert_one(in, to, from, flags, wanted, a, natural, a_width);
  // A destination wider than its type takes the value extended by the type's sign.
  if (actual == Width::kPredicate || actual < natural)
    return malformed(in, "a destination register of the wrong size");
  const ValueId narrow = builder_.new_register(natural);
  TESSERA_RETURN_IF_ERROR(convert_one(in, to, from, flags, narrow, a, natural, a_width));
  const std::string sign = to[0] == 's' ? "s" : "u";
  emit("widen." + sign + (natural == Width::k16 ? "16." : "32.") + (actual == Width::k32 ? "32" : "64"),
       {wanted, narrow});
  return {};
}

// cvt.rn.f16x2.f32 d, a, b: a becomes the upper half.
Status FunctionDecoder::convert_pair(const Instruction& in) {
  uint32_t flags = 0;
  std::string round;
  if (in.operands.size() != 3 || type_of(in) != "f32" || !flags_of(in, &flags, &round))
    return unsupported(in);
  const std::string single = in.modifiers[in.modifiers.size() - 2] == "f16x2" ? "f16" : "bf16";
  ValueId halves[2];
  for (size_t i = 0; i < 2; ++i) {
    TESSERA_ASSIGN_OR_RETURN(const ValueId a, source(in, in.operands[i + 1], 'f'));
    halves[i] = builder_.new_register(Width::k16);
    TESSERA_RETURN_IF_ERROR(convert_one(in, single, "f32", flags, halves[i], a, Width::k16, Width::k32));
  }
  TESSERA_ASSIGN_OR_RETURN(const ValueId d, destination(in, in.operands[0], 'w'));
  emit("pack.2x16", {d, halves[1], halves[0]});
  return {};
}

// cvt.rn.satfinite.e4m3x2.f32 d, a, b and both ways with f16x2; e5m2x2 likewise.
Status FunctionDecoder::convert_float8(const Instruction& in) {
  uint32_t flags = 0;
  std::string round;
  const std::string name = "cvt." + in.modifiers[in.modifiers.size() - 2] + "." + type_of(in);
  if (!flags_of(in, &flags, &round) || find_handler(name) == nullptr) return unsupported(in);
  ProtoOp* proto = nullptr;
  TESSERA_RETURN_IF_ERROR(emit_by_name(in, name, &proto));
  proto->op.aux = flags & kRelu;
  return {};
}

// cvt.pack.sat.{u16,s16}.s32 d, a, b and cvt.pack.sat.{u8,s8,u4,s4,u2,s2}.s32.b32 d, a, b, c.
Status FunctionDecoder::convert_pack(const Instruction& in) {
  const bool with_rest = in.operands.size() == 4;
  if (in.modifiers.size() != (with_rest ? 5u : 4u) || in.modifiers[1] != "sat" || in.modifiers[3] != "s32")
    return unsupported(in);
  const std::string& to = in.modifiers[2];
  const bool known = to == "u16" || to == "s16" || to == "u8" || to == "s8" || to == "u4" || to == "s4" ||
                     to == "u2" || to == "s2";
  if (!known || in.operands.size() < 3) return unsupported(in);
  const uint32_t width = static_cast<uint32_t>(std::stoul(to.substr(1)));
  TESSERA_ASSIGN_OR_RETURN(const ValueId d, destination(in, in.operands[0], 'w'));
  TESSERA_ASSIGN_OR_RETURN(const ValueId a, source(in, in.operands[1], 'w'));
  TESSERA_ASSIGN_OR_RETURN(const ValueId b, source(in, in.operands[2], 'w'));
  ValueId rest = builder_.constant(Width::k32, 0);
  if (with_rest) {
    TESSERA_ASSIGN_OR_RETURN(rest, source(in, in.operands[3], 'w'));
  }
  emit("convert.pack", {d, a, b, rest}).op.aux2 = (to[0] == 's' ? kFmtS32 : kFmtU32) | (width << 16);
  return {};
}

}  // namespace tessera::softgpu::exec
