// The history as the command line reads it: the file itself, whether a daemon runs or not.
#pragma once

#include <string>
#include <vector>

#include "cli/monitor_command_options.h"
#include "monitoring/history/history_store.h"

namespace tessera::cli {

Result<monitoring::HistoryStore> open_history(const HistorySource& source);
// Until now.
monitoring::HistoryQuery query_since(const HistorySource& source, std::vector<std::string> metrics,
                                     int64_t points);

// By the unit that a metric's name says: "1.5GiB", "23.1%", "4.2ms".
std::string figure_text(const std::string& metric, double value);

}  // namespace tessera::cli
