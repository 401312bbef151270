// What is wrong, by rules over figures. Pure: samples and times are told to it, in milliseconds that never go
// back.
//
// A rule is of one figure, of each subject that has it (a GPU, a slice, a slice on a GPU). Its condition
// holds where
//   above / below  the figure is, or what it grows by in a second, over `rate_over_ms`, or its part of
//   another
//                  figure of the same subject;
//   absent         nothing was told of it for so long.
// Once it has held for `for_ms` the alert fires. It is resolved when the figure is back beyond `clear` (the
// hysteresis; without one, the bound itself), or its subject is gone.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "monitoring/event_list.h"
#include "monitoring/subject.h"

namespace tessera::monitoring {

struct AlertRule {
  std::string name;
  std::string metric;                  // without "tessera_"
  std::string of;                      // the figure that it is a part of; empty: it stands for itself
  std::string slice = "*";             // which slices: * and ? stand for any text and any character
  std::optional<uint32_t> gpu;         // none: any
  std::optional<double> above, below;  // one of them, or absent_ms
  std::optional<double> clear;
  int64_t rate_over_ms = 0;  // 0: not its growth
  int64_t absent_ms = 0;
  int64_t for_ms = 0;
  Severity severity = Severity::kWarning;
  std::string summary;
};

enum class AlertState : uint8_t { kPending, kFiring, kResolved };
const char* alert_state_name(AlertState state);

struct Alert {
  const AlertRule* rule;  // of the engine
  Subject subject;
  AlertState state = AlertState::kPending;
  std::optional<double> value;  // the latest; none where it is absent
  int64_t since_ms = 0;         // the condition began to hold
  std::optional<int64_t> fired_ms, resolved_ms;
};

class AlertEngine {
 public:
  static constexpr int64_t kRememberedMs = 3'600'000;  // once resolved
  // Subjects of rules; where there are more, those that nothing was told of for longest go, and what finds no
  // room is passed over until the next sample.
  static constexpr size_t kMostTracked = 8192;
  static constexpr int64_t kExpectedMs = 60'000;  // one that nothing is told of, where no rule waits for that
  static constexpr size_t kMostRatePoints = 256;

  explicit AlertEngine(std::vector<AlertRule> rules) : rules_(std::move(rules)) {}

  const std::vector<AlertRule>& rules() const { return rules_; }
  // Whether any rule is of that figure.
  bool wants(std::string_view metric) const;
  // A figure of the sample of `now_ms`, then judge() for all of it.
  void add(const Subject& subject, std::string_view metric, double value, int64_t now_ms);
  // Alerts that have begun to fire, and those that were firing and are resolved.
  std::vector<Alert> judge(int64_t now_ms);
  // All that are pending, firing, or were resolved lately: firing ones first, the latest first.
  std::vector<Alert> alerts() const;

 private:
  struct Tracked {
    std::optional<double> value, whole;  // of this sample
    std::deque<std::pair<int64_t, double>> past;
    int64_t seen_ms = 0;
    std::optional<Alert> alert;
  };
  using Key = std::pair<size_t, Subject>;  // rule

  static int64_t expected_ms(const AlertRule& rule);
  void make_room();
  static bool is_about(const AlertRule& rule, const Subject& subject);
  static std::optional<double> judged_value(const AlertRule& rule, Tracked& tracked, int64_t now_ms);
  static bool holds(const AlertRule& rule, const Tracked& tracked, std::optional<double> value,
                    int64_t now_ms);
  static void note(const AlertRule& rule, const Subject& subject, Tracked& tracked,
                   std::optional<double> value, bool held, int64_t now_ms, std::vector<Alert>& changed);

  std::vector<AlertRule> rules_;
  std::map<Key, Tracked> tracked_;
};

// "slice 'train' on GPU 0", "GPU 1", "the node".
std::string subject_text(const Subject& subject);
// One line for people: "slice-full: slice 'train' on GPU 0: slice_memory_used_bytes is 0.97 of …".
std::string alert_text(const Alert& alert);

}  // namespace tessera::monitoring
