#include "virtualization/inherited.h"

#include <sys/auxv.h>

#include "common/fd.h"
#include "common/strings.h"

namespace tessera::vgpu {

std::string value_in(std::string_view block, std::string_view name) {
  for (std::string_view entry : split(block, '\0')) {
    if (entry.size() > name.size() && entry.starts_with(name) && entry[name.size()] == '=') {
      return std::string(entry.substr(name.size() + 1));
    }
  }
  return {};
}

bool has_raised_privileges() { return getauxval(AT_SECURE) != 0; }

std::string inherited(const char* name) {
  if (has_raised_privileges()) return {};
  std::string now = env_or(name, "");
  if (!now.empty()) return now;
  constexpr size_t kLimitBytes = 8 << 20;  // the kernel's own limit is a quarter of the stack's
  auto block = read_file("/proc/self/environ", kLimitBytes);
  return block.ok() ? value_in(*block, name) : std::string();
}

}  // namespace tessera::vgpu
