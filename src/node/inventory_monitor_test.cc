#include "node/inventory_monitor.h"

#include <gtest/gtest.h>

#include "common/clock.h"

namespace tessera::node {
namespace {

constexpr const char* kAnswer =
    R"({"ok":true,"driver_kind":"software","driver_version":"1","gpus":[{"uuid":"GPU-1","name":"N",)"
    R"("total_bytes":100,"used_bytes":7}]})";

class InventoryMonitorTest : public ::testing::Test {
 protected:
  InventoryMonitorTest() : loop_(EventLoop::create().value()) {}

  // The answers of `times` requests made at the same time.
  std::vector<Result<Inventory>> ask(std::vector<std::string> command, int times = 1, uint64_t later_ns = 0) {
    InventoryMonitor monitor(loop_, std::move(command));
    std::vector<Result<Inventory>> answers;
    for (int i = 0; i < times; ++i) {
      monitor.refresh(monotonic_ns(), [&](const Result<Inventory>& answer) { answers.push_back(answer); });
    }
    while (answers.empty()) {
      EXPECT_TRUE(loop_.run_once(20'000'000).ok());
      monitor.tick(monotonic_ns() + later_ns);
    }
    return answers;
  }

  EventLoop loop_;
};

TEST_F(InventoryMonitorTest, OneChildAnswersAllWhoWait) {
  auto answers = ask({"/bin/echo", kAnswer}, 3);
  ASSERT_EQ(answers.size(), 3U);
  for (auto& answer : answers) {
    ASSERT_TRUE(answer.ok()) << answer.status().message();
    EXPECT_EQ(answer->gpus.at(0).used_bytes, 7U);
    EXPECT_FALSE(answer->gpus[0].utilization_percent);
  }
}

TEST_F(InventoryMonitorTest, BrokenChildrenAreErrors) {
  EXPECT_FALSE(ask({"/no/such/program"})[0].ok());
  EXPECT_FALSE(ask({"/bin/false"})[0].ok());
  EXPECT_FALSE(ask({"/bin/echo", "nonsense"})[0].ok());
  EXPECT_FALSE(ask({"/bin/echo", R"({"ok":true,"gpus":[5]})"})[0].ok());
  EXPECT_FALSE(ask({"/bin/cat", "/dev/zero"})[0].ok());
  EXPECT_EQ(ask({"/bin/echo", R"({"ok":false,"message":"why"})"})[0].status().message(), "why");
}

// Answers with its process number for a driver's version, each time that it is asked.
const std::vector<std::string> kStanding = {
    "/bin/sh", "-c",
    R"(while echo '{"ok":true,"driver_version":"'$$'","gpus":[]}'; do read -r line || exit; done)"};

// The driver's version, as `monitor` is told at `now_ns`.
std::string ask_again(EventLoop& loop, InventoryMonitor& monitor, uint64_t now_ns) {
  std::optional<Result<Inventory>> told;
  monitor.refresh(now_ns, [&](const Result<Inventory>& answer) { told = answer; });
  while (!told) EXPECT_TRUE(loop.run_once(20'000'000).ok());
  return told->ok() ? (*told)->driver_version : told->status().message();
}

TEST_F(InventoryMonitorTest, OneChildAnswersAgainAndAgain) {
  InventoryMonitor monitor(loop_, kStanding);
  const uint64_t now_ns = monotonic_ns();
  const std::string first = ask_again(loop_, monitor, now_ns);
  EXPECT_GT(std::stoi(first), 1);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(ask_again(loop_, monitor, now_ns), first);
}

TEST_F(InventoryMonitorTest, AChildOfWhichNothingIsAskedEnds) {
  InventoryMonitor monitor(loop_, kStanding);
  const uint64_t now_ns = monotonic_ns();
  const std::string first = ask_again(loop_, monitor, now_ns);
  monitor.tick(now_ns + InventoryMonitor::kIdleNs - 1);
  EXPECT_EQ(ask_again(loop_, monitor, now_ns + InventoryMonitor::kIdleNs), first);
  EXPECT_EQ(monitor.next_deadline_ns(), now_ns + 2 * InventoryMonitor::kIdleNs);
  monitor.tick(now_ns + 2 * InventoryMonitor::kIdleNs);
  EXPECT_FALSE(monitor.next_deadline_ns());
  EXPECT_NE(ask_again(loop_, monitor, now_ns + 3 * InventoryMonitor::kIdleNs), first);
}

TEST_F(InventoryMonitorTest, AChildThatHasLivedForLongIsReplaced) {
  InventoryMonitor monitor(loop_, kStanding);
  const uint64_t now_ns = monotonic_ns();
  const std::string first = ask_again(loop_, monitor, now_ns);
  EXPECT_NE(ask_again(loop_, monitor, now_ns + InventoryMonitor::kLongestLifeNs), first);
}

TEST_F(InventoryMonitorTest, AChildThatEndsWhenItIsAskedAgainIsReplaced) {
  InventoryMonitor monitor(
      loop_, {"/bin/sh", "-c", R"(echo '{"ok":true,"driver_version":"'$$'","gpus":[]}'; read -r line)"});
  const std::string first = ask_again(loop_, monitor, monotonic_ns());
  const std::string second = ask_again(loop_, monitor, monotonic_ns());
  EXPECT_GT(std::stoi(second), 1);
  EXPECT_NE(second, first);
}

TEST_F(InventoryMonitorTest, AHangingChildIsGivenUp) {
  auto answers = ask({"/bin/sleep", "60"}, 1, 11'000'000'000);
  EXPECT_EQ(answers[0].status().code(), Code::kDeadlineExceeded);
}

TEST_F(InventoryMonitorTest, TextSurvivesTheTrip) {
  Inventory inventory{"nvidia",
                      "/x",
                      "580",
                      true,
                      {{"GPU-2", "A \"b\" \xff", 8, 3, 132, 55, "", false},
                       {"GPU-3", "C", 0, 0, 0, std::nullopt, "GPU is lost", true}}};
  inventory.gpus[0].pci = "0000:3b:00.0";
  inventory.gpus[0].sensors[static_cast<size_t>(Sensor::kPower)] = 250'000;
  auto back = parse_inventory_answer(inventory_answer_text(inventory));
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(back->gpus[0].pci, "0000:3b:00.0");
  EXPECT_EQ(back->gpus[1].pci, "");
  EXPECT_EQ(sensor(back->gpus[0].sensors, Sensor::kPower), 250'000U);
  EXPECT_FALSE(sensor(back->gpus[0].sensors, Sensor::kTemperature));
  EXPECT_FALSE(sensor(back->gpus[1].sensors, Sensor::kPower));
  EXPECT_EQ(back->gpus[0].utilization_percent, 55U);
  EXPECT_EQ(back->gpus[0].total_bytes, 8U);
  EXPECT_EQ(back->gpus[0].sm_count, 132U);
  EXPECT_TRUE(back->space);
  EXPECT_TRUE(back->gpus[0].problem.empty());
  EXPECT_TRUE(back->gpus[1].lost);
  EXPECT_EQ(back->gpus[1].problem, "GPU is lost");
}

}  // namespace
}  // namespace tessera::node
