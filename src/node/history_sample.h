// How the daemon tells its history's process of a sample: a line for each subject, plain enough that many of
// them cost little. The keeper is the same program, so a figure's place in all_figures() says what it is.
//
//   TIME_MS AGE_MS GPU SLICE<tab>PLACE VALUE PLACE VALUE…
//
// AGE_MS is that of a slice, in its first sample, and else -. GPU is its index, or - where the figures are of
// all of the slice; SLICE is empty where there is none.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "monitoring/history/history_store.h"

namespace tessera::node {

// Appends the line, with its end.
void append_sample_line(std::string& text, uint64_t time_ms, std::optional<uint64_t> age_ms,
                        const monitoring::Subject& subject, const std::vector<monitoring::Figure>& figures);

struct SampleLine {
  uint64_t time_ms = 0;
  std::optional<uint64_t> age_ms;
  monitoring::Subject subject;
  std::vector<monitoring::Figure> figures;
};
// Without its end; nothing where it is not such a line. Figures that are not known are left out.
std::optional<SampleLine> parse_sample_line(std::string_view line);

}  // namespace tessera::node
