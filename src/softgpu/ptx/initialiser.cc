// Initial values of variables. Reference: PTX ISA, "Initializers".
#include <bit>

#include "softgpu/ptx/constant.h"
#include "softgpu/ptx/names.h"
#include "softgpu/ptx/parser.h"
#include "softgpu/ptx/variables.h"

namespace tessera::softgpu::ptx {
namespace {

class Initialiser {
 public:
  Initialiser(Cursor& cursor, std::vector<uint64_t> dimensions, Variable& variable)
      : cursor_(cursor), dimensions_(std::move(dimensions)), variable_(variable) {}

  // Bytes of one element of dimension `level`.
  uint64_t stride(size_t level) const {
    uint64_t bytes = size_of(variable_.type);
    for (size_t i = level + 1; i < dimensions_.size(); ++i) bytes *= dimensions_[i];
    return bytes;
  }

  // The values between braces, the first one already read, at `begin`; `*end` is where the next value would
  // go. As in C, an inner brace begins the next row and values without braces fill row after row.
  bool aggregate(size_t level, uint64_t begin, uint64_t limit, uint64_t* end) {
    uint64_t at = begin;
    if (cursor_.accept('}')) {
      *end = at;
      return true;
    }
    const uint64_t row = level < dimensions_.size() ? stride(level) : size_of(variable_.type);
    do {
      if (cursor_.at('{')) {
        at = begin + (at - begin + row - 1) / row * row;
        if (!check_room(at, row, limit)) return false;
        if (level >= dimensions_.size()) return cursor_.fail("more braces than dimensions");
        cursor_.next();
        uint64_t ignored = 0;
        if (!aggregate(level + 1, at, at + row, &ignored)) return false;
        at += row;
      } else {
        if (!check_room(at, size_of(variable_.type), limit) || !element(at)) return false;
        at += size_of(variable_.type);
      }
    } while (cursor_.accept(','));
    *end = at;
    return cursor_.expect('}');
  }

  bool element(uint64_t offset) {
    const Token& token = cursor_.token();
    if (token.kind == TokenKind::kWord && token.text != "WARP_SZ") {
      const uint32_t size = size_of(variable_.type);
      if (size != 4 && size != 8) return cursor_.fail("an element of %u bytes cannot hold an address", size);
      return address(offset, size, 0);
    }
    const uint32_t line = cursor_.line();
    Constant value;
    if (!parse_constant(cursor_, &value)) return false;
    return cursor_.at('(') ? masked_address(offset, line, value) : store(offset, line, value);
  }

 private:
  bool check_room(uint64_t at, uint64_t size, uint64_t limit) {
    if (size > limit || at > limit - size) return cursor_.fail("more initial values than elements");
    return true;
  }

  // 0xFF00(sym): the byte of the address that the mask covers.
  bool masked_address(uint64_t offset, uint32_t line, const Constant& mask) {
    uint32_t byte = 0;
    while (byte < 8 && mask.bits != uint64_t{0xFF} << (8 * byte)) ++byte;
    if (byte == 8 || size_of(variable_.type) != 1)
      return cursor_.fail_at(line, "a mask takes one byte of an address for one byte of memory");
    cursor_.next();
    return address(offset, 1, byte) && cursor_.expect(')');
  }

  // sym, sym+4, generic(sym), generic(sym)+4
  bool address(uint64_t offset, uint32_t size, uint32_t shift) {
    Relocation relocation;
    relocation.offset = offset;
    relocation.size = size;
    relocation.shift = shift;
    std::string_view name;
    if (!cursor_.expect_word(&name, "a symbol")) return false;
    int64_t inner = 0;
    if (name == "generic" && cursor_.accept('(')) {
      relocation.generic = true;
      if (!cursor_.expect_word(&name, "a symbol") || !parse_offset(cursor_, &inner) || !cursor_.expect(')'))
        return false;
    }
    if (!parse_offset(cursor_, &relocation.addend)) return false;
    relocation.addend =
        static_cast<int64_t>(static_cast<uint64_t>(relocation.addend) + static_cast<uint64_t>(inner));
    relocation.symbol = name;
    variable_.relocations.push_back(std::move(relocation));
    return grow_to(offset + size);
  }

  bool store(uint64_t offset, uint32_t line, const Constant& value) {
    uint64_t bits = value.bits;
    const uint32_t size = size_of(variable_.type);
    if (variable_.type == Type::kF32) {
      if (value.kind != Constant::Kind::kF32)
        bits = std::bit_cast<uint32_t>(static_cast<float>(value.as_double()));
    } else if (variable_.type == Type::kF64) {
      if (value.kind != Constant::Kind::kF64) bits = std::bit_cast<uint64_t>(value.as_double());
    } else if (value.is_float()) {
      return cursor_.fail_at(line, "a floating-point value for an integer element");
    }
    if (!grow_to(offset + size)) return false;
    for (uint32_t i = 0; i < size && i < sizeof bits; ++i)
      variable_.initial[offset + i] = static_cast<uint8_t>(bits >> (8 * i));
    // The upper half of a .b128 continues the sign of a negative constant.
    if (size > sizeof bits && value.kind == Constant::Kind::kSigned && static_cast<int64_t>(bits) < 0)
      for (uint32_t i = sizeof bits; i < size; ++i) variable_.initial[offset + i] = 0xFF;
    return true;
  }

  bool grow_to(uint64_t size) {
    if (size <= variable_.initial.size()) return true;
    if (!cursor_.claim(size - variable_.initial.size())) return false;
    variable_.initial.resize(size);
    return true;
  }

  Cursor& cursor_;
  const std::vector<uint64_t> dimensions_;
  Variable& variable_;
};

}  // namespace

bool parse_initialiser(Cursor& cursor, uint32_t lanes, std::vector<uint64_t>* dimensions,
                       Variable* variable) {
  std::vector<uint64_t> all = *dimensions;
  if (lanes > 1) all.push_back(lanes);  // a vector is initialised like an array
  Initialiser initialiser(cursor, all, *variable);
  if (!cursor.accept('{')) {
    if (!all.empty()) return cursor.fail("expected '{'");
    return initialiser.element(0);
  }
  const bool open_ended = !dimensions->empty() && dimensions->front() == 0;
  const uint64_t row = all.empty() ? size_of(variable->type) : initialiser.stride(0);
  uint64_t limit = kMaxVariableBytes;
  if (!open_ended && __builtin_mul_overflow(row, all.empty() ? 1 : all.front(), &limit))
    limit = kMaxVariableBytes;
  uint64_t end = 0;
  if (!initialiser.aggregate(0, 0, limit, &end)) return false;
  if (open_ended) dimensions->front() = (end + row - 1) / row;
  return true;
}

}  // namespace tessera::softgpu::ptx
