#include "monitoring/alerts/alert_rules.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "common/fd.h"
#include "common/strings.h"

namespace tessera::monitoring {
namespace {

using Known = bool (*)(std::string_view metric);

constexpr int64_t kLongestSpanMs = int64_t{366} * 24 * 3'600'000;
constexpr size_t kMostTextBytes = 300;

Status wrong(const std::string& what) { return Status(Code::kInvalidArgument, what); }

// One rule, key by key; the first thing that is wrong is what is told.
class RuleReader {
 public:
  RuleReader(const YAML::Node& node, Known known) : node_(node), known_(known) {}

  Result<AlertRule> read() {
    if (!node_.IsMap()) return wrong("a rule is a map of keys");
    text("name", rule_.name);
    if (status_.ok() && rule_.name.empty()) status_ = wrong("a rule has no name");
    metric("metric", rule_.metric);
    if (status_.ok() && rule_.metric.empty()) status_ = wrong("it has no metric");
    metric("of", rule_.of);
    text("slice", rule_.slice);
    text("summary", rule_.summary);
    number("above", rule_.above);
    number("below", rule_.below);
    number("clear", rule_.clear);
    span("rate", rule_.rate_over_ms);
    span("absent", rule_.absent_ms);
    span("for", rule_.for_ms);
    gpu();
    severity();
    if (status_.ok()) check_keys();
    if (status_.ok()) check_sense();
    if (!status_.ok())
      return rule_.name.empty() ? status_ : status_.with_context("rule '" + rule_.name + "'");
    return rule_;
  }

 private:
  std::optional<std::string> scalar(const char* key) {
    seen_.insert(key);
    const YAML::Node value = node_[key];
    if (!status_.ok() || !value) return std::nullopt;
    if (!value.IsScalar()) {
      status_ = wrong(std::string(key) + " is not a single value");
      return std::nullopt;
    }
    return value.Scalar();
  }
  void text(const char* key, std::string& to) {
    const auto value = scalar(key);
    if (!value) return;
    to = *value;
    if (to.size() > kMostTextBytes)
      status_ = wrong(str_format("%s has more than %zu bytes", key, kMostTextBytes));
  }
  void metric(const char* key, std::string& to) {
    constexpr std::string_view kPrefix = "tessera_";
    text(key, to);
    if (to.starts_with(kPrefix)) to.erase(0, kPrefix.size());
    if (status_.ok() && !to.empty() && !known_(to))
      status_ = wrong(std::string(key) + " '" + to + "' is no metric; docs/metrics.md lists them");
  }
  void number(const char* key, std::optional<double>& to) {
    const auto value = scalar(key);
    if (!value) return;
    char* end = nullptr;
    const double number = strtod(value->c_str(), &end);
    if (value->empty() || *end != '\0' || !std::isfinite(number)) {
      status_ = wrong(std::string(key) + " '" + *value + "' is no number");
    } else {
      to = number;
    }
  }
  void span(const char* key, int64_t& to) {
    const auto value = scalar(key);
    if (!value) return;
    const auto parsed = parse_span_ms(*value);
    if (!parsed.ok()) {
      status_ = parsed.status().with_context(key);
    } else {
      to = *parsed;
    }
  }
  void gpu() {
    const auto value = scalar("gpu");
    if (!value) return;
    const auto index = parse_uint(*value);
    if (!index || *index > UINT32_MAX) {
      status_ = wrong("gpu '" + *value + "' is no index");
    } else {
      rule_.gpu = static_cast<uint32_t>(*index);
    }
  }
  void severity() {
    const auto value = scalar("severity");
    if (!value) return;
    for (const Severity one : {Severity::kInfo, Severity::kWarning, Severity::kCritical}) {
      if (*value != severity_name(one)) continue;
      rule_.severity = one;
      return;
    }
    status_ = wrong("severity is info, warning or critical, not '" + *value + "'");
  }
  void check_keys() {
    for (const auto& entry : node_) {
      const std::string key = entry.first.IsScalar() ? entry.first.Scalar() : "?";
      if (!seen_.contains(key)) status_ = wrong("there is no key '" + key + "'");
    }
  }
  void check_sense() {
    const int conditions = (rule_.above ? 1 : 0) + (rule_.below ? 1 : 0) + (rule_.absent_ms != 0 ? 1 : 0);
    if (conditions != 1) {
      status_ = wrong("it needs one of above, below and absent");
    } else if (rule_.absent_ms != 0 && (rule_.rate_over_ms != 0 || !rule_.of.empty() || rule_.clear)) {
      status_ = wrong("absent goes with none of rate, of and clear");
    } else if (rule_.rate_over_ms != 0 && !rule_.of.empty()) {
      status_ = wrong("rate and of do not go together");
    } else if (rule_.clear && ((rule_.above && *rule_.clear > *rule_.above) ||
                               (rule_.below && *rule_.clear < *rule_.below))) {
      status_ = wrong("clear lies beyond the bound: it would never be resolved");
    }
  }

  const YAML::Node& node_;
  const Known known_;
  AlertRule rule_;
  std::set<std::string> seen_;
  Status status_;
};

Result<std::vector<AlertRule>> rules_of(const YAML::Node& root, Known known) {
  if (!root.IsMap() || !root["rules"] || !root["rules"].IsSequence() || root.size() != 1)
    return wrong("the file has one key, rules, with a list");
  const YAML::Node list = root["rules"];
  if (list.size() > kMostRules)
    return wrong(str_format("there are %zu rules; %zu are the most", list.size(), kMostRules));
  std::vector<AlertRule> rules;
  std::set<std::string> names;
  for (const YAML::Node& node : list) {
    TESSERA_ASSIGN_OR_RETURN(AlertRule rule, RuleReader(node, known).read());
    if (!names.insert(rule.name).second) return wrong("two rules are named '" + rule.name + "'");
    rules.push_back(std::move(rule));
  }
  return rules;
}

}  // namespace

// The library throws.
Result<std::vector<AlertRule>> parse_alert_rules(const std::string& text, Known known) {
  try {
    return rules_of(YAML::Load(text), known);
  } catch (const std::exception& error) {
    return Status(Code::kInvalidData, error.what());
  }
}

Result<std::vector<AlertRule>> read_alert_rules(const std::string& path, Known known) {
  TESSERA_ASSIGN_OR_RETURN(const std::string text, read_file(path, kMostRuleBytes));
  auto rules = parse_alert_rules(text, known);
  if (!rules.ok()) return rules.status().with_context(path);
  return rules;
}

Result<int64_t> parse_span_ms(std::string_view text) {
  constexpr std::pair<std::string_view, int64_t> kUnits[] = {
      {"ms", 1}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}, {"d", int64_t{24} * 3'600'000}};
  std::string_view digits = text;
  int64_t unit = 1000;
  for (const auto& [name, ms] : kUnits) {
    if (!text.ends_with(name)) continue;
    digits = text.substr(0, text.size() - name.size());
    unit = ms;
    break;
  }
  const bool plain = !digits.empty() &&
                     std::all_of(digits.begin(), digits.end(), [](char c) { return c >= '0' && c <= '9'; });
  const auto number = plain ? parse_uint(digits) : std::nullopt;
  if (!number || *number > static_cast<uint64_t>(kLongestSpanMs / unit)) {
    return Status::error(Code::kInvalidArgument, "'%.*s' is no time of at most a year, as 30s, 5m, 2h or 7d",
                         static_cast<int>(std::min<size_t>(text.size(), 60)), text.data());
  }
  return static_cast<int64_t>(*number) * unit;
}

}  // namespace tessera::monitoring
