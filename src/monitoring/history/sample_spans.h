// What samples stand for: the time since the one before them, and of counters what they grew by in it. Pure.
//
// A counter is 0 when its subject begins. So the first sample of a subject whose age is known stands for its
// life until then; of other first samples nothing is known but what they say.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <utility>

namespace tessera::monitoring {

class SampleSpans {
 public:
  // Over more than that growth says nothing of a rate.
  static constexpr int64_t kLongestMs = 60'000;
  // A life of less counts as that long: what it did in a few milliseconds would be a rate beyond all others.
  static constexpr int64_t kShortestLifeMs = 1000;

  struct Sample {
    int64_t subject;
    int64_t time_ms;
    std::optional<int64_t> age_ms;  // of the subject; only in its first sample
  };
  struct Value {
    double value;
    double lasted_ms;
  };

  // When the subject was last sampled here.
  std::optional<int64_t> latest_ms(int64_t subject) const;
  // After its values.
  void remember(const Sample& sample) { latest_ms_[sample.subject] = sample.time_ms; }

  // What its gauges stand for.
  double lasted_ms(const Sample& sample) const;
  // What it grew by in a second; nothing where that is not known.
  std::optional<Value> counter(const Sample& sample, int64_t metric, double value);

  void forget_old(int64_t time_ms, int64_t subjects_older_than_ms);

 private:
  struct Last {
    int64_t time_ms;
    double value;
  };
  static std::optional<double> life_ms(const Sample& sample);

  std::map<std::pair<int64_t, int64_t>, Last> counters_;  // by subject and metric: as last told
  std::map<int64_t, int64_t> latest_ms_;                  // by subject
};

}  // namespace tessera::monitoring
