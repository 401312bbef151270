#include "monitoring/exposition.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "common/strings.h"

namespace tessera::monitoring {
namespace {

// Names of programs may be anything; what is not UTF-8 was replaced where it became JSON.
void add_escaped(std::string& out, std::string_view text) {
  for (const char c : text) {
    if (c == '\n') {
      out += "\\n";
      continue;
    }
    if (c == '\\' || c == '"') out += '\\';
    out += c;
  }
}

// The shortest text that reads back as the value; whole numbers without a point or an exponent.
void add_number(std::string& out, double value) {
  constexpr double kExact = 9007199254740992.0;  // 2^53
  std::array<char, 32> text;
  const bool is_whole = std::floor(value) == value && std::fabs(value) < kExact;
  const auto end = is_whole
                       ? std::to_chars(text.data(), text.data() + text.size(), static_cast<int64_t>(value))
                       : std::to_chars(text.data(), text.data() + text.size(), value);
  out.append(text.data(), end.ptr);
}

std::string label_text(const Labels& labels) {
  std::string text;
  for (size_t i = 0; i < labels.size(); ++i) {
    text += i == 0 ? "{" : ",";
    text += labels[i].first;
    text += "=\"";
    add_escaped(text, labels[i].second);
    text += '"';
  }
  if (!labels.empty()) text += '}';
  return text;
}

void add_sample(std::string& samples, std::string_view name, std::string_view labels, double value) {
  samples += name;
  samples += labels;
  samples += ' ';
  add_number(samples, value);
  samples += '\n';
}

}  // namespace

std::string& Exposition::samples_of(const Metric& metric) {
  const auto [place, is_new] = places_.try_emplace(&metric, families_.size());
  if (is_new) families_.push_back({&metric, ""});
  return families_[place->second].samples;
}

void Exposition::add(const Metric& metric, const Labels& labels, double value) {
  if (!std::isfinite(value)) return;
  // Most samples have the labels of the one before.
  if (labels != labels_) {
    labels_ = labels;
    label_text_ = label_text(labels);
  }
  add_sample(samples_of(metric), metric.name, label_text_, value);
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
    with_bound.back().second.clear();
    add_number(with_bound.back().second, bounds[i]);
    add_sample(samples, name + "_bucket", label_text(with_bound), static_cast<double>(up_to));
  }
  with_bound.back().second = "+Inf";
  add_sample(samples, name + "_bucket", label_text(with_bound), static_cast<double>(count));
  add_sample(samples, name + "_sum", label_text(labels), sum);
  add_sample(samples, name + "_count", label_text(labels), static_cast<double>(count));
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
