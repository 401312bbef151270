// Figures of the past in a file: each sample for an hour, minutes for a day, ten minutes for a month. Reads
// no clock: times are given to it, in milliseconds since 1970, and may jump.
//
// Figures that nobody plots over weeks may be left out of the coarsest level (Options).
//
// A sample is of subjects: a GPU, a slice, or a slice on a GPU; a row holds all figures of one. Counters
// become what they grew by in a second, so that every figure can be averaged. Each figure has the time that
// it stands for (sample_spans.h); a row of a coarser level has the mean by that, the least and the most of
// its finer ones, and how much of its step was recorded.
//
// The rows of the last minute lie apart (fresh_rows.h). The file is SQLite's, with its write-ahead log:
// whatever ends the process, the file is whole. One that is damaged is moved aside and begun anew. Its size
// is bounded: the oldest of the coarsest level goes first.
#pragma once

#include <cstdint>
#include <functional>
#include <iterator>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "monitoring/history/database.h"
#include "monitoring/history/fresh_rows.h"
#include "monitoring/history/sample_spans.h"
#include "monitoring/subject.h"

namespace tessera::monitoring {

inline constexpr int64_t kHourMs = 3'600'000, kDayMs = 24 * kHourMs;

struct HistoryLevel {
  int64_t step_ms;  // 0: as sampled
  int64_t kept_ms;
};
inline constexpr HistoryLevel kHistoryLevels[] = {
    {0, kHourMs}, {60'000, kDayMs + kHourMs}, {600'000, 31 * kDayMs}};
inline constexpr size_t kHistoryLevelCount = std::size(kHistoryLevels);
inline constexpr size_t kMostSeries = 64;     // of an answer, where nothing else is asked for
inline constexpr int64_t kMostPoints = 2000;  // of a series
inline constexpr size_t kMostFigures = 4096;  // by name, ever

struct Figure {
  std::string_view name;  // of a table that stays
  double value;
  bool is_counter;
};

struct HistoryQuery {
  std::vector<std::string> metrics;  // without "tessera_"
  std::optional<std::string> slice;
  std::optional<uint32_t> gpu;
  int64_t since_ms = 0;
  int64_t until_ms = 0;
  int64_t now_ms = 0;    // what is older than an hour is known in minutes only, and so on
  int64_t points = 300;  // at most
  size_t most_series = kMostSeries;
};

struct HistoryPoint {
  int64_t time_ms;  // where its step begins
  double mean, least, most;
  double seconds;  // that it stands for: a counter grew by as many times its mean
};
struct HistorySeries {
  std::string metric;
  Subject subject;
  std::vector<HistoryPoint> points;  // by time; a step in which nothing was recorded has none
};
struct HistoryAnswer {
  int64_t step_ms = 0;
  std::vector<HistorySeries> series;
  bool truncated = false;  // there are more series than were asked for
};

class HistoryStore {
 public:
  struct Options {
    int64_t most_bytes = 256 * 1024 * 1024;
    // Which figures the coarsest level has, too; null: all.
    bool (*is_kept_long)(std::string_view metric) = nullptr;
  };
  // What was done to a file that could not be used, for people; empty where all is well.
  struct Opened;
  static Result<Opened> open(const std::string& path, const Options& options);
  // One that another process may be writing.
  static Result<HistoryStore> open_to_read(const std::string& path, const Options& options);

  // One sample: any number of subjects, then commit(). Figures that are no numbers are left out. An error
  // loses the sample and nothing else. `age_ms`: how old the subject is, in its first sample.
  Status add(int64_t time_ms, const Subject& subject, const std::vector<Figure>& figures,
             std::optional<int64_t> age_ms = std::nullopt);
  Status commit(int64_t time_ms);

  Result<HistoryAnswer> query(const HistoryQuery& query);
  // Names that have ever been recorded.
  std::vector<std::string> metrics() const;
  Result<int64_t> used_bytes();

 private:
  using Times = std::pair<int64_t, int64_t>;  // from, and until before

  static Result<HistoryStore> open_whole(const std::string& path, const Options& options);
  Status make_tables();
  Status prepare();
  Status load_names();
  Result<int64_t> metric_id(std::string_view name);
  Result<int64_t> metric_id_by_name(std::string_view name);
  int64_t know_metric(std::string_view name, int64_t id);
  Result<int64_t> subject_id(const Subject& subject);
  Status begin();
  Status end(Status status);
  Result<HistoryAnswer> answer(const HistoryQuery& query);
  Status roll_up(size_t level, int64_t time_ms);
  Status roll_up_step(size_t level, Times step);
  Status tidy(int64_t time_ms);
  Status keep_small();
  // Calls `visit` with the time and the figures of each row.
  template <typename Visit>
  Status read_rows(size_t level, int64_t subject, Times times, Visit visit);
  struct Bucket;
  class StepBuckets;
  using Buckets = std::map<int64_t, std::map<int64_t, Bucket>>;  // by metric and time
  Status fill(const HistoryQuery& query, size_t level, int64_t subject, int64_t step_ms, Buckets& buckets);
  Status add_series(const HistoryQuery& query, size_t level, int64_t subject, const Subject& named,
                    HistoryAnswer& answer);

  Options options_;
  Database database_;
  Statement insert_, select_, remember_;
  FreshRows fresh_;
  std::map<std::string, int64_t, std::less<>> metric_ids_;
  std::unordered_map<const char*, int64_t> ids_by_place_;  // the same: names of figures stay where they are
  std::set<int64_t> short_ids_;                            // of those that the coarsest level does not have
  std::map<Subject, int64_t> subject_ids_;
  SampleSpans spans_;
  std::optional<int64_t> first_ms_;  // of the samples here
  int64_t rolled_up_to_ms_[kHistoryLevelCount] = {};
  int64_t moved_ms_ = 0;  // fresh rows to their places
  int64_t tidied_ms_ = 0;
  bool in_transaction_ = false;
};

struct HistoryStore::Opened {
  HistoryStore store;
  std::string remark;
};

}  // namespace tessera::monitoring
