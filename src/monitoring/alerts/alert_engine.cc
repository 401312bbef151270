#include "monitoring/alerts/alert_engine.h"

#include <algorithm>
#include <cmath>

#include "common/strings.h"

namespace tessera::monitoring {
namespace {

// * and ? as shells have them; linear but for the last star, so that no pattern takes long.
bool matches(std::string_view pattern, std::string_view text) {
  size_t p = 0, t = 0, star = std::string_view::npos, retry = 0;
  while (t < text.size()) {
    if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == text[t])) {
      ++p;
      ++t;
    } else if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      retry = t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++retry;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

bool is_beyond(const AlertRule& rule, double value, bool is_active) {
  if (rule.above) return value > (is_active ? rule.clear.value_or(*rule.above) : *rule.above);
  return rule.below && value < (is_active ? rule.clear.value_or(*rule.below) : *rule.below);
}

}  // namespace

const char* alert_state_name(AlertState state) {
  constexpr const char* kNames[] = {"pending", "firing", "resolved"};
  return kNames[static_cast<size_t>(state)];
}

bool AlertEngine::wants(std::string_view metric) const {
  return std::any_of(rules_.begin(), rules_.end(),
                     [&](const AlertRule& rule) { return rule.metric == metric || rule.of == metric; });
}

bool AlertEngine::is_about(const AlertRule& rule, const Subject& subject) {
  return (!rule.gpu || rule.gpu == subject.gpu) &&
         (rule.slice == "*" || (!subject.slice.empty() && matches(rule.slice, subject.slice)));
}

void AlertEngine::add(const Subject& subject, std::string_view metric, double value, int64_t now_ms) {
  if (!std::isfinite(value)) return;
  for (size_t i = 0; i < rules_.size(); ++i) {
    const AlertRule& rule = rules_[i];
    if ((rule.metric != metric && rule.of != metric) || !is_about(rule, subject)) continue;
    auto found = tracked_.find({i, subject});
    if (found == tracked_.end()) {
      if (tracked_.size() >= kMostTracked) continue;
      found = tracked_.emplace(Key{i, subject}, Tracked{}).first;
    }
    (rule.metric == metric ? found->second.value : found->second.whole) = value;
    if (rule.metric == metric) found->second.seen_ms = now_ms;
  }
}

// What the bounds are held against; none where there is nothing to hold against them.
std::optional<double> AlertEngine::judged_value(const AlertRule& rule, Tracked& tracked, int64_t now_ms) {
  if (!tracked.value) return std::nullopt;
  if (!rule.of.empty()) {
    if (!tracked.whole || *tracked.whole == 0) return std::nullopt;
    return *tracked.value / *tracked.whole;
  }
  if (rule.rate_over_ms == 0) return tracked.value;
  // What falls has begun anew.
  if (!tracked.past.empty() && *tracked.value < tracked.past.back().second) tracked.past.clear();
  tracked.past.emplace_back(now_ms, *tracked.value);
  while (tracked.past.size() > kMostRatePoints ||
         (tracked.past.size() > 1 && tracked.past[1].first <= now_ms - rule.rate_over_ms))
    tracked.past.pop_front();
  const auto& [then_ms, before] = tracked.past.front();
  if (now_ms == then_ms) return std::nullopt;
  return (*tracked.value - before) * 1000 / static_cast<double>(now_ms - then_ms);
}

bool AlertEngine::holds(const AlertRule& rule, const Tracked& tracked, std::optional<double> value,
                        int64_t now_ms) {
  if (rule.absent_ms != 0) {
    // What stays away that long is no longer expected.
    const int64_t away_ms = now_ms - tracked.seen_ms;
    return away_ms >= rule.absent_ms && away_ms <= rule.absent_ms + kRememberedMs;
  }
  const bool is_active = tracked.alert && tracked.alert->state == AlertState::kFiring;
  return value && is_beyond(rule, *value, is_active);
}

void AlertEngine::note(const AlertRule& rule, const Subject& subject, Tracked& tracked,
                       std::optional<double> value, bool held, int64_t now_ms, std::vector<Alert>& changed) {
  const bool is_open = tracked.alert && tracked.alert->state != AlertState::kResolved;
  if (held) {
    if (!is_open) {
      tracked.alert.emplace();
      tracked.alert->rule = &rule;
      tracked.alert->subject = subject;
      tracked.alert->since_ms = now_ms;
    }
    Alert& alert = *tracked.alert;
    alert.value = value;
    if (alert.state == AlertState::kPending && now_ms - alert.since_ms >= rule.for_ms) {
      alert.state = AlertState::kFiring;
      alert.fired_ms = now_ms;
      changed.push_back(alert);
    }
    return;
  }
  if (is_open && tracked.alert->state == AlertState::kPending) tracked.alert.reset();
  if (is_open && tracked.alert && tracked.alert->state == AlertState::kFiring) {
    tracked.alert->state = AlertState::kResolved;
    tracked.alert->resolved_ms = now_ms;
    tracked.alert->value = value;
    changed.push_back(*tracked.alert);
  }
}

std::vector<Alert> AlertEngine::judge(int64_t now_ms) {
  std::vector<Alert> changed;
  for (auto next = tracked_.begin(); next != tracked_.end();) {
    auto& [key, tracked] = *next;
    const AlertRule& rule = rules_[key.first];
    const std::optional<double> value = judged_value(rule, tracked, now_ms);
    note(rule, key.second, tracked, value, holds(rule, tracked, value, now_ms), now_ms, changed);
    tracked.value.reset();
    tracked.whole.reset();
    const bool is_over = !tracked.alert || (tracked.alert->state == AlertState::kResolved &&
                                            now_ms - *tracked.alert->resolved_ms > kRememberedMs);
    const bool is_gone = now_ms - tracked.seen_ms > expected_ms(rule);
    next = is_over && is_gone ? tracked_.erase(next) : std::next(next);
  }
  // There is room for the next sample's.
  if (tracked_.size() >= kMostTracked / 4 * 3) make_room();
  return changed;
}

int64_t AlertEngine::expected_ms(const AlertRule& rule) {
  return rule.absent_ms != 0 ? kRememberedMs + rule.absent_ms : std::max(kExpectedMs, rule.rate_over_ms);
}

// A quarter at a time, as it takes a look at all.
void AlertEngine::make_room() {
  std::vector<std::pair<int64_t, Key>> quiet;
  for (const auto& [key, tracked] : tracked_) {
    const bool is_open = tracked.alert && tracked.alert->state != AlertState::kResolved;
    if (!is_open) quiet.emplace_back(tracked.seen_ms, key);
  }
  std::sort(quiet.begin(), quiet.end());
  quiet.resize(std::min(quiet.size(), kMostTracked / 4));
  for (const auto& [seen_ms, key] : quiet) tracked_.erase(key);
}

std::vector<Alert> AlertEngine::alerts() const {
  std::vector<Alert> all;
  for (const auto& [key, tracked] : tracked_) {
    if (tracked.alert) all.push_back(*tracked.alert);
  }
  const auto rank = [](const Alert& alert) {
    return alert.state == AlertState::kFiring ? 0 : alert.state == AlertState::kPending ? 1 : 2;
  };
  std::stable_sort(all.begin(), all.end(), [&](const Alert& a, const Alert& b) {
    return rank(a) != rank(b) ? rank(a) < rank(b) : a.since_ms > b.since_ms;
  });
  return all;
}

std::string subject_text(const Subject& subject) {
  const std::string gpu = subject.gpu ? "GPU " + std::to_string(*subject.gpu) : "";
  if (subject.slice.empty()) return gpu.empty() ? "the node" : gpu;
  return "slice '" + subject.slice + "'" + (gpu.empty() ? "" : " on " + gpu);
}

std::string alert_text(const Alert& alert) {
  const AlertRule& rule = *alert.rule;
  std::string figure = rule.metric;
  if (rule.rate_over_ms != 0) figure += " a second";
  const bool is_over = alert.state == AlertState::kResolved;
  std::string told = rule.absent_ms != 0 ? figure + " is told" : figure + " is in bounds";
  if (!is_over) {
    told = alert.value ? str_format("%s is %.6g%s%s", figure.c_str(), *alert.value,
                                    rule.of.empty() ? "" : " of ", rule.of.c_str())
                       : figure + " is not told";
  }
  return rule.name + ": " + subject_text(alert.subject) + ": " + told +
         (rule.summary.empty() || is_over ? "" : "; " + rule.summary);
}

}  // namespace tessera::monitoring
