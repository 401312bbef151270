#include "partitioning/sm_parting.h"

#include <gtest/gtest.h>

namespace tessera::partitioning {
namespace {

IndexSet set(const char* text) { return *IndexSet::parse(text); }

std::vector<std::string> texts(const IndexSet& all, const std::vector<SmWant>& wants) {
  std::vector<std::string> texts;
  for (const IndexSet& part : part_sms(all, wants)) texts.push_back(part.text());
  return texts;
}

using Texts = std::vector<std::string>;

TEST(SmParting, SetsAreDisjointAndAsLargeAsWanted) {
  EXPECT_EQ(texts(set("0-7"), {{1, {}}, {3, {}}, {4, {}}}), (Texts{"0", "1-3", "4-7"}));
}

TEST(SmParting, WhatFitsIsKept) {
  EXPECT_EQ(texts(set("0-7"), {{2, {}}, {2, set("0-1")}}), (Texts{"2-3", "0-1"}));
  EXPECT_EQ(texts(set("0-7"), {{2, set("0-7")}, {1, set("0")}}), (Texts{"1-2", "0"})) << "not as many";
  EXPECT_EQ(texts(set("4-7"), {{2, set("3-4")}}), (Texts{"4-5"})) << "not of those there are";
  EXPECT_EQ(texts(set("0-7"), {{2, set("0-1")}, {2, set("1-2")}}), (Texts{"0-1", "2-3"})) << "taken";
}

TEST(SmParting, WhoComesTooLateGetsWhatIsLeft) {
  EXPECT_EQ(texts(set("0-3"), {{3, {}}, {3, {}}}), (Texts{"0-2", "3"}));
}

}  // namespace
}  // namespace tessera::partitioning
