#include "monitoring/alerts/alert_rules.h"

#include <gtest/gtest.h>

namespace tessera::monitoring {
namespace {

bool known(std::string_view metric) { return metric == "used" || metric == "limit"; }

TEST(AlertRules, AreReadWhole) {
  const auto rules = parse_alert_rules(R"(
rules:
  - name: full
    metric: tessera_used
    of: limit
    slice: train-*
    gpu: 1
    above: 0.95
    clear: 0.9
    for: 30s
    severity: critical
    summary: give it more memory
  - {name: grows, metric: used, rate: 1m, above: 0}
  - {name: silent, metric: used, absent: 90s}
)",
                                       known);
  ASSERT_TRUE(rules.ok()) << rules.status().message();
  ASSERT_EQ(rules->size(), 3u);
  const AlertRule& full = (*rules)[0];
  EXPECT_EQ(full.metric, "used");
  EXPECT_EQ(full.of, "limit");
  EXPECT_EQ(full.slice, "train-*");
  EXPECT_EQ(full.gpu, 1u);
  EXPECT_EQ(full.above, 0.95);
  EXPECT_EQ(full.clear, 0.9);
  EXPECT_EQ(full.for_ms, 30'000);
  EXPECT_EQ(full.severity, Severity::kCritical);
  EXPECT_EQ((*rules)[1].rate_over_ms, 60'000);
  EXPECT_EQ((*rules)[2].absent_ms, 90'000);
}

TEST(AlertRules, WhatIsWrongIsSaid) {
  const std::pair<const char*, const char*> kWrong[] = {
      {"", "one key, rules"},
      {"rules: 5", "one key, rules"},
      {"rules: []\nmore: 1", "one key, rules"},
      {"rules: [1]", "map of keys"},
      {"rules: [{metric: used, above: 1}]", "no name"},
      {"rules: [{name: a, above: 1}]", "rule 'a': it has no metric"},
      {"rules: [{name: a, metric: nothing, above: 1}]", "'nothing' is no metric"},
      {"rules: [{name: a, metric: used}]", "one of above, below and absent"},
      {"rules: [{name: a, metric: used, above: 1, below: 2}]", "one of above, below and absent"},
      {"rules: [{name: a, metric: used, above: x}]", "'x' is no number"},
      {"rules: [{name: a, metric: used, above: .nan}]", "is no number"},
      {"rules: [{name: a, metric: used, above: 1, for: soon}]", "for: 'soon' is no time"},
      {"rules: [{name: a, metric: used, above: 1, for: 999999999999d}]", "at most a year"},
      {"rules: [{name: a, metric: used, above: 1, clear: 2}]", "never be resolved"},
      {"rules: [{name: a, metric: used, absent: 1m, clear: 2}]", "absent goes with none"},
      {"rules: [{name: a, metric: used, above: 1, rate: 1m, of: limit}]", "do not go together"},
      {"rules: [{name: a, metric: used, above: 1, severity: bad}]", "info, warning or critical"},
      {"rules: [{name: a, metric: used, above: 1, gpu: -1}]", "is no index"},
      {"rules: [{name: a, metric: used, above: 1, colour: red}]", "no key 'colour'"},
      {"rules: [{name: a, metric: [used], above: 1}]", "metric is not a single value"},
      {"rules: [{name: a, metric: used, above: 1}, {name: a, metric: used, above: 1}]",
       "two rules are named 'a'"},
      {"rules: [", ""},
  };
  for (const auto& [text, what] : kWrong) {
    const auto rules = parse_alert_rules(text, known);
    ASSERT_FALSE(rules.ok()) << text;
    EXPECT_NE(rules.status().message().find(what), std::string::npos)
        << text << ": " << rules.status().message();
  }
}

TEST(AlertRules, Spans) {
  EXPECT_EQ(parse_span_ms("250ms").value(), 250);
  EXPECT_EQ(parse_span_ms("30").value(), 30'000);
  EXPECT_EQ(parse_span_ms("2h").value(), 7'200'000);
  EXPECT_EQ(parse_span_ms("7d").value(), 604'800'000);
  for (const char* text : {"", "h", "-1s", "1w", "1.5h", "0x10s", "18446744073709551616s"})
    EXPECT_FALSE(parse_span_ms(text).ok()) << text;
}

}  // namespace
}  // namespace tessera::monitoring
