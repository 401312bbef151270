// A row of the history: the figures of a subject at a time, or in a step of a coarser level.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

namespace tessera::monitoring {

// A figure of a row: as sampled it is its own mean, least and most.
struct Packed {
  uint16_t metric;
  std::array<float, 3> values;
};
constexpr size_t packed_bytes(size_t level) {
  return sizeof(uint16_t) + (level == 0 ? 1 : 3) * sizeof(float);
}

inline void pack(std::vector<std::byte>& row, size_t level, int64_t metric,
                 const std::array<float, 3>& values) {
  const auto id = static_cast<uint16_t>(metric);
  const size_t at = row.size();
  row.resize(at + packed_bytes(level));
  memcpy(&row[at], &id, sizeof id);
  memcpy(&row[at + sizeof id], values.data(), packed_bytes(level) - sizeof id);
}

// A row that was cut short has what is whole of it.
template <typename Visit>
void unpack(std::span<const std::byte> row, size_t level, Visit visit) {
  for (; row.size() >= packed_bytes(level); row = row.subspan(packed_bytes(level))) {
    Packed figure{};
    memcpy(&figure.metric, row.data(), sizeof figure.metric);
    memcpy(figure.values.data(), row.data() + sizeof figure.metric,
           packed_bytes(level) - sizeof figure.metric);
    if (level == 0) figure.values[1] = figure.values[2] = figure.values[0];
    visit(figure);
  }
}

}  // namespace tessera::monitoring
