#include "monitoring/exposition.h"

#include <array>
#include <charconv>
#include <cmath>

#include "common/strings.h"

namespace tessera::monitoring {
namespace {

// Names of programs may be anything; what is not UTF-8 was replaced where it became JSON.
std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\' || c == '"') out += '\\';
    out += c == '\n' ? "\\n" : std::string(1, c);
  }
  return out;
}

// The shortest text that reads back as the value; whole numbers without a point or an exponent.
std::string number(double value) {
  constexpr double kExact = 9007199254740992.0;  // 2^53
  if (std::floor(value) == value && std::fabs(value) < kExact) return str_format("%.0f", value);
  std::array<char, 32> text;
  return std::string(text.data(), std::to_chars(text.data(), text.data() + text.size(), value).ptr);
}

}  // namespace

void Exposition::add(const Metric& metric, const Labels& labels, double value) {
  if (!std::isfinite(value)) return;
  const auto [place, is_new] = places_.try_emplace(metric.name, families_.size());
  if (is_new) families_.push_back({&metric, ""});
  std::string& samples = families_[place->second].samples;
  samples += metric.name;
  for (size_t i = 0; i < labels.size(); ++i) {
    samples += i == 0 ? "{" : ",";
    samples += std::string(labels[i].first) + "=\"" + escaped(labels[i].second) + "\"";
  }
  if (!labels.empty()) samples += "}";
  samples += " " + number(value) + "\n";
}

std::string Exposition::text() const {
  std::string text;
  for (const Family& family : families_) {
    text +=
        str_format("# HELP %s %s\n# TYPE %s %s\n", family.metric->name, family.metric->help,
                   family.metric->name, family.metric->type == MetricType::kCounter ? "counter" : "gauge");
    text += family.samples;
  }
  return text;
}

}  // namespace tessera::monitoring
