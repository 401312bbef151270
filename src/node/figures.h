// Every figure of GPUs and slices by one name each: what metrics, history and alerts speak of. Pure.
#pragma once

#include <string_view>
#include <vector>

#include "monitoring/exposition.h"
#include "node/json.h"

namespace tessera::node {

// One figure of an answer: its key there, and what makes base units of it.
struct KeyedFigure {
  monitoring::Metric metric;
  const char* key;
  double unit = 1;
};

// Where figures go: those after about() are of these labels.
class FigureSink {
 public:
  virtual ~FigureSink() = default;
  virtual void about(const monitoring::Labels& labels) = 0;
  virtual void add(const monitoring::Metric& metric, double value) = 0;
};

// Of an entry of gpus_json() and of the daemon's answer to "slices", with its labels: gpu, uuid and model, or
// slice and, where it is of a part of one, gpu. What an entry lacks, or has as null, is no number, which
// sinks leave out.
void gpu_figures(const Json& gpu, FigureSink& sink);
void slice_figures(const Json& slice, FigureSink& sink);

// For who has the numbers themselves: of the fact that an answer has under that key, null where no figure is.
const KeyedFigure* slice_figure(std::string_view key);
const KeyedFigure* part_figure(std::string_view key);  // of a slice on a GPU
const KeyedFigure* process_figure();                   // how many processes a slice has

// All that those may give.
const std::vector<const monitoring::Metric*>& all_figures();
// Its place there, by its short name; of one that there is.
size_t figure_index(std::string_view short_name);
// Without "tessera_": what history and alerts call it.
std::string_view short_name(const monitoring::Metric& metric);
// The history keeps all figures for a day, and those for a month: what plots and reports show.
bool is_kept_long(std::string_view short_name);
// By its name, with "tessera_" before it or not; null where there is none.
const monitoring::Metric* find_figure(std::string_view name);

}  // namespace tessera::node
