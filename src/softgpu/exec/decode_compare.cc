// setp and set. The handlers compare into one predicate; combining, pairing and selecting are ops of their
// own.
#include <iterator>

#include "softgpu/exec/flags.h"
#include "softgpu/exec/function_decoder.h"
#include "softgpu/exec/handler_table.h"

namespace tessera::softgpu::exec {
namespace {

constexpr const char* kComparisons[] = {"eq",  "ne",  "lt",  "le",  "gt",  "ge",  "equ",
                                        "neu", "ltu", "leu", "gtu", "geu", "num", "nan"};

bool is_half(const std::string& type) {
  return type == "f16" || type == "bf16" || type == "f16x2" || type == "bf16x2";
}

// What the modifiers say, but for the types at the end.
struct Parsed {
  std::string comparison;
  std::string combine;  // "and", "or", "xor" or empty
  bool ftz = false;
};
bool parse(const ptx::Instruction& in, size_t types, Parsed* parsed) {
  if (in.modifiers.size() <= types) return false;
  parsed->comparison = in.modifiers[0];
  for (size_t i = 1; i + types < in.modifiers.size(); ++i) {
    const std::string& modifier = in.modifiers[i];
    if (modifier == "and" || modifier == "or" || modifier == "xor") {
      parsed->combine = modifier;
    } else if (modifier == "ftz") {
      parsed->ftz = true;
    } else {
      return false;
    }
  }
  // lo, ls, hi, hs are the unsigned lt, le, gt, ge.
  constexpr struct {
    const char* name;
    const char* plain;
  } kUnsigned[] = {{"lo", "lt"}, {"ls", "le"}, {"hi", "gt"}, {"hs", "ge"}};
  for (const auto& alias : kUnsigned) {
    if (parsed->comparison == alias.name) parsed->comparison = alias.plain;
  }
  return true;
}

}  // namespace

// `part` chooses the low or high value of a pair.
Result<ValueId> FunctionDecoder::compare_into(const Instruction& in, ValueId p, const std::string& comparison,
                                              const std::string& type, bool ftz, size_t first_source,
                                              uint32_t part) {
  if (in.operands.size() < first_source + 2) return malformed(in, "too few operands");
  const uint32_t bits = type_bits(type);
  const char letter = type == "f32" ? 'f' : type == "f64" ? 'd' : bits == 16 ? 'h' : bits == 32 ? 'w' : 'q';
  TESSERA_ASSIGN_OR_RETURN(const ValueId a, source(in, in.operands[first_source], letter));
  TESSERA_ASSIGN_OR_RETURN(const ValueId b, source(in, in.operands[first_source + 1], letter));
  if (is_half(type)) {
    for (uint32_t i = 0; i < std::size(kComparisons); ++i) {
      if (comparison != kComparisons[i]) continue;
      const std::string suffix = bits == 32 ? "." + std::to_string(part) : "";
      emit("compare." + type + suffix, {p, a, b}).op.aux = (i << kCompareShift) | (ftz ? kFlush : 0);
      return p;
    }
    return unsupported(in);
  }
  const std::string prefix = "setp." + comparison + ".";
  for (const std::string& name : {prefix + (ftz ? "ftz." : "") + type, prefix + "b" + std::to_string(bits)}) {
    const bool is_float = letter == 'f' || letter == 'd';
    if (find_handler(name) == nullptr || (is_float && name.find(".b") != std::string::npos)) continue;
    builder_.emit(find_handler(name)->handler, find_handler(name)->signature, {p, a, b});
    return p;
  }
  return unsupported(in);
}

Status FunctionDecoder::compare(const Instruction& in) {
  Parsed parsed;
  if (!parse(in, 1, &parsed)) return unsupported(in);
  const std::string& type = type_of(in);
  const bool paired = in.paired_destinations != 0;
  const bool pair_of_halves = type == "f16x2" || type == "bf16x2";
  const size_t first = paired ? 2 : 1;
  if (in.operands.size() != first + (parsed.combine.empty() ? 2u : 3u))
    return malformed(in, "wrong number of operands");
  if (pair_of_halves && !paired) return malformed(in, "expected two destinations");
  if (!paired && parsed.combine.empty()) {
    TESSERA_ASSIGN_OR_RETURN(const ValueId p, destination(in, in.operands[0], 'p'));
    return compare_into(in, p, parsed.comparison, type, parsed.ftz, first, 0).status();
  }
  // Both results are made before either is written: the destinations may be sources.
  ValueId results[2] = {builder_.new_register(Width::kPredicate), builder_.new_register(Width::kPredicate)};
  auto compared = compare_into(in, results[0], parsed.comparison, type, parsed.ftz, first, 0);
  if (!compared.ok()) return compared.status();
  if (pair_of_halves) {
    auto high = compare_into(in, results[1], parsed.comparison, type, parsed.ftz, first, 1);
    if (!high.ok()) return high.status();
  } else if (paired) {
    emit("not.pred", {results[1], results[0]});
  }
  const size_t count = paired ? 2 : 1;
  if (!parsed.combine.empty()) {
    TESSERA_ASSIGN_OR_RETURN(const ValueId c, source(in, in.operands[first + 2], 'p'));
    for (size_t i = 0; i < count; ++i) {
      const ValueId combined = builder_.new_register(Width::kPredicate);
      emit(parsed.combine + ".pred", {combined, results[i], c});
      results[i] = combined;
    }
  }
  for (size_t i = 0; i < count; ++i) {
    if (in.operands[i].kind == ptx::OperandKind::kSink) continue;
    TESSERA_ASSIGN_OR_RETURN(const ValueId p, destination(in, in.operands[i], 'p'));
    emit("mov.pred", {p, results[i]});
  }
  return {};
}

Status FunctionDecoder::set(const Instruction& in) {
  Parsed parsed;
  if (in.modifiers.size() < 3 || !parse(in, 2, &parsed)) return unsupported(in);
  const std::string& type = type_of(in);
  const std::string& to = in.modifiers[in.modifiers.size() - 2];
  if (in.operands.size() != (parsed.combine.empty() ? 3u : 4u))
    return malformed(in, "wrong number of operands");
  const uint32_t parts = type == "f16x2" || type == "bf16x2" ? 2 : 1;
  const bool is_float = to[0] == 'f' || to[0] == 'b';
  const uint64_t one16 = to.starts_with("bf") ? 0x3f80 : 0x3c00;
  const uint32_t bits = type_bits(to);
  if (bits != 32 && bits != 16) return unsupported(in);
  const Width width = width_of_bits(bits);
  const uint64_t truth = parts == 2   ? (is_float ? one16 : 0xffff)
                         : !is_float  ? ~uint64_t{0}
                         : bits == 16 ? one16
                                      : 0x3f800000;
  ValueId value = kNoValue;
  for (uint32_t part = 0; part < parts; ++part) {
    ValueId p = builder_.new_register(Width::kPredicate);
    auto compared = compare_into(in, p, parsed.comparison, type, parsed.ftz, 1, part);
    if (!compared.ok()) return compared.status();
    if (!parsed.combine.empty()) {
      TESSERA_ASSIGN_OR_RETURN(const ValueId c, source(in, in.operands[3], 'p'));
      const ValueId combined = builder_.new_register(Width::kPredicate);
      emit(parsed.combine + ".pred", {combined, p, c});
      p = combined;
    }
    const ValueId chosen = builder_.new_register(width);
    emit(width == Width::k16 ? "selp.b16" : "selp.b32",
         {chosen, builder_.constant(width, truth << (16 * part)), builder_.constant(width, 0), p});
    if (part == 1) {
      const ValueId both = builder_.new_register(width);
      emit("or.b32", {both, value, chosen});
      value = both;
    } else {
      value = chosen;
    }
  }
  TESSERA_ASSIGN_OR_RETURN(const ValueId d, destination(in, in.operands[0], width == Width::k16 ? 'h' : 'w'));
  emit(width == Width::k16 ? "mov.b16" : "mov.b32", {d, value});
  return {};
}

}  // namespace tessera::softgpu::exec
