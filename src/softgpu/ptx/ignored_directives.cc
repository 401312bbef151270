#include "softgpu/ptx/ignored_directives.h"

namespace tessera::softgpu::ptx {
namespace {

bool expect_integer(Cursor& cursor) {
  if (cursor.token().kind != TokenKind::kInteger) return cursor.fail("expected an integer");
  cursor.next();
  return true;
}

// .file 1 "name.cu", 1700000000, 4096
bool skip_file(Cursor& cursor) {
  if (!expect_integer(cursor)) return false;
  if (cursor.token().kind != TokenKind::kString) return cursor.fail("expected a string");
  cursor.next();
  while (cursor.accept(','))
    if (!expect_integer(cursor)) return false;
  return true;
}

// .loc 1 10 5, function_name $L__info_string0+4, inlined_at 1 20 3
bool skip_location(Cursor& cursor) {
  if (!expect_integer(cursor) || !expect_integer(cursor) || !expect_integer(cursor)) return false;
  while (cursor.accept(',')) {
    std::string_view what;
    if (!cursor.expect_word(&what, "function_name or inlined_at")) return false;
    if (what == "inlined_at") {
      if (!expect_integer(cursor) || !expect_integer(cursor) || !expect_integer(cursor)) return false;
      continue;
    }
    if (!cursor.at_word() && !cursor.at_directive()) return cursor.fail("expected a label");
    cursor.next();
    if (cursor.accept('+') && !expect_integer(cursor)) return false;
  }
  return true;
}

// .section .debug_str { … }; in older compilers with attributes between: .section .debug_info, "", @progbits
// {…}
bool skip_section(Cursor& cursor) {
  while (!cursor.at('{') && !cursor.at_end()) cursor.next();
  return cursor.skip_braces();
}

// .pragma "nounroll", "used_bytes_mask 15";
bool skip_pragma(Cursor& cursor) {
  do {
    if (cursor.token().kind != TokenKind::kString) return cursor.fail("expected a string");
    cursor.next();
  } while (cursor.accept(','));
  return cursor.expect(';');
}

struct Ignored {
  std::string_view name;
  bool (*skip)(Cursor& cursor);
};
constexpr Ignored kIgnored[] = {
    {".loc", skip_location}, {".file", skip_file}, {".section", skip_section}, {".pragma", skip_pragma}};

const Ignored* find_ignored(std::string_view directive) {
  for (const Ignored& candidate : kIgnored)
    if (candidate.name == directive) return &candidate;
  return nullptr;
}

}  // namespace

bool is_ignored_directive(std::string_view directive) { return find_ignored(directive) != nullptr; }

bool skip_ignored_directive(Cursor& cursor) {
  const Ignored* directive = find_ignored(cursor.token().text);
  cursor.next();
  return directive->skip(cursor);
}

bool at_debug_line(const Cursor& cursor) {
  if (!cursor.at('@')) return false;
  const Token next = cursor.peek();
  return next.kind == TokenKind::kSymbol && next.symbol == '@';
}

}  // namespace tessera::softgpu::ptx
