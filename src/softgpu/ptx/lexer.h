// PTX text to tokens. A token is a view into the text; nothing is copied and nothing is looked ahead.
#pragma once

#include <cstdint>
#include <string_view>

namespace tessera::softgpu::ptx {

enum class TokenKind : uint8_t {
  kEnd,
  kWord,       // identifiers, opcodes and %registers
  kDirective,  // a dot and what follows it, dot included: ".reg", ".f32", ".L2::128B"
  kInteger,
  kFloat,
  kString,   // text is what stands between the quotes
  kSymbol,   // punctuation: see Token::symbol
  kInvalid,  // a character PTX has no use for, or an unfinished string or comment
};

// Punctuation of two characters; that of one character is its own code.
constexpr uint16_t symbol_of(char first, char second) {
  return static_cast<uint16_t>(static_cast<unsigned char>(first) | static_cast<unsigned char>(second) << 8);
}

struct Token {
  TokenKind kind = TokenKind::kEnd;
  uint16_t symbol = 0;
  uint32_t line = 1;
  std::string_view text;
};

class Lexer {
 public:
  explicit Lexer(std::string_view text) : at_(text.data()), end_(text.data() + text.size()) {}

  Token next();
  // Passes over everything up to the '}' that closes a brace already read; false where the text ends before.
  bool skip_past_closing_brace();
  // Passes over the rest of the line.
  void skip_line();

 private:
  // Whether a token may follow: false at an unfinished comment.
  bool skip_blanks();
  Token number();
  Token string();
  Token make(TokenKind kind, const char* begin) const;
  char peek(size_t distance) const {
    return static_cast<size_t>(end_ - at_) > distance ? at_[distance] : '\0';
  }

  const char* at_;
  const char* end_;
  uint32_t line_ = 1;
};

}  // namespace tessera::softgpu::ptx
