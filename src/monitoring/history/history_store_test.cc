#include "monitoring/history/history_store.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>

#include "monitoring/history/history_testing.h"

namespace tessera::monitoring {
namespace {

class HistoryTest : public HistoryFolderTest {
 protected:
  HistoryStore open(int64_t most_bytes = 64 << 20, std::string* remark = nullptr) {
    auto opened = HistoryStore::open(path_, {most_bytes});
    EXPECT_TRUE(opened.ok()) << opened.status().message();
    if (remark != nullptr) *remark = opened->remark;
    return std::move(opened->store);
  }
  static void sample(HistoryStore& store, int64_t time_ms, const Subject& subject, double used,
                     double launches = 0) {
    ASSERT_TRUE(
        store.add(time_ms, subject, {{"used", used, false}, {"launches_total", launches, true}}).ok());
    const Status committed = store.commit(time_ms);
    ASSERT_TRUE(committed.ok()) << committed.message();
  }
  static HistoryAnswer ask(HistoryStore& store, const std::string& metric, int64_t since_ms, int64_t until_ms,
                           int64_t points = kMostPoints) {
    HistoryQuery query;
    query.metrics = {metric};
    query.since_ms = since_ms;
    query.until_ms = query.now_ms = until_ms;
    query.points = points;
    auto answer = store.query(query);
    EXPECT_TRUE(answer.ok()) << answer.status().message();
    return answer.ok() ? *answer : HistoryAnswer{};
  }

  // Figures' names stay.
  static std::string_view figure_name(int number) {
    static std::map<int, std::string> names;
    return names.try_emplace(number, "figure" + std::to_string(number)).first->second;
  }
  // A file that may not grow beyond this is what a full disk looks like.
  static void rlimit_file(rlim_t bytes) {
    signal(SIGXFSZ, SIG_IGN);
    rlimit limit{};
    getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = bytes;
    setrlimit(RLIMIT_FSIZE, &limit);
  }

