#include "softgpu/driver/op_graph.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "softgpu/driver/work_thread.h"

namespace tessera::softgpu {
namespace {

std::atomic<uint64_t> ticks{1};

// Notes when it ran, on one of several threads, after a moment that differs from one operation to the next.
class TimedOp : public ThreadOp {
 public:
  TimedOp(WorkThread& worker, unsigned work) : ThreadOp(worker), work_(work) {}
  void run() override {
    begun = ticks.fetch_add(1);
    for (unsigned i = 0; i < work_; ++i) std::this_thread::yield();
    ended = ticks.fetch_add(1);
  }
  uint64_t begun = 0, ended = 0;

 private:
  const unsigned work_;
};

WorkThread& workers() {
  static auto* made = new WorkThread("test-op", 4);
  return *made;
}

// What CUDA promises about one stream: written down anew, from the documentation's words, not from the
// graph's edges.
struct ShadowStream {
  std::unique_ptr<OpQueue> queue;
  OpQueue::Kind kind;
  size_t context;
};

struct Submitted {
  std::shared_ptr<TimedOp> op;
  size_t stream;
};

class RandomOrder {
 public:
  explicit RandomOrder(unsigned seed) : random_(seed) {
    for (size_t context = 0; context < 2; ++context) {
      add_stream(context, OpQueue::Kind::kLegacy);
      for (int i = 0; i < 2; ++i) add_stream(context, OpQueue::Kind::kBlocking);
      add_stream(context, OpQueue::Kind::kNonBlocking);
    }
    waits_.resize(streams_.size());
  }

  void submit_all(int count) {
    for (int i = 0; i < count; ++i) {
      const size_t stream = random_() % streams_.size();
      if (!submitted_.empty() &&
          random_() % 4 == 0) {  // cuStreamWaitEvent for an event after an earlier operation
        const size_t target = random_() % submitted_.size();
        const OpRef op = submitted_[target].op;
        OpGraph::instance().submit(*streams_[stream].queue, std::make_shared<MarkerOp>(), std::span(&op, 1));
        waits_[stream].push_back({target, submitted_.size()});
      }
      auto op = std::make_shared<TimedOp>(workers(), random_() % 4);
      if (random_() % 3 == 0) {
        if (OpGraph::instance().submit_or_claim(*streams_[stream].queue, op)) {
          op->run();
          OpGraph::instance().finish(op);
        }
      } else {
        OpGraph::instance().submit(*streams_[stream].queue, op);
      }
      submitted_.push_back({op, stream});
    }
  }

  void wait() {
    for (auto& group : groups_) {
      for (const OpRef& op : OpGraph::instance().unfinished(*group)) op->wait();
    }
  }

  void check() const {
    for (size_t later = 0; later < submitted_.size(); ++later) {
      for (size_t earlier = 0; earlier < later; ++earlier) {
        if (!ordered(earlier, later)) continue;
        ASSERT_LT(submitted_[earlier].op->ended, submitted_[later].op->begun)
            << "operation " << later << " began before " << earlier << " had ended";
      }
    }
  }

 private:
  struct Wait {
    size_t target;  // the operation waited for
    size_t from;    // operations of the stream from this index on wait
  };

  void add_stream(size_t context, OpQueue::Kind kind) {
    if (groups_.size() <= context) groups_.push_back(std::make_unique<OrderGroup>());
    streams_.push_back({std::make_unique<OpQueue>(*groups_[context], kind), kind, context});
  }

  bool ordered(size_t earlier, size_t later) const {
    const ShadowStream& a = streams_[submitted_[earlier].stream];
    const ShadowStream& b = streams_[submitted_[later].stream];
    if (submitted_[earlier].stream == submitted_[later].stream) return true;
    for (const Wait& wait : waits_[submitted_[later].stream]) {
      if (wait.target == earlier && wait.from <= later) return true;
    }
    const bool one_is_legacy = a.kind == OpQueue::Kind::kLegacy || b.kind == OpQueue::Kind::kLegacy;
    const bool none_is_free = a.kind != OpQueue::Kind::kNonBlocking && b.kind != OpQueue::Kind::kNonBlocking;
    return a.context == b.context && one_is_legacy && none_is_free;
  }

  std::mt19937 random_;
  std::vector<std::unique_ptr<OrderGroup>> groups_;
  std::vector<ShadowStream> streams_;
  std::vector<std::vector<Wait>> waits_;
  std::vector<Submitted> submitted_;
};

TEST(OpGraphTest, KeepsEveryOrderThatCudaPromises) {
  for (unsigned seed = 1; seed <= 60; ++seed) {
    RandomOrder order(seed);
    order.submit_all(120);
    order.wait();
    order.check();
    if (HasFatalFailure()) FAIL() << "seed " << seed;
  }
}

// Held back until the test lets it go.
class GateOp : public Op {
 public:
  void start(const std::shared_ptr<Op>&) override { started = true; }
  std::atomic<bool> started{false};
};

TEST(OpGraphTest, StreamsThatAreNotTiedDoNotWait) {
  OrderGroup group;
  OpQueue legacy(group, OpQueue::Kind::kLegacy), blocking(group, OpQueue::Kind::kBlocking),
      free(group, OpQueue::Kind::kNonBlocking);
  OpGraph& graph = OpGraph::instance();
  auto first = std::make_shared<GateOp>(), second = std::make_shared<GateOp>(),
       third = std::make_shared<GateOp>();
  graph.submit(legacy, first);
  graph.submit(free, second);
  graph.submit(blocking, third);
  EXPECT_TRUE(first->started);
  EXPECT_TRUE(second->started);
  EXPECT_FALSE(third->started);
  graph.finish(first);
  EXPECT_TRUE(third->started);
  graph.finish(second);
  graph.finish(third);
}

TEST(OpGraphTest, ADestroyedStreamStillHoldsTheLegacyStreamBack) {
  OrderGroup group;
  OpQueue legacy(group, OpQueue::Kind::kLegacy);
  auto first = std::make_shared<GateOp>(), second = std::make_shared<GateOp>();
  {
    OpQueue blocking(group, OpQueue::Kind::kBlocking);
    OpGraph::instance().submit(blocking, first);
  }
  OpGraph::instance().submit(legacy, second);
  EXPECT_FALSE(second->started);
  EXPECT_EQ(OpGraph::instance().unfinished(group).size(), 2u);
  OpGraph::instance().finish(first);
  EXPECT_TRUE(second->started);
  OpGraph::instance().finish(second);
  EXPECT_TRUE(OpGraph::instance().unfinished(group).empty());
}

TEST(OpGraphTest, LongChainsOfMarkersDoNotUseUpTheStack) {
  OrderGroup group;
  OpQueue queue(group, OpQueue::Kind::kBlocking);
  auto gate = std::make_shared<GateOp>();
  OpGraph::instance().submit(queue, gate);
  OpRef last;
  for (int i = 0; i < 200'000; ++i) {
    last = std::make_shared<MarkerOp>();
    OpGraph::instance().submit(queue, last);
  }
  EXPECT_FALSE(last->done());
  OpGraph::instance().finish(gate);
  EXPECT_TRUE(last->done());
  EXPECT_GE(last->finished_ns(), gate->finished_ns());
}

}  // namespace
}  // namespace tessera::softgpu
