#include "softgpu/driver/op_graph.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "common/clock.h"

namespace tessera::softgpu {
namespace {

// Operations that finish inside finish() (markers, one after the other) are put here, not on the stack.
thread_local std::vector<OpRef>* finishing = nullptr;

}  // namespace

OpGraph& OpGraph::instance() {
  static auto* graph = new OpGraph();
  return *graph;
}

OpQueue::OpQueue(OrderGroup& group, Kind kind) : group_(group), kind_(kind) {
  std::lock_guard lock(OpGraph::instance().mutex_);
  group_.queues_.push_back(this);
}

OpQueue::~OpQueue() {
  OpRef tail;  // destroyed after the lock is released
  std::lock_guard lock(OpGraph::instance().mutex_);
  tail = std::move(tail_);
  std::erase(group_.queues_, this);
  std::erase_if(group_.orphans_, [](const auto& orphan) { return orphan.first->done(); });
  if (tail && !tail->done()) group_.orphans_.emplace_back(std::move(tail), kind_ != Kind::kNonBlocking);
}

// Adds the edges; whether none is left to wait for.
bool OpGraph::link(OpQueue& queue, const OpRef& op, std::span<const OpRef> after) {
  auto add = [&op](const OpRef& before) {
    if (!before || before == op || before->done()) return;
    // The same predecessor twice in a row is common (a stream's tail that is also the legacy stream's).
    if (!before->successors_.empty() && before->successors_.back() == op) return;
    before->successors_.push_back(op);
    ++op->pending_;
  };
  OrderGroup& group = queue.group_;
  add(queue.tail_);
  if (queue.kind_ == OpQueue::Kind::kBlocking) add(group.legacy_tail_);
  if (queue.kind_ == OpQueue::Kind::kLegacy) {
    for (OpQueue* other : group.queues_) {
      if (other->kind_ != OpQueue::Kind::kNonBlocking) add(other->tail_);
    }
    for (const auto& [orphan, blocking] : group.orphans_) {
      if (blocking) add(orphan);
    }
    group.legacy_tail_ = op;
  }
  for (const OpRef& before : after) add(before);
  queue.tail_ = op;
  return op->pending_ == 0;
}

void OpGraph::submit(OpQueue& queue, const OpRef& op, std::span<const OpRef> after) {
  if (submit_or_claim(queue, op, after)) op->start(op);
}

bool OpGraph::submit_or_claim(OpQueue& queue, const OpRef& op, std::span<const OpRef> after) {
  std::lock_guard lock(mutex_);
  return link(queue, op, after);
}

// Under the lock, before `first` can have started: no operation of the group is done.
void OpGraph::link_inside(const OpGroup& group) {
  auto add = [](const OpRef& before, const OpRef& op) {
    before->successors_.push_back(op);
    ++op->pending_;
  };
  std::vector<bool> followed(group.parts.size());
  for (const OpGroup::Part& part : group.parts) {
    if (part.after.empty()) add(group.first, part.op);
    for (const uint32_t before : part.after) {
      add(group.parts[before].op, part.op);
      followed[before] = true;
    }
    if (part.external && !part.external->done()) add(part.external, part.op);
  }
  for (size_t i = 0; i < group.parts.size(); ++i) {
    if (!followed[i]) add(group.parts[i].op, group.last);
  }
  if (group.parts.empty()) add(group.first, group.last);
}

void OpGraph::submit(OpQueue& queue, const OpGroup& group, std::span<const OpRef> after,
                     std::span<OrderGroup* const> also) {
  bool ready;
  {
    std::lock_guard lock(mutex_);
    ready = link(queue, group.first, after);
    link_inside(group);
    queue.tail_ = group.last;
    if (queue.kind_ == OpQueue::Kind::kLegacy) queue.group_.legacy_tail_ = group.last;
    for (OrderGroup* other : also) {
      std::erase_if(other->orphans_, [](const auto& orphan) { return orphan.first->done(); });
      other->orphans_.emplace_back(group.last, false);
    }
  }
  if (ready) group.first->start(group.first);
}

void OpGraph::submit_detached(const OpGroup& group) {
  {
    std::lock_guard lock(mutex_);
    link_inside(group);
  }
  group.first->start(group.first);
}

void OpGraph::finish(const OpRef& op) {
  if (finishing != nullptr) {
    finishing->push_back(op);
    return;
  }
  std::vector<OpRef> finished{op};
  finishing = &finished;
  std::vector<OpRef> ready;
  for (size_t i = 0; i < finished.size(); ++i) {
    const OpRef current = finished[i];
    {
      std::lock_guard lock(mutex_);
      assert(!current->done() && current->pending_ == 0);
      current->finished_ns_ = monotonic_ns();
      current->done_.store(1, std::memory_order_release);
      for (OpRef& next : current->successors_) {
        if (--next->pending_ == 0) ready.push_back(std::move(next));
      }
      current->successors_ = {};
    }
    current->done_.notify_all();
    for (const OpRef& next : ready) next->start(next);
    ready.clear();
  }
  finishing = nullptr;
}

std::vector<OpRef> OpGraph::unfinished(OpQueue& queue) {
  std::lock_guard lock(mutex_);
  std::vector<OpRef> found;
  if (queue.tail_ && !queue.tail_->done()) found.push_back(queue.tail_);
  if (queue.kind_ == OpQueue::Kind::kLegacy) {
    for (OpQueue* other : queue.group_.queues_) {
      const bool counts = other != &queue && other->kind_ == OpQueue::Kind::kBlocking;
      if (counts && other->tail_ && !other->tail_->done()) found.push_back(other->tail_);
    }
  }
  return found;
}

std::vector<OpRef> OpGraph::unfinished(OrderGroup& group) {
  std::lock_guard lock(mutex_);
  std::vector<OpRef> found;
  for (OpQueue* queue : group.queues_) {
    if (queue->tail_ && !queue->tail_->done()) found.push_back(queue->tail_);
  }
  for (const auto& [orphan, blocking] : group.orphans_) {
    if (!orphan->done()) found.push_back(orphan);
  }
  return found;
}

void OpGraph::forget_finished(OrderGroup& group) {
  std::vector<OpRef>
      forgotten;  // destroyed after the lock is released: an operation's end may reach the graph again
  std::lock_guard lock(mutex_);
  auto forget = [&forgotten](OpRef& op) {
    if (op && op->done()) forgotten.push_back(std::move(op));
  };
  forget(group.legacy_tail_);
  for (OpQueue* queue : group.queues_) forget(queue->tail_);
  for (auto& [orphan, blocking] : group.orphans_) forget(orphan);
  std::erase_if(group.orphans_, [](const auto& orphan) { return orphan.first == nullptr; });
}

}  // namespace tessera::softgpu
