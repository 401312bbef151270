#include "scheduling/duration.h"

#include <cmath>
#include <cstdlib>
#include <map>

namespace tessera::scheduling {
namespace {

constexpr double kLongestSeconds = 1e6;

}  // namespace

Result<Nanoseconds> parse_duration(const std::string& text) {
  static const std::map<std::string, double> kUnits = {{"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}};
  char* end = nullptr;
  const double number = std::strtod(text.c_str(), &end);
  const auto unit = kUnits.find(end);
  if (end == text.c_str() || unit == kUnits.end() ||
      !(number >= 0 && number * unit->second <= kLongestSeconds * 1e9)) {
    return Status::error(Code::kInvalidArgument, "a time such as 500us, 10ms or 2s, not '%s'", text.c_str());
  }
  return static_cast<Nanoseconds>(std::llround(number * unit->second));
}

}  // namespace tessera::scheduling
