// Rules of alerts from a file (YAML), see docs/alerts.md.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/status.h"
#include "monitoring/alerts/alert_engine.h"

namespace tessera::monitoring {

inline constexpr size_t kMostRules = 256;
inline constexpr size_t kMostRuleBytes = 256 * 1024;  // of a file

// `known` says which figures there are. An error names the rule and what is wrong with it.
Result<std::vector<AlertRule>> parse_alert_rules(const std::string& text,
                                                 bool (*known)(std::string_view metric));
Result<std::vector<AlertRule>> read_alert_rules(const std::string& path,
                                                bool (*known)(std::string_view metric));

// "500ms", "30s", "5m", "2h", "7d" in milliseconds; a number alone is of seconds.
Result<int64_t> parse_span_ms(std::string_view text);

}  // namespace tessera::monitoring
