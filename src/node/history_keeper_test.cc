#include "node/history_keeper.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <thread>

#include "node/history_sample.h"
#include "node/json.h"

namespace tessera::node {
namespace {

// The keeper as the daemon has it, with its pipes, in a thread of this process.
class KeeperTest : public testing::Test {
 protected:
  KeeperTest() {
    char name[] = "/tmp/tessera-keeper-XXXXXX";
    folder_ = mkdtemp(name);
    int told[2], tells[2];
    EXPECT_EQ(pipe(told), 0);
    EXPECT_EQ(pipe(tells), 0);
    input_ = fdopen(told[1], "w");
    output_ = fdopen(tells[0], "r");
    keeper_ = std::thread([this, in = fdopen(told[0], "r"), out = fdopen(tells[1], "w")] {
      keep_history(folder_ + "/history", in, out);
      fclose(in);
      fclose(out);
    });
  }
  ~KeeperTest() override {
    fclose(input_);
    keeper_.join();
    fclose(output_);
    std::filesystem::remove_all(folder_);
  }

  void sample(uint64_t time_ms, double value) {
    std::string line;
    append_sample_line(line, time_ms, std::nullopt, {"train", 0},
                       {{"slice_memory_used_bytes", value, false}, {"slice_refusals_total", 0, true}});
    fputs(line.c_str(), input_);
    tell({{"commit", time_ms}});
  }
  void tell(const Json& line) {
    fputs((json_text(line) + "\n").c_str(), input_);
    fflush(input_);
  }
  Json heard() {
    char* line = nullptr;
    size_t room = 0;
    const ssize_t size = getline(&line, &room, output_);
    auto object = parse_json_object(std::string_view(line, size < 0 ? 0 : static_cast<size_t>(size)));
    free(line);
    return object.value_or(Json::object());
  }
  Json ask(uint64_t now_ms) {
    tell({{"ask", 7},
          {"metrics", {"slice_memory_used_bytes"}},
          {"since_ms", now_ms - 3'600'000},
          {"until_ms", now_ms + 1},
          {"now_ms", now_ms},
          {"points", 2000}});
    return heard();
  }
  // A file that may not grow is what a full disk looks like.
  static void let_files_grow(rlim_t bytes) {
    signal(SIGXFSZ, SIG_IGN);
    rlimit limit{};
    getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = std::min(bytes, limit.rlim_max);
    setrlimit(RLIMIT_FSIZE, &limit);
  }

  std::string folder_;
  FILE* input_;
  FILE* output_;
  std::thread keeper_;
};

TEST_F(KeeperTest, KeepsWhatItIsTold) {
  constexpr uint64_t kNow = 1'700'000'000'000;
  for (uint64_t i = 0; i < 5; ++i) sample(kNow + 2000 * i, 10.0 * static_cast<double>(i));
  const Json answer = ask(kNow + 8000);
  EXPECT_EQ(answer["answer"], 7);
  ASSERT_EQ(answer["history"]["series"].size(), 1U) << json_text(answer);
  EXPECT_EQ(answer["history"]["series"][0]["points"].size(), 5U);
  EXPECT_EQ(answer["history"]["series"][0]["points"][4][1], 40.0);
}

TEST_F(KeeperTest, AFullDiskIsSaidOnceAndWhereItIsOverToo) {
  constexpr uint64_t kNow = 1'700'000'000'000;
  sample(kNow, 1);
  ASSERT_TRUE(ask(kNow).contains("history"));
  let_files_grow(4096);
  for (uint64_t i = 1; i <= 20; ++i) sample(kNow + 2000 * i, 1);
  Json remark = heard();
  EXPECT_EQ(remark["what"], "lost") << json_text(remark);
  EXPECT_FALSE(json_string(remark, "why").empty());
  // What there was can still be asked for, and nothing was said twice.
  Json answer = ask(kNow + 40'000);
  EXPECT_TRUE(answer.contains("history")) << json_text(answer);
  let_files_grow(RLIM_INFINITY);
  sample(kNow + 60'000, 1);
  remark = heard();
  EXPECT_EQ(remark["what"], "kept") << json_text(remark);
  answer = ask(kNow + 60'000);
  EXPECT_GE(answer["history"]["series"][0]["points"].size(), 2U);
}

TEST_F(KeeperTest, AClockThatJumpsLosesNothingOfNow) {
  constexpr uint64_t kNow = 1'700'000'000'000, kDay = 86'400'000;
  for (const uint64_t time : {kNow, kNow + 30 * kDay, kNow - kDay, kNow - kDay + 2000}) sample(time, 3);
  const Json answer = ask(kNow - kDay + 2000);
  ASSERT_EQ(answer["history"]["series"].size(), 1U) << json_text(answer);
  EXPECT_EQ(answer["history"]["series"][0]["points"].back()[1], 3.0);
}

TEST_F(KeeperTest, LinesOfAnyKindAreSurvived) {
  for (const char* line : {"", "{}", "[]", "7", "{\"time_ms\":1}", "{\"ask\":{}}", "{\"commit\":-1}",
                           "1 - 0 train\t99999 1 x", "1 - 0 train\t0", "\t", "\xff\xfe"}) {
    fputs(line, input_);
    fputs("\n", input_);
  }
  fflush(input_);
  Json answer;
  do {
    answer = ask(1'700'000'000'000);
  } while (answer["answer"] != 7);
  EXPECT_TRUE(answer.contains("history"));
}

}  // namespace
}  // namespace tessera::node
