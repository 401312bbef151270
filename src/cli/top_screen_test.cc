#include "cli/top_screen.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace tessera::cli {
namespace {

using node::Json;

Json slice(const std::string& name, double used, int achieved, uint64_t launches) {
  Json device = {{"gpu", 0U},
                 {"limit_bytes", 1 << 30},
                 {"used_bytes", used},
                 {"achieved_permille", achieved},
                 {"entitled_permille", 500},
                 {"launches", launches},
                 {"wait_p99_ns", nullptr}};
  return {
      {"name", name}, {"age_seconds", 5.0}, {"devices", Json::array({device})}, {"processes", Json::array()}};
}

class TopTest : public testing::Test {
 protected:
  TopTest() {
    now_.clock = "13:05:01";
    now_.at_ns = 2'000'000'000;
    before_.at_ns = 1'000'000'000;
    now_.gpus.push_back({{"index", 0u},
                         {"name", "Software GPU"},
                         {"state", "ok"},
                         {"total_bytes", uint64_t{8} << 30},
                         {"used_bytes", 0u},
                         {"utilization_percent", 40u}});
    now_.slices = {slice("a", 10, 300, 100), slice("b", 30, 200, 0), slice("c", 20, 400, 0)};
    before_.slices = {slice("a", 10, 300, 40)};
    view_.colour = false;
  }
  std::vector<std::string> lines(size_t width = 80, size_t height = 24) {
    return top_lines(view_, now_, before_, width, height);
  }
  std::string text() {
    std::string all;
    for (const std::string& line : lines()) all += line + "\n";
    return all;
  }
  // The names of the slices that are shown, from the top.
  std::string shown() {
    std::string names;
    for (const std::string& line : lines()) {
      const std::string plain = line.starts_with("\x1b[7m") ? line.substr(4) : line;
      if (plain.size() > 40 && plain[1] == ' ' && plain[13] == '0') names += plain[0];
    }
    return names;
  }
  bool key(const std::string& key) { return top_key(view_, now_, key); }

