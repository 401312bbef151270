#include "remote/bandwidth/rate.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "common/strings.h"

namespace tessera::remote {
namespace {

constexpr double kLeast = 1e3, kMost = 1e12;
constexpr double kBitsPerByte = 8;

struct Unit {
  std::string_view name;
  double bytes;
};
constexpr Unit kUnits[] = {{"bit", 1 / kBitsPerByte},
                           {"kbit", 1e3 / kBitsPerByte},
                           {"mbit", 1e6 / kBitsPerByte},
                           {"gbit", 1e9 / kBitsPerByte},
                           {"tbit", 1e12 / kBitsPerByte},
                           {"", 1},
                           {"b", 1},
                           {"kb", 1e3},
                           {"mb", 1e6},
                           {"gb", 1e9},
                           {"tb", 1e12},
                           {"kib", 1024},
                           {"mib", 1048576},
                           {"gib", 1073741824}};

Status wrong(std::string_view text) {
  return Status::error(Code::kInvalidArgument,
                       "a rate is like 1Gbit or 100MB/s, from 8kbit to 8Tbit, not '%.*s'",
                       static_cast<int>(std::min<size_t>(text.size(), 40)), text.data());
}

}  // namespace

Result<uint64_t> parse_rate(std::string_view text) {
  double number = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number, std::chars_format::fixed);
  if (error != std::errc() || rest == text.data()) return wrong(text);
  std::string unit(rest, end);
  if (unit.ends_with("/s")) unit.resize(unit.size() - 2);
  std::transform(unit.begin(), unit.end(), unit.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? c + 32 : c; });
  const auto* const found =
      std::find_if(std::begin(kUnits), std::end(kUnits), [&](const Unit& one) { return one.name == unit; });
  if (found == std::end(kUnits)) return wrong(text);
  const double rate = number * found->bytes;
  if (!(rate >= kLeast && rate <= kMost)) return wrong(text);
  return static_cast<uint64_t>(std::llround(rate));
}

std::string format_rate(uint64_t bytes_per_second) {
  double value = static_cast<double>(bytes_per_second) * kBitsPerByte;
  const char* const units[] = {"bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s"};
  size_t unit = 0;
  for (; value >= 999.95 && unit + 1 < std::size(units); ++unit) value /= 1000;
  std::string text = str_format("%.1f", value);
  if (text.ends_with(".0")) text.resize(text.size() - 2);
  return text + units[unit];
}

}  // namespace tessera::remote
