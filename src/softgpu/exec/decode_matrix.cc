// mma, wmma, ldmatrix, stmatrix, movmatrix. A fragment has more registers than an op has operands: it is
// gathered into a region, row by row, and handed back the same way.
#include <algorithm>
#include <optional>

#include "softgpu/exec/flags.h"
#include "softgpu/exec/function_decoder.h"
#include "softgpu/exec/handler_table.h"

namespace tessera::softgpu::exec {
namespace {

struct FormatName {
  const char* name;
  MatrixFormat format;
  uint32_t bits;
};
constexpr FormatName kFormats[] = {
    {"f16", kMatF16, 16}, {"bf16", kMatBF16, 16}, {"tf32", kMatTF32, 32}, {"f32", kMatF32, 32},
    {"f64", kMatF64, 64}, {"s8", kMatS8, 8},      {"u8", kMatU8, 8},      {"s4", kMatS4, 4},
    {"u4", kMatU4, 4},    {"b1", kMatB1, 1},      {"e4m3", kMatE4M3, 8},  {"e5m2", kMatE5M2, 8},
    {"s32", kMatS32, 32},
};
const FormatName* format_of(const std::string& name) {
  const auto found = std::find_if(std::begin(kFormats), std::end(kFormats),
                                  [&](const FormatName& known) { return name == known.name; });
  return found == std::end(kFormats) ? nullptr : found;
}

struct Shape {
  uint32_t m = 0, n = 0, k = 0;
};
// "m16n8k16"
std::optional<Shape> shape_of(const std::string& name) {
  Shape shape;
  uint32_t* const numbers[] = {&shape.m, &shape.n, &shape.k};
  size_t at = 0;
  for (size_t i = 0; i < 3; ++i) {
    if (at >= name.size() || name[at] != "mnk"[i]) return std::nullopt;
    ++at;
    for (; at < name.size() && name[at] >= '0' && name[at] <= '9' && *numbers[i] < 1000; ++at)
      *numbers[i] = *numbers[i] * 10 + static_cast<uint32_t>(name[at] - '0');
  }
  if (at != name.size()) return std::nullopt;
  return shape;
}
bool same(const Shape& a, const Shape& b) { return a.m == b.m && a.n == b.n && a.k == b.k; }

bool eight_bits(MatrixFormat f) { return f == kMatS8 || f == kMatU8; }
bool four_bits(MatrixFormat f) { return f == kMatS4 || f == kMatU4; }
bool eight_bit_float(MatrixFormat f) { return f == kMatE4M3 || f == kMatE5M2; }
bool mix(MatrixFormat a, MatrixFormat b) {
  return a == b || (eight_bits(a) && eight_bits(b)) || (four_bits(a) && four_bits(b)) ||
         (eight_bit_float(a) && eight_bit_float(b));
}

// The shapes of mma for one input format: rows and depth; n is always 8.
bool mma_shape_exists(const Shape& s, MatrixFormat a) {
  struct Known {
    uint32_t m, k;
  };
  std::vector<Known> known;
  if (a == kMatF16) known = {{8, 4}, {16, 8}, {16, 16}};
  if (a == kMatBF16) known = {{16, 8}, {16, 16}};
  if (a == kMatTF32) known = {{16, 4}, {16, 8}};
  if (a == kMatF64) known = {{8, 4}, {16, 4}, {16, 8}, {16, 16}};
  if (eight_bits(a)) known = {{8, 16}, {16, 16}, {16, 32}};
  if (four_bits(a)) known = {{8, 32}, {16, 32}, {16, 64}};
  if (eight_bit_float(a)) known = {{16, 16}, {16, 32}};
  if (a == kMatB1) known = {{8, 128}, {16, 128}, {16, 256}};
  return s.n == 8 &&
         std::any_of(known.begin(), known.end(), [&](const Known& x) { return x.m == s.m && x.k == s.k; });
}
bool wmma_shape_exists(const Shape& s, MatrixFormat a) {
  if (a == kMatF64) return same(s, {8, 8, 4});
  if (a == kMatTF32) return same(s, {16, 16, 8});
  const bool sixteen = same(s, {16, 16, 16}) || same(s, {32, 8, 16}) || same(s, {8, 32, 16});
  return sixteen && (a == kMatF16 || a == kMatBF16 || eight_bits(a));
}
bool sums_in(MatrixFormat a, MatrixFormat c) {
  if (a == kMatF64) return c == kMatF64;
  if (eight_bits(a) || four_bits(a) || a == kMatB1) return c == kMatS32;
  return c == kMatF32 || (c == kMatF16 && (a == kMatF16 || eight_bit_float(a)));
}

char letter_of(MatrixFormat f) { return f == kMatF32 ? 'f' : f == kMatF64 ? 'd' : 'w'; }
const char* handler_of(MatrixFormat a) {
  if (a == kMatF64) return "matrix.multiply.f64";
  return eight_bits(a) || four_bits(a) || a == kMatB1 ? "matrix.multiply.s32" : "matrix.multiply.f32";
}

const std::vector<ptx::Operand>& elements_of(const ptx::Operand& operand,
                                             std::vector<ptx::Operand>& storage) {
  if (operand.kind == ptx::OperandKind::kVector) return operand.elements;
  storage.assign(1, operand);
  return storage;
}
uint32_t count_of(const ptx::Operand& operand) {
  return operand.kind == ptx::OperandKind::kVector ? static_cast<uint32_t>(operand.elements.size()) : 1;
}

// What the modifiers of a multiplication say.
struct Product {
  Shape shape;
  MatrixFormat a = kMatF16, b = kMatF16, c = kMatF16, d = kMatF16;
  uint32_t flags = 0;

