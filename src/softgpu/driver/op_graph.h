// Which work waits for which. Streams are rules for adding edges to this graph; engines take what has none
// left.
//
// One lock for the process guards all edges: events tie streams of different contexts together, and the
// sections under it are a few pointer operations per operation, not per block.
#pragma once

#include <mutex>
#include <span>
#include <vector>

#include "softgpu/driver/op.h"

namespace tessera::softgpu {

class OrderGroup;

// The order of one stream.
class OpQueue {
 public:
  enum class Kind { kLegacy, kBlocking, kNonBlocking };
  OpQueue(OrderGroup& group, Kind kind);
  // Work in it goes on; the group remembers it.
  ~OpQueue();
  OpQueue(const OpQueue&) = delete;
  OpQueue& operator=(const OpQueue&) = delete;

  Kind kind() const { return kind_; }

 private:
  friend class OpGraph;
  OrderGroup& group_;
  const Kind kind_;
  OpRef tail_;  // the newest operation
};

// The streams of a context. Work in the legacy default stream comes after all earlier work in blocking
// streams and before all later work in them.
class OrderGroup {
 private:
  friend class OpGraph;
  friend class OpQueue;
  std::vector<OpQueue*> queues_;
  OpRef legacy_tail_;
  std::vector<std::pair<OpRef, bool>>
      orphans_;  // tails of destroyed queues; whether the queue was a blocking one
};

// Operations with an order of their own among themselves: the launch of a CUDA graph. `first` comes before
// all parts, `last` after all of them; to everything outside they are one operation.
struct OpGroup {
  struct Part {
    OpRef op;
    std::vector<uint32_t> after;  // earlier parts; none: after `first`
    OpRef external;               // and after this, if it is not null
  };
  OpRef first, last;
  std::vector<Part> parts;
};

class OpGraph {
 public:
  static OpGraph& instance();

  // Appends `op` to `queue`, also behind every operation of `after`.
  void submit(OpQueue& queue, const OpRef& op, std::span<const OpRef> after = {});
  // The same, but where nothing is left to wait for, true: the caller does the work itself and calls
  // finish().
  bool submit_or_claim(OpQueue& queue, const OpRef& op, std::span<const OpRef> after = {});
  // Appends a group. Contexts whose work is in it, other than the queue's, count `last` as theirs too.
  void submit(OpQueue& queue, const OpGroup& group, std::span<const OpRef> after,
              std::span<OrderGroup* const> also);
  // Starts a group that belongs to no queue: whoever does so answers for its end.
  void submit_detached(const OpGroup& group);
  // Marks `op` finished, now, and starts what waited for it alone.
  void finish(const OpRef& op);

  // The newest operation of a queue, null where it is finished or there is none. In the legacy stream's case:
  // what must finish for the stream to be idle, as cuStreamSynchronize sees it.
  std::vector<OpRef> unfinished(OpQueue& queue);
  std::vector<OpRef> unfinished(OrderGroup& group);
  // Lets go of finished operations: they hold the context that holds the group.
  void forget_finished(OrderGroup& group);

 private:
  friend class OpQueue;
  bool link(OpQueue& queue, const OpRef& op, std::span<const OpRef> after);
  void link_inside(const OpGroup& group);

  std::mutex mutex_;
};

// Work that is done the moment its turn comes: the recording of an event, a wait.
class MarkerOp : public Op {
 public:
  void start(const std::shared_ptr<Op>& self) override { OpGraph::instance().finish(self); }
};

}  // namespace tessera::softgpu
