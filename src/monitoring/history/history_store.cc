#include "monitoring/history/history_store.h"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>

#include "common/strings.h"
#include "monitoring/history/row.h"

namespace tessera::monitoring {
namespace {

constexpr int64_t kApplication = 0x54535248;  // "TSRH"
constexpr int64_t kFormat = 2;
constexpr int64_t kOldestFormat = 1;  // its rows do not say what they stand for
constexpr int64_t kNoGpu = -1;
constexpr int64_t kTidyMs = 600'000;
constexpr int64_t kMoveMs = 60'000;
constexpr int64_t kMostStepsAtOnce = 64;  // to roll up, of a commit
constexpr int64_t kPageBytes = 4096;
constexpr double kMsPerSecond = 1000;

// What rows of the oldest format stand for: a step, or the time between two samples then.
constexpr double untold_ms(size_t level) {
  constexpr double kSampleMs = 2'000;
  return level == 0 ? kSampleMs : static_cast<double>(kHistoryLevels[level].step_ms);
}

constexpr const char* kTables =
    "CREATE TABLE IF NOT EXISTS metrics(id INTEGER PRIMARY KEY, name TEXT UNIQUE NOT NULL);"
    "CREATE TABLE IF NOT EXISTS subjects(id INTEGER PRIMARY KEY, slice TEXT NOT NULL, gpu INTEGER NOT NULL,"
    " UNIQUE(slice, gpu));"
    "CREATE TABLE IF NOT EXISTS rolled_up(level INTEGER PRIMARY KEY, to_ms INTEGER NOT NULL);"
    "CREATE TABLE IF NOT EXISTS points(level INTEGER, subject INTEGER, time_ms INTEGER, figures BLOB NOT "
    "NULL,"
    " PRIMARY KEY(level, subject, time_ms)) WITHOUT ROWID;";

}  // namespace

struct HistoryStore::Bucket {
  double sum = 0;  // of values times what they stand for
  double lasted_ms = 0;
  double least = 0, most = 0;

  void add(const Packed& figure) {
    least = lasted_ms == 0 ? figure.values[1] : std::min<double>(least, figure.values[1]);
    most = lasted_ms == 0 ? figure.values[2] : std::max<double>(most, figure.values[2]);
    sum += figure.values[0] * figure.lasted_ms;
    lasted_ms += figure.lasted_ms;
  }
  double mean() const { return sum / lasted_ms; }
};

// Buckets of figures. Rows mostly have the same figures in the same order: the next one is where it is looked
// for first.
class HistoryStore::StepBuckets {
 public:
  Bucket& of(uint16_t metric) {
    if (next_ >= all_.size()) next_ = 0;
    if (all_.empty() || all_[next_].first != metric) {
      next_ = static_cast<size_t>(
          std::find_if(all_.begin(), all_.end(), [&](const auto& one) { return one.first == metric; }) -
          all_.begin());
      if (next_ == all_.size()) all_.emplace_back(metric, Bucket());
    }
    return all_[next_++].second;
  }
  const std::vector<std::pair<uint16_t, Bucket>>& all() const { return all_; }

