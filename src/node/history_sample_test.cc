#include "node/history_sample.h"

#include <gtest/gtest.h>

#include "node/figures.h"

namespace tessera::node {
namespace {

using monitoring::Figure;
using monitoring::Subject;

std::optional<SampleLine> there_and_back(std::optional<uint64_t> age_ms, const Subject& subject,
                                         const std::vector<Figure>& figures) {
  std::string text;
  append_sample_line(text, 1'700'000'000'123, age_ms, subject, figures);
  EXPECT_EQ(text.find('\n'), text.size() - 1) << text;
  return parse_sample_line(std::string_view(text).substr(0, text.size() - 1));
}

TEST(HistorySample, ComesBackAsItWas) {
  const std::vector<Figure> figures = {{"gpu_up", 1, false},
                                       {"slice_memory_used_bytes", 9'007'199'254'740'991.0, false},
                                       {"slice_gpu_seconds_total", 0.1, true},
                                       {"slice_share_lent_ratio", -1e-300, false}};
  for (const Subject& subject : {Subject{"train", 7}, Subject{"train", std::nullopt}, Subject{"", 63}}) {
    const auto age_ms = subject.gpu == 7U ? std::optional<uint64_t>(1500) : std::nullopt;
    const auto line = there_and_back(age_ms, subject, figures);
    ASSERT_TRUE(line);
    EXPECT_EQ(line->age_ms, age_ms);
    EXPECT_EQ(line->time_ms, 1'700'000'000'123U);
    EXPECT_EQ(line->subject, subject);
    ASSERT_EQ(line->figures.size(), figures.size());
    for (size_t i = 0; i < figures.size(); ++i) {
      EXPECT_EQ(line->figures[i].name, figures[i].name);
      EXPECT_EQ(line->figures[i].value, figures[i].value) << figures[i].name;
      EXPECT_EQ(line->figures[i].is_counter, figures[i].is_counter);
    }
  }
}

TEST(HistorySample, AFigureThatIsNotKnownIsLeftOut) {
  const auto line = parse_sample_line("1 - 0 train\t99999 5 0 1");
  ASSERT_TRUE(line);
  ASSERT_EQ(line->figures.size(), 1U);
  EXPECT_EQ(line->figures[0].name, short_name(*all_figures()[0]));
}

TEST(HistorySample, WhatIsNoSuchLineIsNone) {
  for (const char* line :
       {"", " ", "1", "1 -", "1 - 0", "1 - 0 train", "x - 0 train\t0 1", "1 x 0 train\t0 1",
        "1 -1 0 train\t0 1", "1 - x train\t0 1", "-1 - 0 t\t0 1", "1 - 0 train\t0", "1 - 0 train\t0 x",
        "1 - 0 train\tx 1", "1 - 0 train\t0 1 ,", "\xff\xfe"})
    EXPECT_FALSE(parse_sample_line(line)) << line;
}

}  // namespace
}  // namespace tessera::node
