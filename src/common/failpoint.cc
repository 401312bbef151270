#include "common/failpoint.h"

#ifdef TESSERA_FAILPOINTS

#include <atomic>
#include <csignal>
#include <string>

#include "common/strings.h"

namespace tessera {
namespace {

struct Wanted {
  std::string name;
  uint64_t passes = 1;
};

Wanted wanted_from_environment() {
  std::string text = env_or("TESSERA_FAILPOINT", "");
  size_t colon = text.find(':');
  if (colon == std::string::npos) return {text, 1};
  return {text.substr(0, colon), parse_uint(text.substr(colon + 1)).value_or(1)};
}

}  // namespace

void failpoint(const char* name) {
  static const Wanted& wanted =
      *new Wanted(wanted_from_environment());  // never destroyed: guests outlive that
  static std::atomic<uint64_t> passed{0};
  if (wanted.name == name && ++passed == wanted.passes) raise(SIGKILL);
}

}  // namespace tessera

#endif
