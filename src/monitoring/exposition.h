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

// The upper bounds of a histogram's buckets, rising, as they are written.
class Bounds {
 public:
  explicit Bounds(std::span<const double> bounds);
  const std::vector<std::string>& texts() const { return texts_; }

 private:
  std::vector<std::string> texts_;
};

class Exposition {
 public:
  // Samples with the same labels, which are written once.
  class Labelled {
   public:
    // A value that is no number is left out: there is none.
    void add(const Metric& metric, double value) const;
    // How many were at most each bound (and more than the one before), of all `count`.
    void add_histogram(const Metric& metric, const Bounds& bounds, std::span<const uint64_t> counts,
                       uint64_t count, double sum) const;

   private:
    friend class Exposition;
    Labelled(Exposition& exposition, const Labels& labels);
    Exposition& exposition_;
    const std::string text_;  // with the braces; empty without labels
  };
  Labelled labelled(const Labels& labels) { return {*this, labels}; }
  void add(const Metric& metric, const Labels& labels, double value) { labelled(labels).add(metric, value); }
  std::string text() const {
    std::string text;
    write_to(text);
    return text;
  }
  // In the place of what it holds, with the room that it has.
  void write_to(std::string& text) const;
  // Its place is behind those that have one, whenever it has samples; families without a place have theirs by
  // their first sample.
  void place(const Metric& metric) { family_of(metric); }
  // As new, with the room that it had: the next text is mostly as long as this one.
  void clear() {
    samples_.clear();
    for (Family& family : families_) family.pieces.clear();
  }

 private:
  struct Piece {  // of samples_
    size_t begin, bytes;
  };
  struct Family {
    const Metric* metric;  // tables of metrics are constants
    std::vector<Piece> pieces;
  };
  Family& family_of(const Metric& metric);
  // Calls write(samples), which appends what is the family's.
  template <typename Write>
  void add_piece(const Metric& metric, Write write) {
    const size_t begin = samples_.size();
    write(samples_);
    family_of(metric).pieces.push_back({begin, samples_.size() - begin});
  }

  // As they come: to write in one place is several times as fast as in one for each family.
  std::string samples_;
  std::vector<Family> families_;
  std::unordered_map<const Metric*, size_t> places_;
  size_t latest_ = 0;  // of families_
};

}  // namespace tessera::monitoring