  TopView view_;
  TopSnapshot now_, before_;
};

TEST_F(TopTest, FitsIntoTheScreenWhateverItsSize) {
  for (int i = 0; i < 60; ++i)
    now_.slices.push_back(slice("slice-with-a-long-name-" + std::to_string(i), 1, 1, 1));
  for (int i = 0; i < 30; ++i)
    now_.events.push_back({{"kind", "slice_opened"},
                           {"subject", std::string(100, 's')},
                           {"severity", "info"},
                           {"text", std::string(300, 't')}});
  for (const auto& [width, height] :
       {std::pair<size_t, size_t>{80, 24}, {40, 10}, {200, 60}, {1, 1}, {10, 2}, {80, 3}}) {
    const auto all = lines(width, height);
    EXPECT_EQ(all.size(), height);
    for (size_t i = 0; i + 1 < all.size(); ++i) EXPECT_LE(all[i].size(), width) << all[i];
  }
}

TEST_F(TopTest, ShowsWhatThereIs) {
  const std::string all = text();
  EXPECT_NE(all.find("tessera top  13:05:01  1 GPU  3 slices  0 processes"), std::string::npos) << all;
  EXPECT_NE(all.find("util [###     ]  40%"), std::string::npos) << all;
  EXPECT_NE(all.find("  30/50%"), std::string::npos) << all;
  EXPECT_NE(lines(120)[1].find("util [####      ]  40%"), std::string::npos) << lines(120)[1];
  EXPECT_NE(lines(120)[3].find("  40.0/50.0%"), std::string::npos) << lines(120)[3];
  EXPECT_NE(all.find("     60    0"), std::string::npos) << "launches of a second in:\n" << all;
}

TEST_F(TopTest, EverythingOfARowIsThereAtEightyColumns) {
  now_.slices = Json::array();
  for (const char* state : {"confined", "isolated"}) {
    now_.slices.push_back(slice(std::string(63, 'n'), 1 << 30, 1000, 1'000'000'000));
    now_.slices.back()[state] = true;
    now_.slices.back()["devices"][0]["entitled_permille"] = 1000;
    now_.slices.back()["devices"][0]["wait_p99_ns"] = 12'345'000'000U;
    now_.slices.back()["processes"] = Json::array({1, 2});
  }
  now_.slices.push_back(slice("w", 1, 1, 1));
  now_.slices.back()["devices"][0]["thrashing"] = true;
  now_.slices.push_back(slice("q", 1, 1, 1));
  now_.slices.back()["devices"][0]["turn"] = "waits";
  const std::string all = text();
  for (const char* shown :
       {" confined\n", " isolated\n", " thrashing\n", " waits\n", " queue 1\n", " STATE\n"})
    EXPECT_NE(all.find(shown), std::string::npos) << shown << all;
}

TEST_F(TopTest, EventsSayHowLongAgoTheyWere) {
  now_.wall_ms = 1'000'000;
  now_.events.push_back({{"kind", "slice_opened"}, {"subject", "a"}, {"time_ms", 810'000u}, {"text", "it"}});
  now_.events.push_back({{"kind", "of_a_clock_that_jumped"}, {"time_ms", 2'000'000u}});
  EXPECT_NE(text().find("  3m10s ago  slice_opened a: it\n"), std::string::npos) << text();
  EXPECT_NE(text().find("     0s ago  of_a_clock_that_jumped\n"), std::string::npos) << text();
}

TEST_F(TopTest, OneLookTellsOfNoRate) {
  before_ = now_;
  EXPECT_EQ(text().find("     0    0"), std::string::npos) << text();
  EXPECT_NE(text().find("     -    0"), std::string::npos) << text();
}

TEST_F(TopTest, SaysHowLongKernelsRun) {
  Json& device = now_.slices[0]["devices"][0];
  device["timed_kernels"] = 200u;
  device["timed_kernel_ns"] = 100'000'000u;
  device["timed_kernel_buckets"] = {0, 0, 190, 8, 2, 0, 0, 0, 0, 0};
  view_.drilled = "a";
  EXPECT_NE(text().find("200 timed, 0.500 ms each, 99 of 100 within 0.256 ms"), std::string::npos) << text();
}

TEST_F(TopTest, SortsByTheColumnThatIsAskedFor) {
  EXPECT_EQ(shown(), "cab");  // by what they had
  key("r");
  EXPECT_EQ(shown(), "bac");
  key("r");
  for (int i = 0; i < 3; ++i) key("s");
  EXPECT_EQ(view_.order, TopOrder::kName);
  EXPECT_EQ(shown(), "abc");
  key("s");
  EXPECT_EQ(shown(), "bca");  // by memory
}

TEST_F(TopTest, FiltersByAPartOfTheName) {
  for (const char* typed : {"/", "q", "\x7f", "b", "\r"}) EXPECT_TRUE(key(typed));
  EXPECT_EQ(shown(), "b");
  EXPECT_EQ(view_.order, TopOrder::kShare) << "what is typed into the filter is no command";
  key("\x1b");
  EXPECT_EQ(shown(), "cab");
}

TEST_F(TopTest, DrillsDownAndComesBack) {
  key("\x1b[B");
  key("j");
  EXPECT_EQ(view_.selected, "a");
  key("\r");
  EXPECT_NE(text().find("slice a, 5s old"), std::string::npos);
  EXPECT_NE(text().find("100 launches"), std::string::npos);
  now_.slices = Json::array();
  EXPECT_NE(text().find("slice a has ended"), std::string::npos);
  key("\x1b");
  EXPECT_NE(text().find("no slice"), std::string::npos);
}

TEST_F(TopTest, EndsWithQAndControlC) {
  EXPECT_FALSE(key("q"));
  EXPECT_FALSE(key("\x03"));
  key("/");
  EXPECT_FALSE(key("\x03"));
  EXPECT_TRUE(key("q"));
}

TEST_F(TopTest, NothingOfANameReachesTheTerminalAsACommand) {
  now_.slices.push_back(slice("\x1b]0;owned\x07\r\n\xff", 1, 1, 1));
  now_.events.push_back(
      {{"kind", "slice_opened"}, {"subject", "\x1b[2J"}, {"severity", "info"}, {"text", "\n\n"}});
  now_.problem = "\x1b[2J";
  for (const std::string& line : lines()) {
    const std::string plain = line.starts_with("\x1b[7m") ? line.substr(4, line.size() - 8) : line;
    EXPECT_TRUE(std::all_of(plain.begin(), plain.end(), [](char c) { return c >= ' ' && c <= '~'; }))
        << plain;
  }
}

TEST_F(TopTest, ColoursAreThereOnlyWhereTheyAreWanted) {
  now_.alerts.push_back({{"state", "firing"}, {"summary", "full"}});
  EXPECT_NE(text().find("! full"), std::string::npos);
  EXPECT_EQ(text().find("\x1b[31m"), std::string::npos);
  key("c");
  EXPECT_NE(text().find("\x1b[31m"), std::string::npos);
}

}  // namespace
}  // namespace tessera::cli
