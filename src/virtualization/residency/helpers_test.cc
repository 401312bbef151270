#include "virtualization/residency/helpers.h"

#include <gtest/gtest.h>

#include <set>
#include <thread>
#include <vector>

namespace tessera::vgpu {
namespace {

// Threads of it never end.
Helpers& helpers(unsigned most) { return *new Helpers(most, std::nullopt); }

TEST(Helpers, EachPartIsDoneOnce) {
  Helpers& three = helpers(3);
  for (size_t parts : {0, 1, 2, 7, 1000}) {
    std::vector<std::atomic<int>> done(parts);
    const Status status = three.run(parts, [&](Helpers::Parts& left) {
      while (const auto part = left.next()) ++done[*part];
      return Status();
    });
    EXPECT_TRUE(status.ok());
    for (const auto& times : done) EXPECT_EQ(times, 1);
  }
}

TEST(Helpers, WorkOfOnePartIsItsOwnersAlone) {
  std::set<std::thread::id> who;
  std::mutex mutex;
  const Status status = helpers(3).run(1, [&](Helpers::Parts& left) {
    std::lock_guard lock(mutex);
    who.insert(std::this_thread::get_id());
    while (left.next()) continue;
    return Status();
  });
  EXPECT_TRUE(status.ok());
  EXPECT_EQ(who, std::set{std::this_thread::get_id()});
}

TEST(Helpers, SeveralAreAtItAtATime) {
  std::mutex mutex;
  std::condition_variable came;
  int there = 0;
  // Nobody gets on before another one has come.
  const Status status = helpers(1).run(2, [&](Helpers::Parts& left) {
    while (left.next()) {
      std::unique_lock lock(mutex);
      ++there;
      came.notify_all();
      came.wait(lock, [&] { return there == 2; });
    }
    return Status();
  });
  EXPECT_TRUE(status.ok());
  EXPECT_EQ(there, 2);
}

TEST(Helpers, AnErrorOfAHelperIsTheWorks) {
  const auto owner = std::this_thread::get_id();
  std::atomic<bool> helped{false};
  const Status status = helpers(1).run(2, [&](Helpers::Parts& left) -> Status {
    if (std::this_thread::get_id() != owner) {
      helped = true;
      return {Code::kInternal, "no"};
    }
    while (!helped) std::this_thread::yield();
    while (left.next()) continue;
    return {};
  });
  EXPECT_EQ(status.code(), Code::kInternal);
}

TEST(Helpers, WithoutAnyTheWorkIsDone) {
  size_t done = 0;
  const Status status = helpers(0).run(5, [&](Helpers::Parts& left) {
    while (left.next()) ++done;
    return Status();
  });
  EXPECT_TRUE(status.ok());
  EXPECT_EQ(done, 5u);
  EXPECT_LE(Helpers::count_for_processors(), Helpers::kMost);
}

}  // namespace
}  // namespace tessera::vgpu