  const Subject train_{"train", 0};
};

TEST_F(HistoryTest, WhatWasToldIsThere) {
  HistoryStore store = open();
  for (int64_t i = 0; i < 10; ++i) sample(store, kStart + i * 2000, train_, static_cast<double>(i));
  const HistoryAnswer answer = ask(store, "used", kStart, kStart + 20'000);
  ASSERT_EQ(answer.series.size(), 1u);
  EXPECT_EQ(answer.series[0].subject, train_);
  ASSERT_EQ(answer.series[0].points.size(), 10u);
  EXPECT_EQ(answer.step_ms, 1000);
  EXPECT_EQ(answer.series[0].points[3].time_ms, kStart + 6000);
  EXPECT_EQ(answer.series[0].points[3].mean, 3);
  struct stat info {};
  ASSERT_EQ(stat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
}

TEST_F(HistoryTest, CountersAreRates) {
  HistoryStore store = open();
  const double counts[] = {100, 110, 130, 5, 9};  // it begins anew at 5
  for (int64_t i = 0; i < 5; ++i) sample(store, kStart + i * 2000, train_, 0, counts[i]);
  const HistoryAnswer answer = ask(store, "launches_total", kStart, kStart + 20'000);
  ASSERT_EQ(answer.series.size(), 1u);
  std::vector<double> rates;
  for (const HistoryPoint& point : answer.series[0].points) rates.push_back(point.mean);
  EXPECT_EQ(rates, (std::vector<double>{5, 10, 2.5, 2}));
}

TEST_F(HistoryTest, SubjectsAreAskedForByWhatTheyAre) {
  HistoryStore store = open();
  for (const Subject& subject :
       {Subject{"a", 0}, Subject{"a", 1}, Subject{"b", 0}, Subject{"", 0}, Subject{"a", {}}})
    ASSERT_TRUE(store.add(kStart, subject, {{"used", 1, false}}).ok());
  ASSERT_TRUE(store.commit(kStart).ok());
  const auto count = [&](std::optional<std::string> slice, std::optional<uint32_t> gpu) {
    HistoryQuery query{.metrics = {"used"},
                       .slice = slice,
                       .gpu = gpu,
                       .since_ms = kStart,
                       .until_ms = kStart + 1,
                       .now_ms = kStart + 1};
    return store.query(query)->series.size();
  };
  EXPECT_EQ(count({}, {}), 5u);
  EXPECT_EQ(count("a", {}), 3u);
  EXPECT_EQ(count("a", 1), 1u);
  EXPECT_EQ(count({}, 0), 3u);
  EXPECT_EQ(count("", {}), 1u);
  EXPECT_EQ(count("c", {}), 0u);
  EXPECT_TRUE(ask(store, "unused", kStart, kStart + 1).series.empty());
}

// Against the figures themselves, at random: the mean, the least and the most of each step.
TEST_F(HistoryTest, CoarseLevelsSayTheSame) {
  HistoryStore store = open();
  std::mt19937_64 random(7);
  std::vector<double> values;
  sample(store, kStart - 10'000, train_, 0);   // of the first one nobody knows what it stands for
  constexpr int64_t kSamples = 3 * 3600 / 10;  // three hours, every ten seconds
  for (int64_t i = 0; i < kSamples; ++i) {
    values.push_back(static_cast<double>(random() % 1000));
    sample(store, kStart + i * 10'000, train_, values.back());
  }
  const int64_t end = kStart + kSamples * 10'000;
  const HistoryAnswer minutes = ask(store, "used", kStart, end);
  EXPECT_EQ(minutes.step_ms, kMinute);
  ASSERT_EQ(minutes.series.size(), 1u);
  ASSERT_EQ(minutes.series[0].points.size(), 180u);
  for (const HistoryPoint& point : minutes.series[0].points) {
    const auto first = values.begin() + (point.time_ms - kStart) / 10'000;
    double sum = 0;
    for (int64_t i = 0; i < 6; ++i) sum += *(first + i);
    EXPECT_NEAR(point.mean, sum / 6, 1e-3);
    EXPECT_EQ(point.least, *std::min_element(first, first + 6));
    EXPECT_EQ(point.most, *std::max_element(first, first + 6));
  }
  // Asked for in few points it is the same, put together.
  const HistoryAnswer few = ask(store, "used", kStart, end, 6);
  EXPECT_EQ(few.step_ms, 30 * kMinute);
  EXPECT_EQ(few.series[0].points.size(), 6u);
}

TEST_F(HistoryTest, ADayAgoIsKnownInTenMinutes) {
  HistoryStore store = open();
  for (int64_t minute = 0; minute < 27 * 60; ++minute) sample(store, kStart + minute * kMinute, train_, 5);
  const int64_t end = kStart + 27 * kHourMs;
  const HistoryAnswer day = ask(store, "used", kStart, end);
  EXPECT_EQ(day.step_ms, 600'000);
  EXPECT_EQ(day.series[0].points.size(), 27u * 6);
  // And what is kept of each level is bounded.
  HistoryQuery recent{
      .metrics = {"used"}, .slice = {}, .gpu = {}, .since_ms = end - kHourMs, .until_ms = end, .now_ms = end};
  EXPECT_LE(store.query(recent)->series[0].points.size(), 70u);
}

TEST_F(HistoryTest, WhatNobodyPlotsOverWeeksIsKnownForADay) {
  auto opened =
      HistoryStore::open(path_, {64 << 20, [](std::string_view metric) { return metric == "used"; }});
  ASSERT_TRUE(opened.ok());
  HistoryStore& store = opened->store;
  constexpr int64_t kMinutes = 50 * 60;
  for (int64_t minute = 0; minute < kMinutes; ++minute) {
    const int64_t time_ms = kStart + minute * kMinute;
    ASSERT_TRUE(store.add(time_ms, train_, {{"used", 5, false}, {"peak", 7, false}}).ok());
    ASSERT_TRUE(store.commit(time_ms).ok());
  }
  const int64_t end = kStart + kMinutes * kMinute;
  EXPECT_EQ(ask(store, "used", kStart, end).series[0].points.size(), 50u * 6);
  const auto peak = ask(store, "peak", kStart, end).series[0].points;
  EXPECT_GE(peak.size(), 24u * 6);
  EXPECT_LE(peak.size(), 26u * 6);
  EXPECT_EQ(peak.back().mean, 7);
  EXPECT_EQ(ask(store, "peak", end - kHourMs, end).series[0].points.size(),
            ask(store, "used", end - kHourMs, end).series[0].points.size());
}

TEST_F(HistoryTest, ItGoesOnAfterARestart) {
  {
    HistoryStore store = open();
    for (int64_t i = 0; i < 100; ++i) sample(store, kStart + i * 2000, train_, 1);
  }
  std::string remark;
  HistoryStore store = open(64 << 20, &remark);
  EXPECT_EQ(remark, "");
  EXPECT_EQ(ask(store, "used", kStart, kStart + kHourMs).series[0].points.size(), 100u);
}

// Killed at any moment the file is whole, and has all samples but perhaps the last.
TEST_F(HistoryTest, KilledAtAnyMomentItIsWhole) {
  for (int round = 0; round < 8; ++round) {
    int told[2];
    ASSERT_EQ(pipe(told), 0);
    const pid_t child = fork();
    if (child == 0) {
      auto opened = HistoryStore::open(path_, {64 << 20});
      for (int64_t i = 0; opened.ok(); ++i) {
        (void)opened->store.add(kStart + round * 100'000 + i, train_, {{"used", 1, false}});
        if (!opened->store.commit(kStart + round * 100'000 + i).ok() || write(told[1], "x", 1) != 1) break;
      }
      _exit(1);
    }
    close(told[1]);
    char buffer[64];
    size_t acknowledged = 0;
    while (acknowledged < static_cast<size_t>(20 + round * 7)) {
      const ssize_t count = read(told[0], buffer, sizeof buffer);
      ASSERT_GT(count, 0);
      acknowledged += static_cast<size_t>(count);
    }
    kill(child, SIGKILL);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status));
    close(told[0]);
    std::string remark;
    HistoryStore store = open(64 << 20, &remark);
    EXPECT_EQ(remark, "");
    const auto first = kStart + round * 100'000;
    const auto answer = ask(store, "used", first, first + 100'000);
    ASSERT_EQ(answer.series.size(), 1u);
    double samples = 0;
    Database raw = Database::open(path_, Database::Access::kRead).value();
    for (const char* rows : {"points WHERE level=0 AND", "fresh WHERE"}) {
      samples += static_cast<double>(
          raw.number(
                 (std::string("SELECT count(*) FROM ") + rows + " time_ms>=" + std::to_string(first)).c_str())
              .value());
    }
    EXPECT_GE(samples, static_cast<double>(acknowledged));
  }
}

TEST_F(HistoryTest, ADamagedFileIsMovedAsideAndSaid) {
  {
    HistoryStore store = open();
    for (int64_t i = 0; i < 2000; ++i) sample(store, kStart + i * 2000, train_, 1);
  }
  {
    std::fstream file(path_, std::ios::in | std::ios::out | std::ios::binary);
    for (int page = 1; page < 6; ++page) {
      file.seekp(page * 4096);
      file << std::string(2048, '\xa5');
    }
  }
  std::string remark;
  HistoryStore store = open(64 << 20, &remark);
  EXPECT_NE(remark.find(path_ + ".damaged"), std::string::npos) << remark;
  EXPECT_TRUE(std::filesystem::exists(path_ + ".damaged"));
  sample(store, kStart, train_, 1);
  EXPECT_EQ(ask(store, "used", kStart, kStart + 1).series.size(), 1u);
}

TEST_F(HistoryTest, WhatIsNoDatabaseIsMovedAside) {
  std::ofstream(path_) << std::string(8192, 'x');
  std::string remark;
  HistoryStore store = open(64 << 20, &remark);
  EXPECT_NE(remark, "");
}

TEST_F(HistoryTest, ADatabaseOfSomethingElseIsLeftAlone) {
  {
    Database other = Database::open(path_, Database::Access::kReadWrite).value();
    ASSERT_TRUE(other.execute("CREATE TABLE precious(x); INSERT INTO precious VALUES(1)").ok());
  }
  EXPECT_EQ(HistoryStore::open(path_, {}).status().code(), Code::kFailedPrecondition);
  EXPECT_FALSE(HistoryStore::open_to_read(path_, {}).ok());
  Database other = Database::open(path_, Database::Access::kRead).value();
  EXPECT_EQ(other.number("SELECT count(*) FROM precious").value(), 1);
}

TEST_F(HistoryTest, ItsSizeIsBounded) {
  constexpr int64_t kMost = 1 << 20;
  HistoryStore store = open(kMost);
  std::vector<Figure> figures;
  for (int i = 0; i < 16; ++i) figures.push_back({figure_name(i), 1.0 * i, false});
  for (int64_t i = 0; i < 800; ++i) {
    const int64_t now = kStart + i * kMinute;
    for (uint32_t gpu = 0; gpu < 8; ++gpu) ASSERT_TRUE(store.add(now, {"s", gpu}, figures).ok());
    const Status committed = store.commit(now);
    ASSERT_TRUE(committed.ok()) << committed.message();
  }
  EXPECT_LE(store.used_bytes().value(), kMost + kMost / 4);
  // The latest is there all the same.
  const int64_t end = kStart + 800 * kMinute;
  EXPECT_EQ(ask(store, "figure3", end - 10 * kMinute, end).series.size(), 8u);
}

// Where the disk, or the bound, is full a sample is lost, and the next ones are not once there is room.
TEST_F(HistoryTest, AFullDiskLosesSamplesAndNothingElse) {
  HistoryStore store = open();
  sample(store, kStart, train_, 1);
  const Status bounded = [&] {
    Status full;
    std::vector<Figure> figures;
    for (int i = 0; i < 200; ++i) figures.push_back({figure_name(i), 1.0 * i, false});
    rlimit_file(1 << 20);
    for (int64_t i = 0; i < 4000 && full.ok(); ++i) {
      full = store.add(kStart + i, train_, figures);
      if (full.ok()) full = store.commit(kStart + i);
    }
    rlimit_file(RLIM_INFINITY);
    return full;
  }();
  EXPECT_EQ(bounded.code(), Code::kResourceExhausted) << bounded.message();
  sample(store, kStart + 10'000, train_, 3);
  EXPECT_EQ(ask(store, "used", kStart + 10'000, kStart + 10'001).series.size(), 1u);
}

TEST_F(HistoryTest, ManyWhoComeAndGoAreForgotten) {
  HistoryStore store = open(4 << 20);
  for (int64_t i = 0; i < 10'000; ++i) {
    const int64_t now = kStart + i * kMinute;  // a week
    ASSERT_TRUE(store.add(now, {"slice" + std::to_string(i), 0}, {{"used", 1, false}, {"n", 1, true}}).ok());
    if (i % 50 == 0) {
      ASSERT_TRUE(store.commit(now).ok());
    }
  }
  EXPECT_LE(store.used_bytes().value(), 5 << 20);
  sample(store, kStart + 60 * kDayMs, {"last", 0}, 1, 1);
  Database raw = Database::open(path_, Database::Access::kRead).value();
  EXPECT_EQ(raw.number("SELECT count(*) FROM subjects").value(), 1);
}

// Its rows of the last minute lie apart.
TEST_F(HistoryTest, WhoHasJustComeIsNotForgotten) {
  HistoryStore store = open();
  for (int64_t i = 0; i <= 300; ++i) {
    const int64_t now = kStart + 30'000 + i * 2000;  // ten minutes
    if (i == 299) sample(store, now - 1, {"new", 0}, 7);
    sample(store, now, train_, 1);
  }
  const HistoryAnswer answer = ask(store, "used", kStart, kStart + kHourMs);
  ASSERT_EQ(answer.series.size(), 2u);
}

TEST_F(HistoryTest, AClockThatJumpsIsSurvived) {
  HistoryStore store = open();
  for (int64_t i = 0; i < 100; ++i) sample(store, kStart + i * 2000, train_, 1, 1.0 * static_cast<double>(i));
  sample(store, kStart + 365 * kDayMs, train_, 2, 100);  // a year ahead, once
  for (int64_t i = 100; i < 1000; ++i)
    sample(store, kStart + i * 2000, train_, 3, 1.0 * static_cast<double>(i));
  const int64_t end = kStart + 2'000'000;
  EXPECT_EQ(ask(store, "used", end - 600'000, end).series[0].points.back().mean, 3);
  const HistoryAnswer hours = ask(store, "used", end - 2 * kHourMs, end);
  ASSERT_EQ(hours.series.size(), 1u);
  EXPECT_EQ(hours.series[0].points.back().mean, 3);
  Database raw = Database::open(path_, Database::Access::kRead).value();
  EXPECT_EQ(raw.number(("SELECT count(*) FROM points WHERE time_ms>" + std::to_string(end + kDayMs)).c_str())
                .value(),
            0);
}

TEST_F(HistoryTest, SeriesOfAnAnswerAreBounded) {
  HistoryStore store = open();
  for (uint32_t i = 0; i < kMostSeries + 5; ++i)
    ASSERT_TRUE(store.add(kStart, {"s" + std::to_string(i), 0}, {{"used", 1, false}}).ok());
  ASSERT_TRUE(store.commit(kStart).ok());
  const HistoryAnswer answer = ask(store, "used", kStart, kStart + 1);
  EXPECT_EQ(answer.series.size(), kMostSeries);
  EXPECT_TRUE(answer.truncated);
}

TEST_F(HistoryTest, AnotherProcessReadsWhileOneWrites) {
  HistoryStore writer = open();
  sample(writer, kStart, train_, 1);
  HistoryStore reader = HistoryStore::open_to_read(path_, {}).value();
  sample(writer, kStart + 2000, {"late", 0}, 2);
  EXPECT_EQ(ask(reader, "used", kStart, kStart + 10'000).series.size(), 2u);
  EXPECT_EQ(HistoryStore::open_to_read(folder_ + "/nothing", {}).status().code(), Code::kNotFound);
}

}  // namespace
}  // namespace tessera::monitoring
