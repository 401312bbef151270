#include "cli/history_source.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <ctime>

#include "common/clock.h"
#include "common/size.h"
#include "common/strings.h"
#include "node/client.h"
#include "node/figures.h"

namespace tessera::cli {

Result<monitoring::HistoryStore> open_history(const HistorySource& source) {
  std::string file = source.file;
  if (file.empty()) {
    TESSERA_ASSIGN_OR_RETURN(auto client, node::ControlClient::connect(source.socket));
    node::Json request;
    request["op"] = "info";
    TESSERA_ASSIGN_OR_RETURN(const node::Json info, client.ask(request));
    file = node::json_string(info, "history");
    if (file.empty()) {
      return Status(
          Code::kFailedPrecondition,
          "the daemon keeps no history: start it with 'tesserad --history FILE', or name one by --file");
    }
  }
  auto store = monitoring::HistoryStore::open_to_read(file, {.is_kept_long = &node::is_kept_long});
  if (!store.ok()) return store.status().with_context(file);
  return store;
}

monitoring::HistoryQuery query_since(const HistorySource& source, std::vector<std::string> metrics,
                                     int64_t points) {
  constexpr uint64_t kNsPerMs = 1'000'000;
  monitoring::HistoryQuery query;
  query.metrics = std::move(metrics);
  query.now_ms = static_cast<int64_t>(wall_ns() / kNsPerMs);
  query.until_ms = query.now_ms + 1;
  query.since_ms = query.now_ms - source.since_ms;
  query.points = points;
  return query;
}

std::string figure_text(const std::string& metric, double value) {
  const bool per_second = metric.ends_with("_total");
  const char* each = per_second ? "/s" : "";
  if (metric.find("_bytes") != std::string::npos)
    return format_size(static_cast<uint64_t>(std::max(value, 0.0))) + each;
  if (metric.ends_with("_ratio") || metric == "slice_gpu_seconds_total" ||
      metric == "slice_turn_wait_seconds_total")
    return str_format("%.1f%%", 100 * value);
  if (metric.ends_with("_seconds")) return str_format("%.3gms", 1000 * value);
  return str_format("%.4g%s", value, each);
}

}  // namespace tessera::cli
