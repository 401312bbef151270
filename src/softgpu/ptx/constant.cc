#include "softgpu/ptx/constant.h"

#include <bit>
#include <charconv>
#include <cmath>
#include <limits>

#include "softgpu/ptx/parser.h"

namespace tessera::softgpu::ptx {
namespace {

using Kind = Constant::Kind;

struct Operator {
  uint16_t symbol;
  int precedence;  // higher binds tighter
};
constexpr int kAdditive = 9;
constexpr int kMultiplicative = 10;
constexpr Operator kOperators[] = {
    {symbol_of('|', '|'), 1},
    {symbol_of('&', '&'), 2},
    {'|', 3},
    {'^', 4},
    {'&', 5},
    {symbol_of('=', '='), 6},
    {symbol_of('!', '='), 6},
    {'<', 7},
    {'>', 7},
    {symbol_of('<', '='), 7},
    {symbol_of('>', '='), 7},
    {symbol_of('<', '<'), 8},
    {symbol_of('>', '>'), 8},
    {'+', kAdditive},
    {'-', kAdditive},
    {'*', kMultiplicative},
    {'/', kMultiplicative},
    {'%', kMultiplicative},
};

int precedence_of(const Token& token) {
  if (token.kind != TokenKind::kSymbol) return 0;
  for (const Operator& candidate : kOperators)
    if (candidate.symbol == token.symbol) return candidate.precedence;
  return 0;
}

Constant signed_constant(int64_t value) { return {Kind::kSigned, static_cast<uint64_t>(value)}; }
Constant double_constant(double value) { return {Kind::kF64, std::bit_cast<uint64_t>(value)}; }

bool parse_integer(Cursor& cursor, Constant* value) {
  std::string_view digits = cursor.token().text;
  const bool is_unsigned = digits.back() == 'U';
  if (is_unsigned) digits.remove_suffix(1);
  int base = 10;
  if (digits.size() > 1 && digits[0] == '0') {
    const char mark = digits[1];
    base = mark == 'x' || mark == 'X' ? 16 : mark == 'b' || mark == 'B' ? 2 : 8;
    digits.remove_prefix(base == 8 ? 1 : 2);
  }
  uint64_t bits = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), bits, base);
  if (error != std::errc() || end != digits.data() + digits.size())
    return cursor.fail("not a 64-bit integer");
  const bool fits = bits <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
  *value = {is_unsigned || !fits ? Kind::kUnsigned : Kind::kSigned, bits};
  cursor.next();
  return true;
}

bool parse_float(Cursor& cursor, Constant* value) {
  const std::string_view text = cursor.token().text;
  const char mark = text.size() > 1 ? text[1] : '\0';
  if (text[0] == '0' && (mark == 'f' || mark == 'F' || mark == 'd' || mark == 'D')) {
    const bool single = mark == 'f' || mark == 'F';
    const size_t wanted = single ? 8 : 16;
    if (text.size() != wanted + 2) return cursor.fail("0%c needs %zu hexadecimal digits", mark, wanted);
    value->kind = single ? Kind::kF32 : Kind::kF64;
    std::from_chars(text.data() + 2, text.data() + text.size(), value->bits, 16);
  } else {
    double number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || end != text.data() + text.size()) return cursor.fail("not a number");
    *value = double_constant(number);
  }
  cursor.next();
  return true;
}

Constant compute_float(uint16_t symbol, double a, double b, bool* known) {
  switch (symbol) {
    case '+':
      return double_constant(a + b);
    case '-':
      return double_constant(a - b);
    case '*':
      return double_constant(a * b);
    case '/':
      return double_constant(b == 0 ? std::copysign(HUGE_VAL, a) : a / b);
    case '<':
      return signed_constant(a < b);
    case '>':
      return signed_constant(a > b);
    case symbol_of('<', '='):
      return signed_constant(a <= b);
    case symbol_of('>', '='):
      return signed_constant(a >= b);
    case symbol_of('=', '='):
      return signed_constant(a == b);
    case symbol_of('!', '='):
      return signed_constant(a != b);
    default:
      *known = false;
      return {};
  }
}

