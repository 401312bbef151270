// A row of the history: the figures of a subject at a time, or in a step of a coarser level, and how long
// each of them stands for. That is said before the first figure and wherever it changes, as a figure of no
// metric: nearly all rows have it once.
#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

namespace tessera::monitoring {

// Where nobody knows how long: as good as nothing beside figures of which it is known.
inline constexpr double kUnknownMs = 1;

// A figure of a row: as sampled it is its own mean, least and most.
struct Packed {
  uint16_t metric;
  std::array<float, 3> values;
  double lasted_ms = kUnknownMs;
};
inline constexpr uint16_t kNoMetric = 0;  // metrics begin at 1

constexpr size_t packed_bytes(size_t level) {
  return sizeof(uint16_t) + (level == 0 ? 1 : 3) * sizeof(float);
}

class RowWriter {
 public:
  explicit RowWriter(size_t level) : level_(level) {}

  void add(int64_t metric, const std::array<float, 3>& values, double lasted_ms) {
    const auto lasted = static_cast<float>(lasted_ms);
    if (row_.empty() || lasted != lasted_ms_) pack(kNoMetric, {lasted});
    lasted_ms_ = lasted;
    pack(static_cast<uint16_t>(metric), values);
  }
  bool empty() const { return row_.empty(); }
  std::span<const std::byte> bytes() const { return row_; }

 private:
  void pack(uint16_t id, const std::array<float, 3>& values) {
    const size_t at = row_.size();
    row_.resize(at + packed_bytes(level_));
    memcpy(&row_[at], &id, sizeof id);
    memcpy(&row_[at + sizeof id], values.data(), packed_bytes(level_) - sizeof id);
  }

  const size_t level_;
  float lasted_ms_ = 0;
  std::vector<std::byte> row_;
};

// A row that was cut short has what is whole of it. `lasted_ms`: of rows that do not say, as those of
// releases before did not.
template <typename Visit>
void unpack(std::span<const std::byte> row, size_t level, double lasted_ms, Visit visit) {
  for (; row.size() >= packed_bytes(level); row = row.subspan(packed_bytes(level))) {
    Packed figure{};
    memcpy(&figure.metric, row.data(), sizeof figure.metric);
    memcpy(figure.values.data(), row.data() + sizeof figure.metric,
           packed_bytes(level) - sizeof figure.metric);
    if (figure.metric == kNoMetric) {
      const double told = figure.values[0];
      lasted_ms = std::isfinite(told) && told > 0 ? told : kUnknownMs;
      continue;
    }
    if (level == 0) figure.values[1] = figure.values[2] = figure.values[0];
    figure.lasted_ms = lasted_ms;
    visit(figure);
  }
}

}  // namespace tessera::monitoring
