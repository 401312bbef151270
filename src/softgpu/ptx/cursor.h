// Where a parse stands: the current token and the first error. Parsing functions return false once something
// is wrong; the error stays here, so that no function on the way back has to carry it.
#pragma once

#include <string>
#include <string_view>

#include "common/status.h"
#include "softgpu/ptx/lexer.h"

namespace tessera::softgpu::ptx {

class Cursor {
 public:
  explicit Cursor(std::string_view text)
      : lexer_(text), claimable_(kClaimBase + kClaimPerByte * text.size()) {
    next();
  }

  const Token& token() const { return token_; }
  uint32_t line() const { return token_.line; }
  void next() { token_ = lexer_.next(); }
  Token peek() const {
    Lexer ahead = lexer_;
    return ahead.next();
  }

  bool at_end() const { return token_.kind == TokenKind::kEnd; }
  bool at_word() const { return token_.kind == TokenKind::kWord; }
  bool at_directive() const { return token_.kind == TokenKind::kDirective; }
  bool at_directive(std::string_view text) const { return at_directive() && token_.text == text; }
  bool at(uint16_t symbol) const { return token_.kind == TokenKind::kSymbol && token_.symbol == symbol; }
  bool accept(uint16_t symbol) {
    if (!at(symbol)) return false;
    next();
    return true;
  }
  bool expect(char symbol);
  // A word, stored in `name`; `what` names it in the error.
  bool expect_word(std::string_view* name, const char* what);

  // Passes over { … } of a debug section, the opening brace being the current token.
  bool skip_braces();
  void skip_line() {
    lexer_.skip_line();
    next();
  }

  // Takes `bytes` of memory out of what this text may make the parser allocate. A few characters can declare
  // a million registers or leave a gap of gigabytes between two initial values: what they claim is bounded
  // over the whole text.
  bool claim(uint64_t bytes);

  // Records an error at the current token, with "near 'token'" added; always false.
  bool fail(const char* format, ...) __attribute__((format(printf, 2, 3)));
  // The same at a line passed before, adding nothing.
  bool fail_at(uint32_t line, const char* format, ...) __attribute__((format(printf, 3, 4)));
  bool fail_unsupported(const char* format, ...) __attribute__((format(printf, 2, 3)));
  const Status& status() const { return status_; }

 private:
  static constexpr uint64_t kClaimBase = uint64_t{128} << 20;
  static constexpr uint64_t kClaimPerByte = 32;

  bool record(Code code, uint32_t line, std::string message);

  Lexer lexer_;
  Token token_;
  uint64_t claimable_;
  Status status_;
};

// A name as an error message shows it: hostile or mangled names may be very long.
std::string shown(std::string_view name);

}  // namespace tessera::softgpu::ptx
