#include "softgpu/ptx/function.h"

#include <limits>

#include "softgpu/ptx/body.h"
#include "softgpu/ptx/constant.h"
#include "softgpu/ptx/ignored_directives.h"
#include "softgpu/ptx/variables.h"

namespace tessera::softgpu::ptx {
namespace {

// Performance directives: how many numbers follow, and where they are kept (nowhere: they only advise a
// compiler).
struct HeaderDirective {
  std::string_view name;
  int numbers;
  uint32_t* (*field)(Function& function);
};
const HeaderDirective kHeaderDirectives[] = {
    {".maxntid", 3, [](Function& f) { return f.max_ntid; }},
    {".reqntid", 3, [](Function& f) { return f.required_ntid; }},
    {".reqnctapercluster", 3, [](Function& f) { return f.required_cluster; }},
    {".minnctapersm", 1, [](Function& f) { return &f.min_ctas_per_sm; }},
    {".maxnctapersm", 1, nullptr},
    {".maxnreg", 1, [](Function& f) { return &f.max_registers; }},
    {".maxclusterrank", 1, [](Function& f) { return &f.max_cluster_rank; }},
    {".abi_preserve", 1, nullptr},
    {".abi_preserve_control", 1, nullptr},
    {".blocksareclusters", 0, nullptr},
    {".unified", 0, nullptr},
};

bool parse_numbers(Cursor& cursor, const HeaderDirective& directive, Function& function) {
  uint32_t values[3] = {1, 1, 1};  // dimensions left out
  for (int i = 0; i < directive.numbers; ++i) {
    if (i > 0 && !cursor.accept(',')) break;
    uint64_t value = 0;
    if (!parse_count(cursor, std::numeric_limits<uint32_t>::max(), directive.name.data(), &value))
      return false;
    values[i] = static_cast<uint32_t>(value);
  }
  if (directive.field == nullptr) return true;
  uint32_t* field = directive.field(function);
  for (int i = 0; i < directive.numbers; ++i) field[i] = values[i];
  return true;
}

bool parse_header_directives(Cursor& cursor, Function& function) {
  while (cursor.at_directive()) {
    const std::string_view text = cursor.token().text;
    const HeaderDirective* known = nullptr;
    for (const HeaderDirective& candidate : kHeaderDirectives)
      if (candidate.name == text) known = &candidate;
    if (known != nullptr) {
      cursor.next();
      if (!parse_numbers(cursor, *known, function)) return false;
    } else if (text == ".noreturn" || text == ".explicitcluster") {
      (text == ".noreturn" ? function.noreturn : function.explicit_cluster) = true;
      cursor.next();
    } else if (is_ignored_directive(text)) {
      if (!skip_ignored_directive(cursor)) return false;
    } else {
      return cursor.fail("unknown directive of a function");
    }
  }
  return true;
}

}  // namespace

bool parse_function(Cursor& cursor, Unit& unit, Linkage linkage) {
  Function function;
  function.entry = cursor.token().text == ".entry";
  function.linkage = linkage;
  cursor.next();
  bool managed = false;
  if (cursor.at_directive(".attribute") && !parse_attribute(cursor, &managed)) return false;
  if (!function.entry && cursor.at('(') && !parse_parameters(cursor, &function.results)) return false;
  function.line = cursor.line();
  std::string_view name;
  if (!cursor.expect_word(&name, "the name of a function")) return false;
  function.name = name;
  if (cursor.at('(') && !parse_parameters(cursor, &function.parameters)) return false;
  if (!parse_header_directives(cursor, function)) return false;
  if (cursor.accept(';')) return unit.declare(cursor, std::move(function));
  // Declared before its body, so that it may call itself.
  if (!unit.declare(cursor, function) || !BodyParser(cursor, unit, function).parse()) return false;
  function.defined = true;
  return unit.declare(cursor, std::move(function));
}

}  // namespace tessera::softgpu::ptx
