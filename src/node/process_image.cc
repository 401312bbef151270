#include "node/process_image.h"

#include "common/fd.h"
#include "common/strings.h"

namespace tessera::node {

ProcessImage read_process_image(pid_t pid) {
  auto stat = read_file(str_format("/proc/%d/stat", static_cast<int>(pid)), 4096);
  if (!stat.ok()) return {};
  // The command name may hold blanks and parentheses; what follows its last ')' is field 3 and on.
  size_t name_end = stat->rfind(')');
  if (name_end == std::string::npos) return {};
  auto fields = split(trim(std::string_view(*stat).substr(name_end + 1)), ' ');
  constexpr size_t kStartCode = 26 - 3;
  constexpr size_t kStartStack = 28 - 3;
  if (fields.size() <= kStartStack) return {};
  return {parse_uint(fields[kStartCode]).value_or(0), parse_uint(fields[kStartStack]).value_or(0)};
}

bool was_replaced(const ProcessImage& before, const ProcessImage& now) {
  return before.known() && now.known() && (before.code != now.code || before.stack != now.stack);
}

}  // namespace tessera::node
