#include "common/size.h"

#include <cctype>
#include <charconv>
#include <cmath>

#include "common/strings.h"

namespace tessera {
namespace {

// Bytes per unit of a suffix, 0 for one that is not known.
uint64_t unit_of(std::string_view suffix) {
  std::string lower;
  for (char c : suffix) lower += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  if (lower.empty() || lower == "b") return 1;
  uint64_t unit = 0;
  switch (lower[0]) {
    case 'k':
      unit = kKiB;
      break;
    case 'm':
      unit = kMiB;
      break;
    case 'g':
      unit = kGiB;
      break;
    case 't':
      unit = kTiB;
      break;
    default:
      return 0;
  }
  std::string_view rest = std::string_view(lower).substr(1);
  return rest.empty() || rest == "b" || rest == "ib" ? unit : 0;
}

}  // namespace

Result<uint64_t> parse_size(std::string_view text) {
  auto bad = [&](const char* why) {
    return Status::error(Code::kInvalidArgument, "size '%.*s' %s; write it like 512MiB or 2GiB",
                         static_cast<int>(text.size()), text.data(), why);
  };
  std::string_view body = trim(text);
  double number = 0;
  auto [end, error] =
      std::from_chars(body.data(), body.data() + body.size(), number, std::chars_format::fixed);
  if (error != std::errc{}) return bad("does not start with a number");
  std::string_view suffix = trim(body.substr(static_cast<size_t>(end - body.data())));
  uint64_t unit = unit_of(suffix);
  if (unit == 0) return bad("has an unknown unit");
  double bytes = number * static_cast<double>(unit);
  if (!(bytes >= 1)) return bad("must be more than zero");
  if (bytes >= 0x1p63) return bad("is too large");
  if (unit == 1 && bytes != std::floor(bytes)) return bad("is not a whole number of bytes");
  return static_cast<uint64_t>(bytes);
}

std::string format_size(uint64_t bytes) {
  static constexpr struct {
    uint64_t unit;
    const char* name;
  } kUnits[] = {{kTiB, "TiB"}, {kGiB, "GiB"}, {kMiB, "MiB"}, {kKiB, "KiB"}};
  for (const auto& [unit, name] : kUnits) {
    if (bytes < unit) continue;
    if (bytes % unit == 0) return str_format("%llu%s", static_cast<unsigned long long>(bytes / unit), name);
    return str_format("%.1f%s", static_cast<double>(bytes) / static_cast<double>(unit), name);
  }
  return str_format("%lluB", static_cast<unsigned long long>(bytes));
}

}  // namespace tessera
