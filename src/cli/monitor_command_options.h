// The options of `tessera history`, `alerts`, `top` and `report`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "common/status.h"

namespace CLI {
class App;
}

namespace tessera::cli {

// Whose history: a file, or that of the daemon at the socket.
struct HistorySource {
  std::string socket;
  std::string file;
  std::string since = "1h";
  int64_t since_ms = 0;
};
struct HistoryOptions : HistorySource {
  std::vector<std::string> metrics;  // short names; none: those that most ask for
  std::optional<uint32_t> gpu;
  std::optional<std::string> slice;
  uint32_t points = 0;  // 0: as many as the output shows well
  bool json = false, csv = false, list = false;
};
struct AlertsListOptions {
  std::string socket;
  bool json = false;
};
struct AlertsTestOptions : HistorySource {
  std::string rules;
  bool json = false;
};
struct TopOptions {
  std::string socket;
  bool json = false, once = false, no_colour = false;
  double seconds = 1;
};
struct ReportOptions : HistorySource {
  std::string output;  // .html or .md; empty: Markdown on standard output
  bool json = false;
};

using MonitorOptions =
    std::variant<HistoryOptions, AlertsListOptions, AlertsTestOptions, TopOptions, ReportOptions>;

class MonitorParser {
 public:
  void add(CLI::App& app);
  bool chosen() const;
  Result<MonitorOptions> parse();

 private:
  CLI::App *history_command_ = nullptr, *list_command_ = nullptr, *test_command_ = nullptr,
           *top_command_ = nullptr, *report_command_ = nullptr;
  HistoryOptions history_;
  AlertsListOptions list_;
  AlertsTestOptions test_;
  TopOptions top_;
  ReportOptions report_;
};

}  // namespace tessera::cli
