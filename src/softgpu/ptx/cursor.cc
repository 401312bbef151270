#include "softgpu/ptx/cursor.h"

#include <cstdarg>
#include <cstdio>

namespace tessera::softgpu::ptx {
namespace {

constexpr size_t kShownCharacters = 60;

std::string format_list(const char* format, va_list arguments) {
  char buffer[512];
  std::vsnprintf(buffer, sizeof buffer, format, arguments);
  return buffer;
}

}  // namespace

std::string shown(std::string_view name) {
  std::string text(name.substr(0, kShownCharacters));
  for (char& c : text)
    if (static_cast<unsigned char>(c) < ' ' || static_cast<unsigned char>(c) >= 0x7f) c = '?';
  return name.size() > kShownCharacters ? text + "..." : text;
}

bool Cursor::expect(char symbol) {
  if (accept(static_cast<unsigned char>(symbol))) return true;
  return fail("expected '%c'", symbol);
}

bool Cursor::expect_word(std::string_view* name, const char* what) {
  if (!at_word()) return fail("expected %s", what);
  *name = token_.text;
  next();
  return true;
}

bool Cursor::skip_braces() {
  if (!at('{')) return fail("expected '{'");
  const uint32_t begin = line();
  if (!lexer_.skip_past_closing_brace()) return fail_at(begin, "this '{' is never closed");
  next();
  return true;
}

bool Cursor::claim(uint64_t bytes) {
  if (bytes > claimable_) return fail("the declarations up to here need too much memory");
  claimable_ -= bytes;
  return true;
}

bool Cursor::record(Code code, uint32_t line, std::string message) {
  if (status_.ok()) status_ = Status(code, "ptx:" + std::to_string(line) + ": " + std::move(message));
  return false;
}

bool Cursor::fail(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  std::string message = format_list(format, arguments);
  va_end(arguments);
  message += at_end() ? " at the end of the text" : " near '" + shown(token_.text) + "'";
  return record(Code::kInvalidData, line(), std::move(message));
}

bool Cursor::fail_at(uint32_t line, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  std::string message = format_list(format, arguments);
  va_end(arguments);
  return record(Code::kInvalidData, line, std::move(message));
}

bool Cursor::fail_unsupported(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  std::string message = format_list(format, arguments);
  va_end(arguments);
  return record(Code::kUnsupported, line(), std::move(message));
}

}  // namespace tessera::softgpu::ptx
