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

// Made once for each of a histogram's buckets, so it is kept short.
void add_bucket(std::string& samples, const Metric& metric, std::string_view labels, std::string_view bound,
                uint64_t count) {
  samples += metric.name;
  samples += "_bucket{";
  if (!labels.empty()) {
    samples += labels.substr(1, labels.size() - 2);
    samples += ',';
  }
  samples += "le=\"";
  samples += bound;
  samples += "\"} ";
  add_number(samples, static_cast<double>(count));
  samples += '\n';
}

void add_sample(std::string& samples, std::string_view name, std::string_view suffix, std::string_view labels,
                double value) {
  samples += name;
  samples += suffix;
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

// Most samples have the labels of the one before.
const std::string& Exposition::text_of(const Labels& labels) {
  if (labels != labels_) {
    labels_ = labels;
    label_text_ = label_text(labels);
  }
  return label_text_;
}

void Exposition::add(const Metric& metric, const Labels& labels, double value) {
  if (!std::isfinite(value)) return;
  add_sample(samples_of(metric), metric.name, "", text_of(labels), value);
}

void Exposition::add_histogram(const Metric& metric, const Labels& labels, std::span<const double> bounds,
                               std::span<const uint64_t> counts, uint64_t count, double sum) {
  std::string& samples = samples_of(metric);
  const std::string& text = text_of(labels);
  std::string bound;
  uint64_t up_to = 0;
  for (size_t i = 0; i < bounds.size(); ++i) {
    up_to = std::min(up_to + counts[i], count);
    bound.clear();
    add_number(bound, bounds[i]);
    add_bucket(samples, metric, text, bound, up_to);
  }
  add_bucket(samples, metric, text, "+Inf", count);
  add_sample(samples, metric.name, "_sum", text, sum);
  add_sample(samples, metric.name, "_count", text, static_cast<double>(count));
}

std::string Exposition::text() const {
  constexpr size_t kHeadBytes = 256;
  size_t bytes = 0;
  for (const Family& family : families_) bytes += family.samples.size() + kHeadBytes;
  std::string text;
  text.reserve(bytes);
  for (const Family& family : families_) {
    if (family.samples.empty()) continue;
    constexpr const char* kTypes[] = {"counter", "gauge", "histogram"};
    text += str_format("# HELP %s %s\n# TYPE %s %s\n", family.metric->name, family.metric->help,
                       family.metric->name, kTypes[static_cast<size_t>(family.metric->type)]);
    text += family.samples;
  }
  return text;
}

}  // namespace tessera::monitoring
