// Metrics as Prometheus reads them: its text format, version 0.0.4 ("Exposition formats" in its
// documentation). Families come in the order of their first sample, each with its help and its type once.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace tessera::monitoring {

enum class MetricType : uint8_t { kCounter, kGauge, kHistogram };

struct Metric {
  const char* name;  // [a-z0-9_]+, a counter's ends with _total
  MetricType type;
  const char* help;  // a line of ASCII
};

using Labels = std::vector<std::pair<const char*, std::string>>;

class Exposition {
 public:
  // A value that is no number is left out: there is none.
  void add(const Metric& metric, const Labels& labels, double value);
  // Of a histogram: how many were at most each bound (and more than the one before), of all `count`; bounds
  // rise.
  void add_histogram(const Metric& metric, const Labels& labels, std::span<const double> bounds,
                     std::span<const uint64_t> counts, uint64_t count, double sum);
  std::string text() const;
  // As new, with the room that it had: the next text is mostly as long as this one.
  void clear() {
    for (Family& family : families_) family.samples.clear();
  }

 private:
  struct Family {
    const Metric* metric;  // tables of metrics are constants
    std::string samples;
  };
  std::string& samples_of(const Metric& metric);
  const std::string& text_of(const Labels& labels);
  std::vector<Family> families_;
  std::unordered_map<const Metric*, size_t> places_;
  Labels labels_;  // of the latest sample, and as they are written
  std::string label_text_;
};

}  // namespace tessera::monitoring
