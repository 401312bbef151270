#include "monitoring/history/sample_spans.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "monitoring/history/row.h"

namespace tessera::monitoring {
namespace {

constexpr double kMsPerSecond = 1000;

SampleSpans::Value rate(double grown, double lasted_ms) {
  return {grown * kMsPerSecond / lasted_ms, lasted_ms};
}

}  // namespace

std::optional<int64_t> SampleSpans::latest_ms(int64_t subject) const {
  const auto found = latest_ms_.find(subject);
  if (found == latest_ms_.end()) return std::nullopt;
  return found->second;
}

std::optional<double> SampleSpans::life_ms(const Sample& sample) {
  if (!sample.age_ms || *sample.age_ms > kLongestMs) return std::nullopt;
  return static_cast<double>(std::max(*sample.age_ms, kShortestLifeMs));
}

double SampleSpans::lasted_ms(const Sample& sample) const {
  if (const auto life = life_ms(sample)) return *life;
  const auto latest = latest_ms(sample.subject);
  const int64_t gap_ms = latest ? sample.time_ms - *latest : 0;
  return gap_ms > 0 && gap_ms <= kLongestMs ? static_cast<double>(gap_ms) : kUnknownMs;
}

std::optional<SampleSpans::Value> SampleSpans::counter(const Sample& sample, int64_t metric, double value) {
  const auto [last, is_new] = counters_.try_emplace({sample.subject, metric}, Last{sample.time_ms, value});
  const Last before = std::exchange(last->second, Last{sample.time_ms, value});
  if (const auto life = life_ms(sample)) return rate(value, *life);
  const int64_t gap_ms = sample.time_ms - before.time_ms;
  if (is_new || gap_ms <= 0 || gap_ms > kLongestMs) return std::nullopt;
  // One that has begun anew has grown by what it is.
  return rate(value < before.value ? value : value - before.value, static_cast<double>(gap_ms));
}

void SampleSpans::forget_old(int64_t time_ms, int64_t subjects_older_than_ms) {
  std::erase_if(counters_,
                [&](const auto& entry) { return std::abs(time_ms - entry.second.time_ms) > kLongestMs; });
  std::erase_if(latest_ms_,
                [&](const auto& entry) { return std::abs(time_ms - entry.second) > subjects_older_than_ms; });
}

}  // namespace tessera::monitoring
