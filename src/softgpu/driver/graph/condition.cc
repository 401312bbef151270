#include "softgpu/driver/graph/condition.h"

#include <atomic>
#include <cassert>

#include "softgpu/driver/device.h"
#include "softgpu/driver/graph/condition_values.h"
#include "softgpu/driver/handle_registry.h"

namespace tessera::softgpu {
namespace {

constexpr unsigned kAssignDefault = 1;  // CU_GRAPH_COND_ASSIGN_DEFAULT

std::unique_ptr<CUgraph[]> handles_of(const std::vector<std::shared_ptr<Graph>>& graphs) {
  auto handles = std::make_unique<CUgraph[]>(graphs.size());
  for (size_t i = 0; i < graphs.size(); ++i) handles[i] = graphs[i]->handle();
  return handles;
}

// Looks at the value when its turn comes, runs what that says, and, for a loop, looks again.
class ConditionalOp : public Op {
 public:
  ConditionalOp(std::shared_ptr<const Plan> root, const Plan::Node& node, std::shared_ptr<Context> site)
      : root_(std::move(root)), work_(node.work), bodies_(node.inner), site_(std::move(site)) {}

  void start(const std::shared_ptr<Op>& self) override {
    const Plan* body = site_->status() == CUDA_SUCCESS ? chosen() : nullptr;
    if (body == nullptr) {
      OpGraph::instance().finish(self);
      return;
    }
    OpGroup group = expand(root_, *body, site_);
    group.last = std::make_shared<AfterOp>(std::static_pointer_cast<ConditionalOp>(self));
    OpGraph::instance().submit_detached(group);
  }

 private:
  // The end of one run of a body. Finishes itself first: a loop is not to grow the stack.
  class AfterOp : public MarkerOp {
   public:
    explicit AfterOp(std::shared_ptr<ConditionalOp> conditional) : conditional_(std::move(conditional)) {}
    void start(const std::shared_ptr<Op>& self) override {
      OpGraph::instance().finish(self);
      const auto conditional = std::move(conditional_);
      if (conditional->work().kind() == CU_GRAPH_COND_TYPE_WHILE) {
        conditional->start(conditional);
      } else {
        OpGraph::instance().finish(conditional);
      }
    }

   private:
    std::shared_ptr<ConditionalOp> conditional_;
  };

  const ConditionalWork& work() const { return static_cast<const ConditionalWork&>(*work_); }
  const Plan* chosen() const {
    const unsigned value = work().condition()->value();
    size_t index = 0;
    switch (work().kind()) {
      case CU_GRAPH_COND_TYPE_WHILE:
        if (value == 0) return nullptr;
        break;
      case CU_GRAPH_COND_TYPE_IF:
        index = value != 0 ? 0 : 1;
        break;
      case CU_GRAPH_COND_TYPE_SWITCH:
        index = value;
        break;
    }
    return index < bodies_.size() ? bodies_[index].get() : nullptr;
  }

  const std::shared_ptr<const Plan> root_;  // a launch goes on with the plan it began with
  const WorkRef work_;
  const std::vector<std::shared_ptr<Plan>> bodies_;
  const std::shared_ptr<Context> site_;
};

}  // namespace

CUresult Condition::create(Context& context, unsigned initial, unsigned flags,
                           std::shared_ptr<Condition>* condition) {
  if ((flags & ~kAssignDefault) != 0) return CUDA_ERROR_INVALID_VALUE;
  uint64_t address = 0;
  const CUresult result = ConditionValues::instance().take(context, &address);
  if (result != CUDA_SUCCESS) return result;
  condition->reset(
      new Condition(context.device().ordinal(), address, initial, (flags & kAssignDefault) != 0));
  return CUDA_SUCCESS;
}

// Launches keep the condition until all of their work is done.
Condition::~Condition() { ConditionValues::instance().give_back(device_, address_); }

unsigned Condition::value() const {
  return std::atomic_ref(*reinterpret_cast<unsigned*>(address_)).load(std::memory_order_acquire);
}

void Condition::apply_default() {
  if (reset_) std::atomic_ref(*reinterpret_cast<unsigned*>(address_)).store(default_);
}

ConditionalWork::ConditionalWork(std::shared_ptr<Condition> condition, CUgraphConditionalNodeType kind,
                                 std::vector<std::shared_ptr<Graph>> bodies)
    : condition_(std::move(condition)),
      kind_(kind),
      bodies_(std::move(bodies)),
      handles_(handles_of(bodies_)) {
  for (const auto& body : bodies_) body->set_owned();
}

ConditionalWork::~ConditionalWork() {
  for (const auto& body : bodies_) live<Graph>().remove(body->handle());
}

OpRef make_conditional(const std::shared_ptr<const Plan>& root, const Plan::Node& node,
                       const std::shared_ptr<Context>& site) {
  return std::make_shared<ConditionalOp>(root, node, site);
}

}  // namespace tessera::softgpu
