// Every figure of GPUs and slices by one name each: what metrics, history and alerts speak of. Pure.
#pragma once

#include <functional>
#include <string_view>
#include <vector>

#include "monitoring/exposition.h"
#include "node/json.h"

namespace tessera::node {

using FigureSink =
    std::function<void(const monitoring::Metric& metric, const monitoring::Labels& labels, double value)>;

// Of an entry of gpus_json() and of the daemon's answer to "slices", with its labels: gpu, uuid and model, or
// slice and, where it is of a part of one, gpu. What an entry lacks, or has as null, is no number, which
// sinks leave out.
void gpu_figures(const Json& gpu, const FigureSink& sink);
void slice_figures(const Json& slice, const FigureSink& sink);

// All that those may give.
const std::vector<const monitoring::Metric*>& all_figures();
// Without "tessera_": what history and alerts call it.
std::string_view short_name(const monitoring::Metric& metric);
// Whether the history keeps it: what plots and reports show.
bool is_in_history(std::string_view short_name);
// By its name, with "tessera_" before it or not; null where there is none.
const monitoring::Metric* find_figure(std::string_view name);

}  // namespace tessera::node