// Two's complement throughout: overflow wraps, as in ptxas.
uint64_t divide(uint64_t a, uint64_t b, bool is_signed, bool remainder) {
  if (!is_signed) return remainder ? a % b : a / b;
  const auto x = static_cast<int64_t>(a), y = static_cast<int64_t>(b);
  if (y == -1) return remainder ? 0 : 0 - a;
  return static_cast<uint64_t>(remainder ? x % y : x / y);
}

uint64_t shift_right(uint64_t a, uint64_t by, bool is_signed) {
  if (!is_signed) return by < 64 ? a >> by : 0;
  return static_cast<uint64_t>(static_cast<int64_t>(a) >> (by < 64 ? by : 63));
}

bool less(uint64_t a, uint64_t b, bool is_signed) {
  return is_signed ? static_cast<int64_t>(a) < static_cast<int64_t>(b) : a < b;
}

Constant compute_integer(uint16_t symbol, const Constant& left, const Constant& right) {
  const bool is_signed = left.kind == Kind::kSigned && right.kind == Kind::kSigned;
  const Kind kind = is_signed ? Kind::kSigned : Kind::kUnsigned;
  const uint64_t a = left.bits, b = right.bits;
  switch (symbol) {
    case '+':
      return {kind, a + b};
    case '-':
      return {kind, a - b};
    case '*':
      return {kind, a * b};
    case '/':
      return {kind, divide(a, b, is_signed, false)};
    case '%':
      return {kind, divide(a, b, is_signed, true)};
    case '&':
      return {kind, a & b};
    case '|':
      return {kind, a | b};
    case '^':
      return {kind, a ^ b};
    case symbol_of('<', '<'):
      return {left.kind, b < 64 ? a << b : 0};
    case symbol_of('>', '>'):
      return {left.kind, shift_right(a, b, left.kind == Kind::kSigned)};
    case symbol_of('&', '&'):
      return signed_constant(a && b);
    case symbol_of('|', '|'):
      return signed_constant(a || b);
    case '<':
      return signed_constant(less(a, b, is_signed));
    case '>':
      return signed_constant(less(b, a, is_signed));
    case symbol_of('<', '='):
      return signed_constant(!less(b, a, is_signed));
    case symbol_of('>', '='):
      return signed_constant(!less(a, b, is_signed));
    case symbol_of('=', '='):
      return signed_constant(a == b);
    default:
      return signed_constant(a != b);
  }
}

class Expression {
 public:
  explicit Expression(Cursor& cursor) : cursor_(cursor) {}

  bool conditional(Constant* value) {
    if (!binary(1, value)) return false;
    if (!cursor_.accept('?')) return true;
    Constant yes, no;
    if (!descend()) return false;
    if (!conditional(&yes) || !cursor_.expect(':') || !conditional(&no)) return false;
    --depth_;
    const bool chosen = value->is_float() ? value->as_double() != 0 : value->bits != 0;
    *value = chosen ? yes : no;
    return true;
  }

  bool binary(int lowest, Constant* value) {
    if (!unary(value)) return false;
    for (;;) {
      const int precedence = precedence_of(cursor_.token());
      if (precedence < lowest || precedence == 0) return true;
      const uint16_t symbol = cursor_.token().symbol;
      const uint32_t line = cursor_.line();
      cursor_.next();
      Constant right;
      if (!descend() || !binary(precedence + 1, &right)) return false;
      --depth_;
      if (!apply(symbol, line, right, value)) return false;
    }
  }

 private:
  bool descend() { return ++depth_ <= kMaxNesting || cursor_.fail("expression nested too deeply"); }

  bool apply(uint16_t symbol, uint32_t line, const Constant& right, Constant* value) {
    if (value->is_float() || right.is_float()) {
      bool known = true;
      *value = compute_float(symbol, value->as_double(), right.as_double(), &known);
      return known || cursor_.fail_at(line, "this operator takes no floating-point operands");
    }
    if ((symbol == '/' || symbol == '%') && right.bits == 0) return cursor_.fail_at(line, "division by zero");
    *value = compute_integer(symbol, *value, right);
    return true;
  }

  bool unary(Constant* value) {
    if (!descend()) return false;
    const bool ok = unary_unbounded(value);
    --depth_;
    return ok;
  }

