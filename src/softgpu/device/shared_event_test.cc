#include "softgpu/device/shared_event.h"

#include <gtest/gtest.h>

#include "softgpu/device/other_process.h"

namespace tessera::softgpu {
namespace {

class SharedEventTest : public DeviceOfProcesses {};

TEST_F(SharedEventTest, IsOverWhenItsNewestRecordingIs) {
  auto id = make_shared_event(*file_);
  ASSERT_TRUE(id.ok());
  EXPECT_EQ(newest_recording(*file_, *id), 0u);
  EXPECT_TRUE(is_over(*file_, *id, 0));
  EXPECT_EQ(begin_recording(*file_, *id), 1u);
  EXPECT_EQ(begin_recording(*file_, *id), 2u);
  finish_recording(*file_, *id, 1);
  EXPECT_TRUE(is_over(*file_, *id, 1));
  EXPECT_FALSE(is_over(*file_, *id, newest_recording(*file_, *id)));
  finish_recording(*file_, *id, 2);
  finish_recording(*file_, *id, 1);
  EXPECT_TRUE(is_over(*file_, *id, 2));
  let_go_of_event(*file_, *id);
}

TEST_F(SharedEventTest, NobodyWaitsForTheDead) {
  const Other recorder = start([](DeviceFile& file) -> uint64_t {
    auto id = make_shared_event(file);
    if (!id.ok()) return 0;
    begin_recording(file, *id);
    return *id;
  });
  ASSERT_TRUE(hold_shared_event(*file_, recorder.answer).ok());
  EXPECT_FALSE(is_over(*file_, recorder.answer, 1));
  file_->reap_now_and_then();
  EXPECT_FALSE(is_over(*file_, recorder.answer, 1));
  recorder.end();
  (void)used();  // looks for the dead
  EXPECT_TRUE(is_over(*file_, recorder.answer, 1));
  EXPECT_EQ(begin_recording(*file_, recorder.answer), 2u);  // it goes on without them
  EXPECT_FALSE(is_over(*file_, recorder.answer, 2));
  EXPECT_EQ(hold_shared_event(*file_, recorder.answer).code(), Code::kNotFound);
  let_go_of_event(*file_, recorder.answer);
}

TEST_F(SharedEventTest, OpensOnlyWhatIsThere) {
  const Other creator = start([](DeviceFile& file) -> uint64_t {
    auto id = make_shared_event(file);
    return id.ok() ? *id : 0;
  });
  EXPECT_EQ(hold_shared_event(*file_, 0).code(), Code::kNotFound);
  for (int bit = 0; bit < 64; ++bit)
    EXPECT_EQ(hold_shared_event(*file_, creator.answer ^ uint64_t{1} << bit).code(), Code::kNotFound) << bit;
  EXPECT_TRUE(hold_shared_event(*file_, creator.answer).ok());
  creator.end();
  auto own = make_shared_event(*file_);
  ASSERT_TRUE(own.ok());
  EXPECT_EQ(hold_shared_event(*file_, *own).code(), Code::kFailedPrecondition);
}

TEST_F(SharedEventTest, AreBounded) {
  uint64_t last = 0;
  for (uint32_t i = 0; i < kMaxSharedEvents; ++i) {
    auto id = make_shared_event(*file_);
    ASSERT_TRUE(id.ok()) << i;
    last = *id;
  }
  EXPECT_EQ(make_shared_event(*file_).status().code(), Code::kResourceExhausted);
  let_go_of_event(*file_, last);
  EXPECT_TRUE(make_shared_event(*file_).ok());
}

}  // namespace
}  // namespace tessera::softgpu
