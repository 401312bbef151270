#include "softgpu/ptx/lexer.h"

#include <array>

namespace tessera::softgpu::ptx {
namespace {

// Character classes, as bits.
constexpr uint8_t kNameStart = 1;  // letters, _ $ %
constexpr uint8_t kNamePart = 2;   // letters, digits, _ $
constexpr uint8_t kDigit = 4;
constexpr uint8_t kHexDigit = 8;

constexpr std::array<uint8_t, 256> make_classes() {
  std::array<uint8_t, 256> classes{};
  for (unsigned c = '0'; c <= '9'; ++c) classes[c] = kNamePart | kDigit | kHexDigit;
  for (unsigned c = 'a'; c <= 'z'; ++c) classes[c] = classes[c - 'a' + 'A'] = kNameStart | kNamePart;
  for (unsigned c = 'a'; c <= 'f'; ++c) {
    classes[c] |= kHexDigit;
    classes[c - 'a' + 'A'] |= kHexDigit;
  }
  classes['_'] = classes['$'] = kNameStart | kNamePart;
  classes['%'] = kNameStart;
  return classes;
}
constexpr std::array<uint8_t, 256> kClasses = make_classes();

bool is(char c, uint8_t wanted) { return (kClasses[static_cast<unsigned char>(c)] & wanted) != 0; }

bool is_pair(char first, char second) {
  switch (first) {
    case '<':
      return second == '<' || second == '=';
    case '>':
      return second == '>' || second == '=';
    case '=':
    case '!':
      return second == '=';
    case '&':
    case '|':
      return second == first;
    default:
      return false;
  }
}

}  // namespace

Token Lexer::make(TokenKind kind, const char* begin) const {
  return Token{kind, 0, line_, std::string_view(begin, static_cast<size_t>(at_ - begin))};
}

bool Lexer::skip_blanks() {
  for (; at_ != end_; ++at_) {
    const char c = *at_;
    if (c == '\n') {
      ++line_;
    } else if (c == '/' && peek(1) == '/') {
      while (at_ + 1 != end_ && at_[1] != '\n') ++at_;
    } else if (c == '/' && peek(1) == '*') {
      const char* scan = at_ + 2;
      for (;; ++scan) {
        if (end_ - scan < 2) return false;
        if (*scan == '\n') ++line_;
        if (scan[0] == '*' && scan[1] == '/') break;
      }
      at_ = scan + 1;
    } else if (c != ' ' && c != '\t' && c != '\r' && c != '\f' && c != '\v') {
      break;
    }
  }
  return true;
}

Token Lexer::next() {
  if (!skip_blanks()) {
    const char* begin = at_;
    at_ = end_;
    return Token{TokenKind::kInvalid, 0, line_, std::string_view(begin, 2)};
  }
  const char* begin = at_;
  if (at_ == end_) return make(TokenKind::kEnd, begin);
  const char c = *at_;
  if (is(c, kNameStart)) {
    ++at_;
    while (at_ != end_ && is(*at_, kNamePart)) ++at_;
    if (at_ - begin > 1 || c != '%') return make(TokenKind::kWord, begin);
    at_ = begin;  // a lone % is the remainder operator
  } else if (is(c, kDigit)) {
    return number();
  } else if (c == '.') {
    // "::" belongs to a modifier (".shared::cta"); a single colon ends a label.
    ++at_;
    while (at_ != end_ && (is(*at_, kNamePart) || (*at_ == ':' && peek(1) == ':')))
      at_ += *at_ == ':' ? 2 : 1;
    return make(at_ - begin > 1 ? TokenKind::kDirective : TokenKind::kInvalid, begin);
  } else if (c == '"') {
    return string();
  }
  ++at_;
  if (std::string_view("(){}[]<>,;:+-*/%!~&|^?=@").find(c) == std::string_view::npos)
    return make(TokenKind::kInvalid, begin);
  uint16_t symbol = static_cast<unsigned char>(c);
  if (at_ != end_ && is_pair(c, *at_)) symbol = symbol_of(c, *at_++);
  Token token = make(TokenKind::kSymbol, begin);
  token.symbol = symbol;
  return token;
}

// Only the extent of a number is found here; its value is the business of constant.cc.
Token Lexer::number() {
  const char* begin = at_;
  TokenKind kind = TokenKind::kInteger;
  const char base = at_[0] == '0' ? peek(1) : '\0';
  if (base == 'f' || base == 'F' || base == 'd' || base == 'D') {
    kind = TokenKind::kFloat;
    at_ += 2;
    while (at_ != end_ && is(*at_, kHexDigit)) ++at_;
  } else if (base == 'x' || base == 'X') {
    at_ += 2;
    while (at_ != end_ && is(*at_, kHexDigit)) ++at_;
  } else if (base == 'b' || base == 'B') {
    at_ += 2;
    while (at_ != end_ && is(*at_, kDigit)) ++at_;
  } else {
    while (at_ != end_ && is(*at_, kDigit)) ++at_;
    if (at_ != end_ && *at_ == '.') {
      kind = TokenKind::kFloat;
      ++at_;
      while (at_ != end_ && is(*at_, kDigit)) ++at_;
    }
    if (at_ != end_ && (*at_ == 'e' || *at_ == 'E')) {
      kind = TokenKind::kFloat;
      ++at_;
      if (at_ != end_ && (*at_ == '+' || *at_ == '-')) ++at_;
      while (at_ != end_ && is(*at_, kDigit)) ++at_;
    }
  }
  if (kind == TokenKind::kInteger && at_ != end_ && *at_ == 'U') ++at_;
  if (at_ != end_ && is(*at_, kNamePart)) {
    while (at_ != end_ && is(*at_, kNamePart)) ++at_;
    kind = TokenKind::kInvalid;
  }
  return make(kind, begin);
}

Token Lexer::string() {
  const char* begin = ++at_;
  while (at_ != end_ && *at_ != '"' && *at_ != '\n') at_ += *at_ == '\\' && end_ - at_ > 1 ? 2 : 1;
  if (at_ == end_ || *at_ != '"') return make(TokenKind::kInvalid, begin - 1);
  Token token = make(TokenKind::kString, begin);
  ++at_;
  return token;
}

bool Lexer::skip_past_closing_brace() {
  for (size_t depth = 1; at_ != end_;) {
    const char c = *at_++;
    if (c == '\n') ++line_;
    if (c == '{') ++depth;
    if (c == '}' && --depth == 0) return true;
  }
  return false;
}

void Lexer::skip_line() {
  while (at_ != end_ && *at_ != '\n') ++at_;
}

}  // namespace tessera::softgpu::ptx