  uint32_t aux() const {
    return a | b << kMatrixFormatBits | c << (2 * kMatrixFormatBits) | d << (3 * kMatrixFormatBits) | flags;
  }
};
bool parse(const ptx::Instruction& in, Product* product) {
  std::vector<MatrixFormat> formats;
  bool shaped = false, first_layout = true;
  for (const std::string& modifier : in.modifiers) {
    if (const auto shape = shape_of(modifier); shape) {
      product->shape = *shape;
      shaped = true;
    } else if (const FormatName* format = format_of(modifier); format != nullptr) {
      formats.push_back(format->format);
    } else if (modifier == "row" || modifier == "col") {
      if (modifier == "col") product->flags |= first_layout ? kMatrixColumnA : kMatrixColumnB;
      first_layout = false;
    } else if (modifier == "satfinite") {
      product->flags |= kMatrixSaturate;
    } else if (modifier == "xor") {
      product->flags |= kMatrixXor;
    } else if (modifier != "sync" && modifier != "aligned" && modifier != "mma" && modifier != "and" &&
               modifier != "popc" && modifier != "rn") {
      return false;
    }
  }
  // wmma.mma of f16 names only d and c.
  if (formats.size() == 2) formats.insert(formats.begin() + 1, 2, kMatF16);
  if (!shaped || formats.size() != 4) return false;
  product->d = formats[0];
  product->a = formats[1];
  product->b = formats[2];
  product->c = formats[3];
  return mix(product->a, product->b) && sums_in(product->a, product->c) && sums_in(product->a, product->d);
}

}  // namespace

// .aligned means that the whole warp is here: lanes that went another way are on their way back.
void FunctionDecoder::converge() { emit("bar.warp.sync", {builder_.constant(Width::k32, kAllLanes)}); }

Result<ValueId> FunctionDecoder::new_fragment(const Instruction& in, const Operand& operand, char letter) {
  constexpr uint32_t kMaxRegisters = 32;
  const uint32_t count = count_of(operand);
  if (count == 0 || count > kMaxRegisters) return malformed(in, "a fragment of the wrong size");
  return builder_.new_region(count * (letter == 'd' ? 8 : 4));
}

Result<ValueId> FunctionDecoder::gather_fragment(const Instruction& in, const Operand& operand, char letter) {
  TESSERA_ASSIGN_OR_RETURN(const ValueId region, new_fragment(in, operand, letter));
  std::vector<Operand> storage;
  int64_t offset = 0;
  for (const Operand& element : elements_of(operand, storage)) {
    TESSERA_ASSIGN_OR_RETURN(const ValueId value, source(in, element, letter));
    const Entry* entry = find_handler(letter == 'd' ? "param.st.u64.64" : "param.st.u32.32");
    ProtoOp& proto = builder_.emit(entry->handler, letter == 'd' ? "Mq" : "Mw", {region, value});
    proto.op.imm = offset;
    proto.partial = offset != 0;  // nothing of the region is needed from before the first
    offset += letter == 'd' ? 8 : 4;
  }
  return region;
}

Status FunctionDecoder::scatter_fragment(const Instruction& in, const Operand& operand, char letter,
                                         ValueId region) {
  std::vector<Operand> storage;
  int64_t offset = 0;
  for (const Operand& element : elements_of(operand, storage)) {
    TESSERA_ASSIGN_OR_RETURN(const ValueId value, destination(in, element, letter));
    const Entry* entry = find_handler(letter == 'd' ? "param.ld.u64.64" : "param.ld.u32.32");
    builder_.emit(entry->handler, letter == 'd' ? "Qm" : "Wm", {value, region}).op.imm = offset;
    offset += letter == 'd' ? 8 : 4;
  }
  return {};
}

// mma.sync and wmma.mma: d, a, b, c.
Status FunctionDecoder::multiply_matrices(const Instruction& in) {
  Product p;
  if (in.operands.size() != 4 || !parse(in, &p)) return unsupported(in);
  const bool warp = in.opcode == "wmma";
  if (!(warp ? wmma_shape_exists(p.shape, p.a) : mma_shape_exists(p.shape, p.a))) return unsupported(in);
  const bool quads = !warp && p.a == kMatF16 && p.shape.k == 4;
  if (!warp && !quads && (p.flags & (kMatrixColumnA | kMatrixColumnB)) != kMatrixColumnB)
    return malformed(in, "the layouts of this shape are .row.col");
  p.flags |= (warp ? kMatrixWarp : 0) | (quads ? kMatrixQuads : 0);
  // Registers of a, b, c and d must hold the matrices; the eight-lane products are four at once.
  const uint32_t sizes[] = {p.shape.m * p.shape.n, p.shape.m * p.shape.k, p.shape.k * p.shape.n,
                            p.shape.m * p.shape.n};
  const MatrixFormat formats[] = {p.d, p.a, p.b, p.c};
  for (size_t i = 0; i < 4; ++i) {
    const uint32_t bits = std::find_if(std::begin(kFormats), std::end(kFormats), [&](const FormatName& f) {
                            return f.format == formats[i];
                          })->bits;
    const uint32_t held = count_of(in.operands[i]) * kWarpSize * (bits >= 32 ? 1 : 32 / bits);
    const uint32_t needed = sizes[i] * (quads ? 4 : 1);
    if (warp ? held < needed || held % needed != 0 || held > 4 * needed : held != needed)
      return malformed(in, "a fragment of the wrong size");
  }
  converge();
  TESSERA_ASSIGN_OR_RETURN(const ValueId a, gather_fragment(in, in.operands[1], letter_of(p.a)));
  TESSERA_ASSIGN_OR_RETURN(const ValueId b, gather_fragment(in, in.operands[2], letter_of(p.b)));
  TESSERA_ASSIGN_OR_RETURN(const ValueId c, gather_fragment(in, in.operands[3], letter_of(p.c)));
  TESSERA_ASSIGN_OR_RETURN(const ValueId d, new_fragment(in, in.operands[0], letter_of(p.d)));
  ProtoOp& proto = emit(handler_of(p.a), {d, a, b, c});
  proto.partial = false;
  proto.op.aux = p.aux();
  proto.op.aux2 = p.shape.m | p.shape.n << 8 | p.shape.k << 16;
  proto.op.imm = count_of(in.operands[1]) | count_of(in.operands[2]) << 8 | count_of(in.operands[3]) << 16;
  return scatter_fragment(in, in.operands[0], letter_of(p.d), d);
}

Status FunctionDecoder::warp_matrix(const Instruction& in) {
  if (in.modifiers.empty()) return unsupported(in);
  if (in.modifiers[0] == "mma") return multiply_matrices(in);
  if (in.modifiers[0] == "load") return warp_fragment(in, true);
  if (in.modifiers[0] == "store") return warp_fragment(in, false);
  return unsupported(in);
}

// wmma.load.{a,b,c}.sync.aligned.layout.shape{.ss}.type r, [p]{, stride} and
// wmma.store.d.sync.aligned.layout.shape{.ss}.type [p], r{, stride}.
Status FunctionDecoder::warp_fragment(const Instruction& in, bool load) {
  const FormatName* format = format_of(type_of(in));
  if (in.modifiers.size() < 7 || in.operands.size() < 2 || in.operands.size() > 3 || format == nullptr)
    return unsupported(in);
  const auto shape = shape_of(in.modifiers[5]);
  const std::string& role = in.modifiers[1];
  const bool columns = in.modifiers[4] == "col";
  if (!shape || (!columns && in.modifiers[4] != "row") || format->bits < 8) return unsupported(in);
  const bool known = same(*shape, {16, 16, 16}) || same(*shape, {32, 8, 16}) || same(*shape, {8, 32, 16}) ||
                     same(*shape, {16, 16, 8}) || same(*shape, {8, 8, 4});
  if (!known || (role != "a" && role != "b" && role != "c" && role != "d")) return unsupported(in);
  const ptx::Space space = has_modifier(in, "global")              ? ptx::Space::kGlobal
                           : in.modifiers[6].starts_with("shared") ? ptx::Space::kShared
                                                                   : ptx::Space::kGeneric;
  const Operand& registers = in.operands[load ? 0 : 1];
  TESSERA_ASSIGN_OR_RETURN(const Address at, address(in, in.operands[load ? 1 : 0], space));
  const uint32_t rows = role == "b" ? shape->k : shape->m;
  const uint32_t width = role == "a" ? shape->k : shape->n;
  ValueId stride = builder_.constant(Width::k32, columns ? rows : width);
  if (in.operands.size() == 3) {
    TESSERA_ASSIGN_OR_RETURN(stride, source(in, in.operands[2], 'w'));
  }
  const uint32_t elements = count_of(registers) * std::max(1u, 32 / format->bits);
  const uint32_t needed = rows * width, held = elements * kWarpSize;
  if (held < needed || held % needed != 0 || held > 4 * needed)
    return malformed(in, "a fragment of the wrong size");
  const char letter = letter_of(format->format);
  ValueId region = kNoValue;
  converge();
  if (load) {
    TESSERA_ASSIGN_OR_RETURN(region, new_fragment(in, registers, letter));
  } else {
    TESSERA_ASSIGN_OR_RETURN(region, gather_fragment(in, registers, letter));
  }
  ProtoOp& proto = emit(std::string(load ? "fragment.load." : "fragment.store.") + (at.wide ? "64" : "32"),
                        {region, at.base, stride});
  proto.partial = false;
  proto.op.imm = at.offset;
  const bool input = role == "a" || role == "b";
  proto.op.aux = at.kind | (columns ? kMatrixColumnMajor : 0) | (columns && input ? kMatrixColumnOrder : 0);
  proto.op.aux2 = rows | width << 8 | elements << 16 | format->bits / 8 << 24;
  return load ? scatter_fragment(in, registers, letter, region) : Status();
}

// ldmatrix.sync.aligned.m8n8.num{.trans}{.ss}.b16 r, [p] and stmatrix with the operands the other way round.
Status FunctionDecoder::tiles(const Instruction& in) {
  const bool load = in.opcode == "ldmatrix";
  if (in.operands.size() != 2 || !has_modifier(in, "m8n8") || type_of(in) != "b16") return unsupported(in);
  const uint32_t count = has_modifier(in, "x1")   ? 1
                         : has_modifier(in, "x2") ? 2
                         : has_modifier(in, "x4") ? 4
                                                  : 0;
  const Operand& registers = in.operands[load ? 0 : 1];
  if (count == 0 || count_of(registers) != count) return malformed(in, "a fragment of the wrong size");
  const bool shared = has_modifier(in, "shared") || has_modifier(in, "shared::cta");
  TESSERA_ASSIGN_OR_RETURN(const Address at, address(in, in.operands[load ? 1 : 0],
                                                     shared ? ptx::Space::kShared : ptx::Space::kGeneric));
  ValueId region = kNoValue;
  converge();
  if (load) {
    TESSERA_ASSIGN_OR_RETURN(region, new_fragment(in, registers, 'w'));
  } else {
    TESSERA_ASSIGN_OR_RETURN(region, gather_fragment(in, registers, 'w'));
  }
  ProtoOp& proto =
      emit(std::string(load ? "tiles.load." : "tiles.store.") + (at.wide ? "64" : "32"), {region, at.base});
  proto.partial = false;
  proto.op.imm = at.offset;
  proto.op.aux = at.kind | (has_modifier(in, "trans") ? kMatrixTranspose : 0);
  proto.op.aux2 = count;
  return load ? scatter_fragment(in, registers, 'w', region) : Status();
}

Status FunctionDecoder::move_matrix(const Instruction& in) {
  if (full_name(in) != "movmatrix.sync.aligned.m8n8.trans.b16") return unsupported(in);
  converge();
  return emit_by_name(in, "tiles.transpose");
}

}  // namespace tessera::softgpu::exec