 private:
  std::vector<std::pair<uint16_t, Bucket>> all_;
  size_t next_ = 0;
};

namespace {

int64_t floor_to(int64_t time_ms, int64_t step_ms) { return time_ms - time_ms % step_ms; }

bool is_damaged(const Status& status) { return status.code() == Code::kInvalidData; }

}  // namespace

Result<HistoryStore::Opened> HistoryStore::open(const std::string& path, const Options& options) {
  auto whole = open_whole(path, options);
  if (whole.ok()) return Opened{std::move(whole).value(), ""};
  if (!is_damaged(whole.status())) return whole.status();
  // Its log first: a new file must never find it.
  for (const char* log : {"-wal", "-shm"}) remove((path + log).c_str());
  const std::string aside = path + ".damaged";
  if (rename(path.c_str(), aside.c_str()) != 0)
    return Status::from_errno(errno, "cannot move %s aside", path.c_str());
  TESSERA_ASSIGN_OR_RETURN(HistoryStore fresh, open_whole(path, options));
  return Opened{std::move(fresh), str_format("%s is damaged (%s): it is %s now, and a new one is begun",
                                             path.c_str(), whole.status().message().c_str(), aside.c_str())};
}

Result<HistoryStore> HistoryStore::open_whole(const std::string& path, const Options& options) {
  HistoryStore store;
  store.options_ = options;
  TESSERA_ASSIGN_OR_RETURN(store.database_, Database::open(path, Database::Access::kReadWrite));
  TESSERA_RETURN_IF_ERROR(store.make_tables());
  TESSERA_RETURN_IF_ERROR(store.prepare());
  return store;
}

Result<HistoryStore> HistoryStore::open_to_read(const std::string& path, const Options& options) {
  HistoryStore store;
  store.options_ = options;
  TESSERA_ASSIGN_OR_RETURN(store.database_, Database::open(path, Database::Access::kRead));
  TESSERA_ASSIGN_OR_RETURN(const int64_t application, store.database_.number("PRAGMA application_id"));
  if (application != kApplication) return Status(Code::kInvalidArgument, path + " is no history of Tessera");
  TESSERA_RETURN_IF_ERROR(store.prepare());
  return store;
}

Status HistoryStore::make_tables() {
  TESSERA_ASSIGN_OR_RETURN(const int64_t tables, database_.number("SELECT count(*) FROM sqlite_master"));
  TESSERA_ASSIGN_OR_RETURN(const int64_t application, database_.number("PRAGMA application_id"));
  TESSERA_ASSIGN_OR_RETURN(const int64_t format, database_.number("PRAGMA user_version"));
  if (tables != 0 && (application != kApplication || format < kOldestFormat || format > kFormat)) {
    return Status(Code::kFailedPrecondition,
                  "the file is a database of something else, or of another release: "
                  "name another one, or move it away");
  }
  TESSERA_RETURN_IF_ERROR(database_.execute(
      str_format("PRAGMA page_size=%lld; PRAGMA auto_vacuum=INCREMENTAL; PRAGMA journal_mode=WAL; "
                 "PRAGMA synchronous=NORMAL; PRAGMA journal_size_limit=%lld; PRAGMA max_page_count=%lld; "
                 "PRAGMA application_id=%lld; PRAGMA user_version=%lld",
                 static_cast<long long>(kPageBytes), static_cast<long long>(options_.most_bytes / 8),
                 static_cast<long long>(
                     std::max<int64_t>(options_.most_bytes + options_.most_bytes / 4, 1 << 20) / kPageBytes),
                 static_cast<long long>(kApplication), static_cast<long long>(kFormat))
          .c_str()));
  if (tables != 0) {
    TESSERA_ASSIGN_OR_RETURN(Statement check, database_.prepare("PRAGMA quick_check(1)"));
    TESSERA_ASSIGN_OR_RETURN(const bool told, check.step());
    std::string verdict(told ? check.text(0) : "no answer");
    std::replace(verdict.begin(), verdict.end(), '\n', ' ');
    if (verdict != "ok") return Status(Code::kInvalidData, verdict);
  }
  return database_.execute((std::string(kTables) + FreshRows::kTable).c_str());
}

Status HistoryStore::prepare() {
  TESSERA_ASSIGN_OR_RETURN(insert_, database_.prepare("INSERT OR REPLACE INTO points VALUES(?,?,?,?)"));
  TESSERA_ASSIGN_OR_RETURN(
      select_, database_.prepare("SELECT time_ms, figures FROM points WHERE level=? AND subject=? AND "
                                 "time_ms>=? AND time_ms<? ORDER BY time_ms"));
  TESSERA_ASSIGN_OR_RETURN(remember_, database_.prepare("INSERT OR REPLACE INTO rolled_up VALUES(?,?)"));
  TESSERA_ASSIGN_OR_RETURN(fresh_, FreshRows::open(database_));
  return load_names();
}

Status HistoryStore::load_names() {
  metric_ids_.clear();
  ids_by_place_.clear();
  short_ids_.clear();
  subject_ids_.clear();
  TESSERA_ASSIGN_OR_RETURN(Statement metrics, database_.prepare("SELECT id, name FROM metrics"));
  for (;;) {
    TESSERA_ASSIGN_OR_RETURN(const bool found, metrics.step());
    if (!found) break;
    know_metric(metrics.text(1), metrics.integer(0));
  }
  TESSERA_ASSIGN_OR_RETURN(Statement subjects, database_.prepare("SELECT id, slice, gpu FROM subjects"));
  for (;;) {
    TESSERA_ASSIGN_OR_RETURN(const bool found, subjects.step());
    if (!found) break;
    const int64_t gpu = subjects.integer(2);
    Subject subject{std::string(subjects.text(1)), std::nullopt};
    if (gpu >= 0) subject.gpu = static_cast<uint32_t>(gpu);
    subject_ids_.emplace(std::move(subject), subjects.integer(0));
  }
  TESSERA_ASSIGN_OR_RETURN(Statement rolled, database_.prepare("SELECT level, to_ms FROM rolled_up"));
  for (;;) {
    TESSERA_ASSIGN_OR_RETURN(const bool found, rolled.step());
    if (!found) break;
    const int64_t level = rolled.integer(0);
    if (level > 0 && level < static_cast<int64_t>(kHistoryLevelCount))
      rolled_up_to_ms_[level] = rolled.integer(1);
  }
  return Status();
}

Result<int64_t> HistoryStore::metric_id(std::string_view name) {
  const auto [place, is_new] = ids_by_place_.try_emplace(name.data(), 0);
  if (is_new) {
    const auto id = metric_id_by_name(name);
    if (!id.ok()) {
      ids_by_place_.erase(place);
      return id;
    }
    place->second = *id;
  }
  return place->second;
}

Result<int64_t> HistoryStore::metric_id_by_name(std::string_view name) {
  if (auto known = metric_ids_.find(name); known != metric_ids_.end()) return known->second;
  if (metric_ids_.size() >= kMostFigures)
    return Status(Code::kResourceExhausted, "history: too many names of figures");
  TESSERA_ASSIGN_OR_RETURN(Statement insert,
                           database_.prepare("INSERT INTO metrics(name) VALUES(?) RETURNING id"));
  TESSERA_ASSIGN_OR_RETURN([[maybe_unused]] const bool made, insert.bind(1, name).step());
  const int64_t id = insert.integer(0);
  TESSERA_RETURN_IF_ERROR(insert.run());
  return know_metric(name, id);
}

int64_t HistoryStore::know_metric(std::string_view name, int64_t id) {
  metric_ids_.emplace(name, id);
  if (options_.is_kept_long != nullptr && !options_.is_kept_long(name)) short_ids_.insert(id);
  return id;
}

Result<int64_t> HistoryStore::subject_id(const Subject& subject) {
  if (auto known = subject_ids_.find(subject); known != subject_ids_.end()) return known->second;
  TESSERA_ASSIGN_OR_RETURN(Statement insert,
                           database_.prepare("INSERT INTO subjects(slice, gpu) VALUES(?,?) RETURNING id"));
  const int64_t gpu = subject.gpu ? int64_t{*subject.gpu} : kNoGpu;
  TESSERA_ASSIGN_OR_RETURN([[maybe_unused]] const bool made,
                           insert.bind(1, subject.slice).bind(2, gpu).step());
  const int64_t id = insert.integer(0);
  TESSERA_RETURN_IF_ERROR(insert.run());
  return subject_ids_.emplace(subject, id).first->second;
}

Status HistoryStore::begin() {
  if (in_transaction_) return Status();
  TESSERA_RETURN_IF_ERROR(database_.execute("BEGIN IMMEDIATE"));
  in_transaction_ = true;
  return Status();
}

// What failed leaves nothing behind: names that were made on the way are not there any more.
Status HistoryStore::end(Status status) {
  if (status.ok()) status = database_.execute("COMMIT");
  in_transaction_ = false;
  if (status.ok()) return status;
  (void)database_.execute("ROLLBACK");
  (void)load_names();
  moved_ms_ = 0;
  return status;
}

Status HistoryStore::add(int64_t time_ms, const Subject& subject, const std::vector<Figure>& figures,
                         std::optional<int64_t> age_ms) {
  TESSERA_RETURN_IF_ERROR(begin());
  const auto id = subject_id(subject);
  if (!id.ok()) return end(id.status());
  const SampleSpans::Sample sample{*id, time_ms, age_ms};
  const double lasted_ms = spans_.lasted_ms(sample);
  RowWriter row(0);
  for (const Figure& figure : figures) {
    const auto metric = metric_id(figure.name);
    if (!metric.ok()) return end(metric.status());
    if (!std::isfinite(figure.value)) continue;
    std::optional<SampleSpans::Value> value = SampleSpans::Value{figure.value, lasted_ms};
    if (figure.is_counter) value = spans_.counter(sample, *metric, figure.value);
    const auto narrow = static_cast<float>(value ? value->value : 0);
    if (value && std::isfinite(narrow)) row.add(*metric, {narrow}, value->lasted_ms);
  }
  if (row.empty()) return Status();
  spans_.remember(sample);
  if (!first_ms_) first_ms_ = time_ms;
  const Status inserted = fresh_.add(time_ms, *id, row.bytes());
  return inserted.ok() ? inserted : end(inserted);
}

Status HistoryStore::commit(int64_t time_ms) {
  TESSERA_RETURN_IF_ERROR(begin());
  Status status;
  // A clock that was set back is no reason to move or to tidy less.
  const bool moves = floor_to(time_ms, kMoveMs) != floor_to(moved_ms_, kMoveMs);
  if (moves) status = fresh_.move(database_);
  if (moves && status.ok()) moved_ms_ = time_ms;
  for (size_t level = 1; level < kHistoryLevelCount && status.ok(); ++level) status = roll_up(level, time_ms);
  if (status.ok() && std::abs(time_ms - tidied_ms_) >= kTidyMs) {
    status = tidy(time_ms);
    tidied_ms_ = time_ms;
  }
  return end(status);
}

// Steps that are over. Where the clock was set back, those in what was the future are done again when they
// come.
Status HistoryStore::roll_up(size_t level, int64_t time_ms) {
  const int64_t step_ms = kHistoryLevels[level].step_ms;
  const int64_t end_ms = floor_to(time_ms, step_ms);
  int64_t& done_ms = rolled_up_to_ms_[level];
  if (done_ms > end_ms) done_ms = end_ms;
  // What is older is not there any more.
  done_ms = std::max(done_ms, floor_to(time_ms - kHistoryLevels[level - 1].kept_ms, step_ms));
  if (done_ms == end_ms) return Status();
  const int64_t until_ms = std::min(end_ms, done_ms + kMostStepsAtOnce * step_ms);
  for (; done_ms < until_ms; done_ms += step_ms)
    TESSERA_RETURN_IF_ERROR(roll_up_step(level, {done_ms, done_ms + step_ms}));
  return remember_.bind(1, static_cast<int64_t>(level)).bind(2, done_ms).run();
}

template <typename Visit>
Status HistoryStore::read_rows(size_t level, int64_t subject, Times times, Visit visit) {
  select_.bind(1, static_cast<int64_t>(level)).bind(2, subject).bind(3, times.first).bind(4, times.second);
  for (;;) {
    TESSERA_ASSIGN_OR_RETURN(const bool found, select_.step());
    if (!found) break;
    unpack(select_.bytes(1), level, untold_ms(level),
           [&](const Packed& figure) { visit(select_.integer(0), figure); });
  }
  select_.reset();
  if (level != 0) return Status();
  fresh_.visit(subject, times, [&](int64_t time_ms, std::span<const std::byte> row) {
    unpack(row, 0, untold_ms(0), [&](const Packed& figure) { visit(time_ms, figure); });
  });
  return Status();
}

Status HistoryStore::roll_up_step(size_t level, Times step) {
  // Of those that an earlier process recorded nothing is known but what is in the file.
  const bool all = !first_ms_ || step.first < *first_ms_;
  for (const auto& [subject, id] : subject_ids_) {
    if (!all && spans_.latest_ms(id).value_or(INT64_MIN) < step.first) continue;
    StepBuckets buckets;
    TESSERA_RETURN_IF_ERROR(read_rows(level - 1, id, step, [&](int64_t, const Packed& figure) {
      if (level + 1 < kHistoryLevelCount || !short_ids_.contains(figure.metric))
        buckets.of(figure.metric).add(figure);
    }));
    if (buckets.all().empty()) continue;
    RowWriter row(level);
    for (const auto& [metric, bucket] : buckets.all()) {
      row.add(metric,
              {static_cast<float>(bucket.mean()), static_cast<float>(bucket.least),
               static_cast<float>(bucket.most)},
              bucket.lasted_ms);
    }
    TESSERA_RETURN_IF_ERROR(insert_.bind(1, static_cast<int64_t>(level))
                                .bind(2, id)
                                .bind(3, step.first)
                                .bind(4, row.bytes())
                                .run());
  }
  return Status();
}

Status HistoryStore::tidy(int64_t time_ms) {
  // Subjects are known by their rows in their places.
  TESSERA_RETURN_IF_ERROR(fresh_.move(database_));
  for (size_t level = 0; level < kHistoryLevelCount; ++level) {
    TESSERA_ASSIGN_OR_RETURN(
        Statement forget, database_.prepare("DELETE FROM points WHERE level=? AND (time_ms<? OR time_ms>?)"));
    TESSERA_RETURN_IF_ERROR(forget.bind(1, static_cast<int64_t>(level))
                                .bind(2, time_ms - kHistoryLevels[level].kept_ms)
                                .bind(3, time_ms + kDayMs)
                                .run());
  }
  TESSERA_RETURN_IF_ERROR(keep_small());
  TESSERA_RETURN_IF_ERROR(
      database_.execute("DELETE FROM subjects WHERE NOT EXISTS (SELECT 1 FROM points WHERE level=0 AND "
                        "subject=subjects.id) AND NOT "
                        "EXISTS (SELECT 1 FROM points WHERE level=1 AND subject=subjects.id) AND NOT EXISTS "
                        "(SELECT 1 FROM points "
                        "WHERE level=2 AND subject=subjects.id)"));
  spans_.forget_old(time_ms, kHourMs);
  TESSERA_RETURN_IF_ERROR(load_names());
  return database_.execute("PRAGMA incremental_vacuum");
}

Result<int64_t> HistoryStore::used_bytes() {
  TESSERA_ASSIGN_OR_RETURN(const int64_t pages, database_.number("PRAGMA page_count"));
  TESSERA_ASSIGN_OR_RETURN(const int64_t free, database_.number("PRAGMA freelist_count"));
  return (pages - free) * kPageBytes;
}

// The oldest tenth of the coarsest level that there is goes, until the rest fits.
Status HistoryStore::keep_small() {
  for (size_t level = kHistoryLevelCount; level-- > 0;) {
    for (;;) {
      TESSERA_ASSIGN_OR_RETURN(const int64_t used, used_bytes());
      if (used <= options_.most_bytes) return Status();
      const auto number = static_cast<int>(level);
      TESSERA_ASSIGN_OR_RETURN(
          const int64_t first,
          database_.number(str_format("SELECT min(time_ms) FROM points WHERE level=%d", number).c_str()));
      TESSERA_ASSIGN_OR_RETURN(
          const int64_t last,
          database_.number(str_format("SELECT max(time_ms) FROM points WHERE level=%d", number).c_str()));
      if (last == 0) break;
      TESSERA_ASSIGN_OR_RETURN(Statement forget,
                               database_.prepare("DELETE FROM points WHERE level=? AND time_ms<=?"));
      TESSERA_RETURN_IF_ERROR(forget.bind(1, int64_t{number}).bind(2, first + (last - first) / 10).run());
    }
  }
  return Status();
}

// Whoever writes moves rows meanwhile: what is read is of one moment.
Result<HistoryAnswer> HistoryStore::query(const HistoryQuery& query) {
  TESSERA_RETURN_IF_ERROR(database_.execute("SAVEPOINT query"));
  auto found = answer(query);
  fresh_.forget();
  TESSERA_RETURN_IF_ERROR(database_.execute("RELEASE query"));
  return found;
}

Result<HistoryAnswer> HistoryStore::answer(const HistoryQuery& query) {
  TESSERA_RETURN_IF_ERROR(load_names());  // another process may have added some
  TESSERA_RETURN_IF_ERROR(fresh_.read());
  HistoryAnswer answer;
  size_t level = 0;
  while (level + 1 < kHistoryLevelCount && query.now_ms - query.since_ms > kHistoryLevels[level].kept_ms)
    ++level;
  const int64_t range_ms = std::max<int64_t>(query.until_ms - query.since_ms, 1);
  const int64_t points = std::clamp<int64_t>(query.points, 1, kMostPoints);
  const int64_t unit_ms = std::max<int64_t>(kHistoryLevels[level].step_ms, 1000);
  answer.step_ms = ((range_ms + points - 1) / points + unit_ms - 1) / unit_ms * unit_ms;
  for (const auto& [subject, id] : subject_ids_) {
    if ((query.slice && subject.slice != *query.slice) || (query.gpu && subject.gpu != query.gpu)) continue;
    TESSERA_RETURN_IF_ERROR(add_series(query, level, id, subject, answer));
    if (answer.truncated) break;
  }
  return answer;
}

// Where the coarse level does not reach to the end yet, finer ones tell the rest.
Status HistoryStore::fill(const HistoryQuery& query, size_t level, int64_t subject, int64_t step_ms,
                          Buckets& buckets) {
  if (buckets.empty()) return Status();
  int64_t from_ms = query.since_ms;
  for (size_t at = level + 1; at-- > 0 && from_ms < query.until_ms;) {
    const int64_t to_ms = at == 0 ? query.until_ms : std::min(query.until_ms, rolled_up_to_ms_[at]);
    if (to_ms <= from_ms) continue;
    TESSERA_RETURN_IF_ERROR(
        read_rows(at, subject, {from_ms, to_ms}, [&](int64_t time_ms, const Packed& figure) {
          auto series = buckets.find(figure.metric);
          if (series != buckets.end()) series->second[floor_to(time_ms, step_ms)].add(figure);
        }));
    from_ms = to_ms;
  }
  return Status();
}

// Of what the coarsest level does not have, the one below tells what there is.
Status HistoryStore::add_series(const HistoryQuery& query, size_t level, int64_t subject,
                                const Subject& named, HistoryAnswer& answer) {
  Buckets kept_long, kept_short;
  for (const std::string& metric : query.metrics) {
    const auto known = metric_ids_.find(metric);
    if (known != metric_ids_.end())
      (short_ids_.contains(known->second) ? kept_short : kept_long)[known->second];
  }
  TESSERA_RETURN_IF_ERROR(fill(query, level, subject, answer.step_ms, kept_long));
  TESSERA_RETURN_IF_ERROR(
      fill(query, std::min(level, kHistoryLevelCount - 2), subject, answer.step_ms, kept_short));
  Buckets& buckets = kept_long;
  buckets.merge(kept_short);
  for (const std::string& metric : query.metrics) {
    const auto known = metric_ids_.find(metric);
    if (known == metric_ids_.end() || buckets[known->second].empty()) continue;
    if (answer.series.size() >= query.most_series) {
      answer.truncated = true;
      return Status();
    }
    HistorySeries& series = answer.series.emplace_back(HistorySeries{metric, named, {}});
    for (const auto& [time_ms, bucket] : buckets[known->second])
      series.points.push_back(
          {time_ms, bucket.mean(), bucket.least, bucket.most, bucket.lasted_ms / kMsPerSecond});
  }
  return Status();
}

std::vector<std::string> HistoryStore::metrics() const {
  std::vector<std::string> names;
  for (const auto& [name, id] : metric_ids_) names.push_back(name);
  return names;
}

}  // namespace tessera::monitoring
