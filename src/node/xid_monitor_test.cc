#include "node/xid_monitor.h"

#include <gtest/gtest.h>

#include <initializer_list>
#include <vector>

#include "common/clock.h"

namespace tessera::node {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;

TEST(XidEvents, TextSurvivesTheTrip) {
  const auto event = parse_xid_event(xid_event_text({"GPU-1", 79}));
  ASSERT_TRUE(event.has_value());
  EXPECT_EQ(event->uuid, "GPU-1");
  EXPECT_EQ(event->xid, 79u);
  for (const char* broken :
       {"", " ", " 79", "GPU-1", "GPU-1 ", "GPU-1 x", "GPU-1 -1", "GPU-1 4294967296", "GPU-1 7 9"}) {
    EXPECT_FALSE(parse_xid_event(broken).has_value()) << broken;
  }
  EXPECT_FALSE(parse_xid_event(std::string(100, 'G') + " 1").has_value());
}

class XidMonitorTest : public ::testing::Test {
 protected:
  XidMonitorTest() : loop_(EventLoop::create().value()) {}

  // What is heard of children that run `script`, a tick for each of `counts`, a second apart: each waits
  // until so many events have come and, where they end by themselves or are ended, the child is gone.
  std::vector<uint32_t> hear(const char* script, std::initializer_list<size_t> counts, bool ends) {
    std::vector<uint32_t> xids;
    XidMonitor monitor(loop_, {"/bin/sh", "-c", script},
                       [&](const XidEvent& event) { xids.push_back(event.xid); });
    uint64_t now = 100 * kSecond;
    monitor.start(now);
    for (const size_t count : counts) {
      monitor.tick(now);
      const uint64_t until = monotonic_ns() + 30 * kSecond;  // far more than a busy machine takes
      while ((xids.size() < count || (ends && !monitor.next_deadline_ns())) && monotonic_ns() < until)
        EXPECT_TRUE(loop_.run_once(10'000'000).ok());
      now += kSecond;
    }
    return xids;
  }

  EventLoop loop_;
};

// `exec`: a child of the shell would outlive it.
TEST_F(XidMonitorTest, HearsLinesAsTheyCome) {
  EXPECT_EQ(hear("echo '#a remark'; echo GPU-1 31; echo nonsense; printf 'GPU-2 '; echo 79; exec sleep 60",
                 {2}, false),
            (std::vector<uint32_t>{31, 79}));
}

TEST_F(XidMonitorTest, StartsAnotherChildAfterAPauseThatBecomesLonger) {
  EXPECT_EQ(hear("echo GPU-1 62", {1, 2, 2, 3, 3, 3}, true).size(), 3u);
}

TEST_F(XidMonitorTest, ALineWithoutEndIsNotKept) {
  EXPECT_TRUE(hear("head -c 100000 /dev/zero | tr '\\0' x; exec sleep 60", {0}, true).empty());
}

TEST_F(XidMonitorTest, WithoutACommandNothingIsHeard) {
  XidMonitor monitor(loop_, {}, [](const XidEvent&) { FAIL(); });
  monitor.start(kSecond);
  monitor.tick(100 * kSecond);
  EXPECT_FALSE(monitor.next_deadline_ns().has_value());
}

}  // namespace
}  // namespace tessera::node
