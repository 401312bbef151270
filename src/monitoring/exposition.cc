#include "monitoring/exposition.h"

#include <algorithm>
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

void add_sample(std::string& samples, std::string_view name, const Labels& labels, double value) {
  samples += name;
  for (size_t i = 0; i < labels.size(); ++i) {
    samples += i == 0 ? "{" : ",";
    samples += std::string(labels[i].first) + "=\"" + escaped(labels[i].second) + "\"";
  }
  if (!labels.empty()) samples += "}";
  samples += " " + number(value) + "\n";
}

}  // namespace

std::string& Exposition::samples_of(const Metric& metric) {
  const auto [place, is_new] = places_.try_emplace(metric.name, families_.size());
  if (is_new) families_.push_back({&metric, ""});
  return families_[place->second].samples;
}

void Exposition::add(const Metric& metric, const Labels& labels, double value) {
  if (std::isfinite(value)) add_sample(samples_of(metric), metric.name, labels, value);
}

void Exposition::add_histogram(const Metric& metric, const Labels& labels, std::span<const double> bounds,
                               std::span<const uint64_t> counts, uint64_t count, double sum) {
  std::string& samples = samples_of(metric);
  const std::string name = metric.name;
  Labels with_bound = labels;
  with_bound.emplace_back("le", "");
  uint64_t up_to = 0;
  for (size_t i = 0; i < bounds.size(); ++i) {
    up_to = std::min(up_to + counts[i], count);
    with_bound.back().second = number(bounds[i]);
    add_sample(samples, name + "_bucket", with_bound, static_cast<double>(up_to));
  }
  with_bound.back().second = "+Inf";
  add_sample(samples, name + "_bucket", with_bound, static_cast<double>(count));
  add_sample(samples, name + "_sum", labels, sum);
  add_sample(samples, name + "_count", labels, static_cast<double>(count));
}

std::string Exposition::text() const {
  std::string text;
  for (const Family& family : families_) {
    constexpr const char* kTypes[] = {"counter", "gauge", "histogram"};
    text += str_format("# HELP %s %s\n# TYPE %s %s\n", family.metric->name, family.metric->help,
                       family.metric->name, kTypes[static_cast<size_t>(family.metric->type)]);
    text += family.samples;
  }
  return text;
}

}  // namespace tessera::monitoring