  bool unary_unbounded(Constant* value) {
    if (cursor_.accept('+')) return unary(value);
    if (cursor_.accept('-')) return unary(value) && negate(value);
    if (cursor_.accept('!')) {
      if (!unary(value)) return false;
      *value = signed_constant(value->is_float() ? value->as_double() == 0 : value->bits == 0);
      return true;
    }
    if (cursor_.accept('~')) {
      if (!unary(value)) return false;
      if (value->is_float()) return cursor_.fail("~ takes an integer");
      value->bits = ~value->bits;
      return true;
    }
    if (cursor_.accept('(')) return parenthesis(value);
    return primary(value);
  }

  bool negate(Constant* value) {
    if (value->kind == Kind::kF32) {
      value->bits ^= uint64_t{1} << 31;
    } else if (value->kind == Kind::kF64) {
      value->bits ^= uint64_t{1} << 63;
    } else {
      value->bits = 0 - value->bits;
    }
    return true;
  }

  bool parenthesis(Constant* value) {
    if (cursor_.at_directive(".s64") || cursor_.at_directive(".u64")) {
      const Kind kind = cursor_.token().text == ".s64" ? Kind::kSigned : Kind::kUnsigned;
      cursor_.next();
      if (!cursor_.expect(')') || !unary(value)) return false;
      if (value->is_float()) return cursor_.fail("a cast takes an integer");
      value->kind = kind;
      return true;
    }
    return conditional(value) && cursor_.expect(')');
  }

  bool primary(Constant* value) {
    const Token& token = cursor_.token();
    if (token.kind == TokenKind::kInteger) return parse_integer(cursor_, value);
    if (token.kind == TokenKind::kFloat) return parse_float(cursor_, value);
    if (token.kind == TokenKind::kWord && token.text == "WARP_SZ") {
      *value = signed_constant(32);
      cursor_.next();
      return true;
    }
    return cursor_.fail("expected a constant");
  }

  Cursor& cursor_;
  size_t depth_ = 0;
};

bool check_count(Cursor& cursor, uint32_t line, const Constant& constant, uint64_t limit, const char* what,
                 uint64_t* value) {
  const bool negative = constant.kind == Kind::kSigned && static_cast<int64_t>(constant.bits) < 0;
  if (constant.is_float() || negative || constant.bits > limit)
    return cursor.fail_at(line, "%s must be an integer from 0 to %llu", what,
                          static_cast<unsigned long long>(limit));
  *value = constant.bits;
  return true;
}

}  // namespace

double Constant::as_double() const {
  switch (kind) {
    case Kind::kSigned:
      return static_cast<double>(static_cast<int64_t>(bits));
    case Kind::kUnsigned:
      return static_cast<double>(bits);
    case Kind::kF32:
      return std::bit_cast<float>(static_cast<uint32_t>(bits));
    case Kind::kF64:
      return std::bit_cast<double>(bits);
  }
  return 0;
}

bool at_constant(const Cursor& cursor) {
  const Token& token = cursor.token();
  if (token.kind == TokenKind::kInteger || token.kind == TokenKind::kFloat) return true;
  if (token.kind == TokenKind::kWord) return token.text == "WARP_SZ";
  return cursor.at('-') || cursor.at('+') || cursor.at('~') || cursor.at('!') || cursor.at('(');
}

bool parse_constant(Cursor& cursor, Constant* value) { return Expression(cursor).conditional(value); }

bool parse_offset(Cursor& cursor, int64_t* offset) {
  uint64_t sum = 0;
  while (cursor.at('+') || cursor.at('-')) {
    const bool minus = cursor.at('-');
    cursor.next();
    Constant term;
    if (!Expression(cursor).binary(kMultiplicative, &term)) return false;
    if (term.is_float()) return cursor.fail("an offset is an integer");
    sum = minus ? sum - term.bits : sum + term.bits;
  }
  *offset = static_cast<int64_t>(sum);
  return true;
}

bool parse_count(Cursor& cursor, uint64_t limit, const char* what, uint64_t* value) {
  const uint32_t line = cursor.line();
  Constant constant;
  return parse_constant(cursor, &constant) && check_count(cursor, line, constant, limit, what, value);
}

bool parse_range_count(Cursor& cursor, uint64_t limit, const char* what, uint64_t* value) {
  const uint32_t line = cursor.line();
  Constant constant;
  return Expression(cursor).binary(kAdditive, &constant) &&
         check_count(cursor, line, constant, limit, what, value);
}

}  // namespace tessera::softgpu::ptx
