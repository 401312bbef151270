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

Bounds::Bounds(std::span<const double> bounds) {
  for (const double bound : bounds) add_number(texts_.emplace_back(), bound);
}

// The metrics of many subjects come in the same order: mostly it is the family after the latest.
Exposition::Family& Exposition::family_of(const Metric& metric) {
  if (latest_ + 1 < families_.size() && families_[latest_ + 1].metric == &metric) return families_[++latest_];
  const auto [place, is_new] = places_.try_emplace(&metric, families_.size());
  if (is_new) families_.push_back({&metric, {}});
  latest_ = place->second;
  return families_[latest_];
}

Exposition::Labelled::Labelled(Exposition& exposition, const Labels& labels)
    : exposition_(exposition), text_(label_text(labels)) {}

void Exposition::Labelled::add(const Metric& metric, double value) const {
  if (!std::isfinite(value)) return;
  exposition_.add_piece(metric,
                        [&](std::string& samples) { add_sample(samples, metric.name, "", text_, value); });
}

void Exposition::Labelled::add_histogram(const Metric& metric, const Bounds& bounds,
                                         std::span<const uint64_t> counts, uint64_t count, double sum) const {
  std::string before = std::string(metric.name) + "_bucket{";
  if (!text_.empty()) before += text_.substr(1, text_.size() - 2) + ',';
  before += "le=\"";
  const auto add_bucket = [&before](std::string& samples, std::string_view bound, uint64_t up_to) {
    samples += before;
    samples += bound;
    samples += "\"} ";
    add_number(samples, static_cast<double>(up_to));
    samples += '\n';
  };
  exposition_.add_piece(metric, [&](std::string& samples) {
    uint64_t up_to = 0;
    for (size_t i = 0; i < bounds.texts().size(); ++i) {
      up_to = std::min(up_to + counts[i], count);
      add_bucket(samples, bounds.texts()[i], up_to);
    }
    add_bucket(samples, "+Inf", count);
    add_sample(samples, metric.name, "_sum", text_, sum);
    add_sample(samples, metric.name, "_count", text_, static_cast<double>(count));
  });
}

void Exposition::write_to(std::string& text) const {
  constexpr size_t kHeadBytes = 256;
  text.clear();
  text.reserve(samples_.size() + families_.size() * kHeadBytes);
  for (const Family& family : families_) {
    if (family.pieces.empty()) continue;
    constexpr const char* kTypes[] = {"counter", "gauge", "histogram"};
    text += str_format("# HELP %s %s\n# TYPE %s %s\n", family.metric->name, family.metric->help,
                       family.metric->name, kTypes[static_cast<size_t>(family.metric->type)]);
    for (const Piece& piece : family.pieces) text.append(samples_, piece.begin, piece.bytes);
  }
}

}  // namespace tessera::monitoring
