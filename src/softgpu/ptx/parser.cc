#include "softgpu/ptx/parser.h"

#include <charconv>
#include <utility>

#include "softgpu/ptx/function.h"
#include "softgpu/ptx/ignored_directives.h"
#include "softgpu/ptx/unit.h"
#include "softgpu/ptx/variables.h"

namespace tessera::softgpu::ptx {
namespace {

bool linkage_of(std::string_view directive, Linkage* linkage) {
  constexpr std::pair<std::string_view, Linkage> kLinkages[] = {
      {".visible", Linkage::kVisible},
      {".extern", Linkage::kExtern},
      {".weak", Linkage::kWeak},
      {".common", Linkage::kCommon},
  };
  for (const auto& [name, value] : kLinkages) {
    if (name != directive) continue;
    *linkage = value;
    return true;
  }
  return false;
}

// Module-level statements of one unit, up to the next .version.
class UnitParser {
 public:
  explicit UnitParser(Cursor& cursor) : cursor_(cursor) {}

  bool parse(Unit* unit) {
    unit_ = unit;
    if (!cursor_.at_directive(".version")) return cursor_.fail("PTX begins with .version");
    if (!version()) return false;
    while (!cursor_.at_end() && !cursor_.at_directive(".version"))
      if (!statement()) return false;
    return true;
  }

 private:
  bool version() {
    cursor_.next();
    const std::string_view text = cursor_.token().text;
    const char* end = text.data() + text.size();
    Module& module = unit_->module;
    const auto major = std::from_chars(text.data(), end, module.version_major);
    if (cursor_.token().kind != TokenKind::kFloat || major.ec != std::errc() || major.ptr == end ||
        *major.ptr != '.')
      return cursor_.fail("expected a version such as 8.0");
    const auto minor = std::from_chars(major.ptr + 1, end, module.version_minor);
    if (minor.ec != std::errc() || minor.ptr != end) return cursor_.fail("expected a version such as 8.0");
    if (std::pair(module.version_major, module.version_minor) > std::pair(kNewestMajor, kNewestMinor))
      return cursor_.fail_unsupported("PTX %u.%u is newer than %u.%u, the newest known here",
                                      module.version_major, module.version_minor, kNewestMajor, kNewestMinor);
    cursor_.next();
    return true;
  }

  // .target sm_75, texmode_independent, debug
  bool target() {
    do {
      cursor_.next();
      std::string_view name;
      if (!cursor_.expect_word(&name, "a target")) return false;
      if (unit_->module.target.empty() && (name.starts_with("sm_") || name.starts_with("compute_")))
        unit_->module.target = name;
    } while (cursor_.at(','));
    return true;
  }

  bool address_size() {
    cursor_.next();
    if (cursor_.token().text != "64")
      return cursor_.fail_unsupported("only 64-bit PTX can run (.address_size 64)");
    cursor_.next();
    return true;
  }

  bool alias() {
    cursor_.next();
    std::string_view name, aliasee;
    if (!cursor_.expect_word(&name, "a function") || !cursor_.expect(',') ||
        !cursor_.expect_word(&aliasee, "a function"))
      return false;
    unit_->module.aliases.emplace_back(name, aliasee);
    return cursor_.expect(';');
  }

  bool statement() {
    if (cursor_.accept(';')) return true;
    if (at_debug_line(cursor_)) {
      cursor_.skip_line();
      return true;
    }
    if (!cursor_.at_directive()) return cursor_.fail("expected a directive");
    const std::string_view text = cursor_.token().text;
    if (text == ".target") return target();
    if (text == ".address_size") return address_size();
    if (text == ".alias") return alias();
    if (is_ignored_directive(text)) return skip_ignored_directive(cursor_);
    Qualifiers qualifiers;
    if (linkage_of(text, &qualifiers.linkage)) cursor_.next();
    if (cursor_.at_directive(".entry") || cursor_.at_directive(".func"))
      return parse_function(cursor_, *unit_, qualifiers.linkage);
    return variables(qualifiers);
  }

  bool variables(Qualifiers qualifiers) {
    if (!parse_qualifiers(cursor_, &qualifiers)) return false;
    if (qualifiers.space != Space::kGlobal && qualifiers.space != Space::kConst &&
        qualifiers.space != Space::kShared)
      return cursor_.fail("a variable of a module is .global, .const or .shared");
    do {
      const uint32_t line = cursor_.line();
      Variable variable;
      if (!parse_declarator(cursor_, qualifiers, qualifiers.space != Space::kShared, &variable)) return false;
      if (!unit_->declare(cursor_, line, std::move(variable))) return false;
    } while (cursor_.accept(','));
    return cursor_.expect(';');
  }

  static constexpr uint32_t kNewestMajor = 9, kNewestMinor = 0;

  Cursor& cursor_;
  Unit* unit_ = nullptr;
};

}  // namespace

Result<Module> parse(std::string_view text) {
  if (text.size() > kMaxTextBytes)
    return Status::error(Code::kInvalidData, "ptx: %zu bytes of text; the most accepted is %zu", text.size(),
                         kMaxTextBytes);
  Cursor cursor(text);
  std::vector<Unit> units;
  do {
    if (!UnitParser(cursor).parse(&units.emplace_back())) return cursor.status();
  } while (!cursor.at_end());
  return combine(std::move(units));
}

}  // namespace tessera::softgpu::ptx
