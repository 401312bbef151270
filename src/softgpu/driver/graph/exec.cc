#include "softgpu/driver/graph/exec.h"

#include <algorithm>
#include <optional>
#include <unordered_set>

#include "common/log.h"
#include "softgpu/driver/graph/condition.h"
#include "softgpu/driver/graph/memory_nodes.h"
#include "softgpu/driver/graph/user_object.h"
#include "softgpu/driver/graph/work.h"
#include "softgpu/driver/handle_registry.h"

namespace tessera::softgpu {

namespace {

// The body of a condition may hold these; CUDA_CONDITIONAL_NODE_PARAMS.
bool allowed_in_body(CUgraphNodeType type) {
  switch (type) {
    case CU_GRAPH_NODE_TYPE_KERNEL:
    case CU_GRAPH_NODE_TYPE_EMPTY:
    case CU_GRAPH_NODE_TYPE_GRAPH:
    case CU_GRAPH_NODE_TYPE_MEMSET:
    case CU_GRAPH_NODE_TYPE_MEMCPY:
    case CU_GRAPH_NODE_TYPE_CONDITIONAL:
      return true;
    default:
      return false;
  }
}

CUresult check_body(const Graph& body, CUgraphNode* error) {
  for (const auto& node : body.nodes()) {
    if (!allowed_in_body(node->work()->type())) {
      *error = node->handle();
      return CUDA_ERROR_INVALID_VALUE;
    }
    for (const auto& inner : node->work()->inner()) {
      const CUresult result = check_body(*inner, error);
      if (result != CUDA_SUCCESS) return result;
    }
  }
  return CUDA_SUCCESS;
}

void collect_memory(const Plan& plan, std::vector<GraphMemory::Step>* steps) {
  for (const Plan::Node& node : plan.nodes) {
    if (const auto* work = dynamic_cast<const MemoryWork*>(node.work.get()))
      steps->push_back({work->block(), work->type() == CU_GRAPH_NODE_TYPE_MEM_ALLOC});
    for (const auto& inner : node.inner) collect_memory(*inner, steps);
  }
}

std::vector<GraphMemory::Step> memory_of(const Plan& plan) {
  std::vector<GraphMemory::Step> steps;
  collect_memory(plan, &steps);
  return steps;
}

}  // namespace

CUresult Plan::create(const Graph& graph, std::shared_ptr<Plan>* plan, CUgraphNode* error) {
  auto made = std::make_shared<Plan>();
  const std::vector<GraphNode*> order = graph.in_order();
  if (order.size() != graph.nodes().size()) {
    *error = graph.nodes().front()->handle();
    return CUDA_ERROR_INVALID_VALUE;
  }
  std::unordered_map<const GraphNode*, uint32_t> place;
  for (const GraphNode* node : order) {
    place[node] = static_cast<uint32_t>(made->nodes.size());
    Node& added = made->nodes.emplace_back();
    added.node = node->handle();
    added.work = node->work();
    for (const GraphNode::Edge& edge : node->dependencies()) added.after.push_back(place[edge.from]);
    std::sort(added.after.begin(), added.after.end());
    for (const auto& inner : node->work()->inner()) {
      CUresult result = CUDA_SUCCESS;
      if (node->work()->type() == CU_GRAPH_NODE_TYPE_CONDITIONAL) result = check_body(*inner, error);
      if (result == CUDA_SUCCESS) result = create(*inner, &added.inner.emplace_back(), error);
      if (result != CUDA_SUCCESS) return result;
    }
  }
  made->conditions = graph.conditions();
  *plan = std::move(made);
  return CUDA_SUCCESS;
}

std::shared_ptr<Plan> Plan::copy() const {
  auto made = std::make_shared<Plan>(*this);
  for (Node& node : made->nodes) {
    for (auto& inner : node.inner) inner = inner->copy();
  }
  return made;
}

CUresult Plan::graph(std::shared_ptr<Graph>* graph) const {
  std::vector<WorkRef> works;
  for (const Node& node : nodes) {
    switch (node.work->type()) {
      case CU_GRAPH_NODE_TYPE_CONDITIONAL:
      case CU_GRAPH_NODE_TYPE_MEM_ALLOC:
      case CU_GRAPH_NODE_TYPE_MEM_FREE:
        return CUDA_ERROR_NOT_SUPPORTED;
      case CU_GRAPH_NODE_TYPE_GRAPH: {
        std::shared_ptr<Graph> inner;
        const CUresult result = node.inner.front()->graph(&inner);
        if (result != CUDA_SUCCESS) return result;
        works.push_back(std::make_shared<ChildWork>(std::move(inner)));
        break;
      }
      default:
        works.push_back(node.enabled ? node.work : std::make_shared<EmptyWork>());
        break;
    }
  }
  std::shared_ptr<Graph> made = Graph::create();
  std::vector<GraphNode*> added;
  for (size_t i = 0; i < nodes.size(); ++i) {
    std::vector<GraphNode::Edge> edges;
    for (const uint32_t before : nodes[i].after) edges.push_back({added[before], kPlainEdge});
    // Edges among nodes of this graph, none of them twice: nothing can be refused.
    (void)made->add(std::move(works[i]), edges, &added.emplace_back());
  }
  *graph = std::move(made);
  return CUDA_SUCCESS;
}

Plan::Node* Plan::find(CUgraphNode node) {
  for (Node& candidate : nodes) {
    if (candidate.node == node) return &candidate;
    for (const auto& inner : candidate.inner) {
      if (Node* found = inner->find(node)) return found;
    }
  }
  return nullptr;
}

namespace {

// Stands for a node whose memory is gone: what it touches on hardware is an illegal address.
class LostOp : public Op {
 public:
  explicit LostOp(std::shared_ptr<Context> context) : context_(std::move(context)) {}
  void start(const std::shared_ptr<Op>& self) override {
    if (context_->status() == CUDA_SUCCESS) {
      LOG_ERROR("graph", "a node of a graph uses memory that has been freed");
    }
    context_->poison(CUDA_ERROR_ILLEGAL_ADDRESS);
    OpGraph::instance().finish(self);
  }

 private:
  const std::shared_ptr<Context> context_;
};

class BeginOp : public MarkerOp {
 public:
  explicit BeginOp(const Plan& plan) : conditions_(plan.conditions) {}
  void start(const std::shared_ptr<Op>& self) override {
    for (const auto& condition : conditions_) condition->apply_default();
    MarkerOp::start(self);
  }

 private:
  const std::vector<std::shared_ptr<Condition>> conditions_;
};

// Keeps the plan until all of its work is done, and lets go of it outside the operation graph's lock: what
// ends with the plan may reach that graph again.
class EndOp : public MarkerOp {
 public:
  explicit EndOp(std::shared_ptr<const Plan> plan) : plan_(std::move(plan)) {}
  void start(const std::shared_ptr<Op>& self) override {
    const std::shared_ptr<const Plan> plan = std::move(plan_);
    MarkerOp::start(self);
  }

 private:
  std::shared_ptr<const Plan> plan_;
};

OpRef begin_of(const Plan& plan) {
  if (plan.conditions.empty()) return std::make_shared<MarkerOp>();
  return std::make_shared<BeginOp>(plan);
}

class Expansion {
 public:
  Expansion(const std::shared_ptr<const Plan>& root, const std::shared_ptr<Context>& site)
      : root_(root), site_(site) {}

  // Adds the nodes; roots come after part `begin`. The parts that nothing in the plan follows.
  std::vector<uint32_t> add(const Plan& plan, std::optional<uint32_t> begin) {
    std::vector<uint32_t> place(plan.nodes.size());
    std::vector<bool> followed(plan.nodes.size());
    for (size_t i = 0; i < plan.nodes.size(); ++i) {
      const Plan::Node& node = plan.nodes[i];
      std::vector<uint32_t> after;
      for (const uint32_t before : node.after) {
        after.push_back(place[before]);
        followed[before] = true;
      }
      if (after.empty() && begin) after.push_back(*begin);
      place[i] = add_node(node, std::move(after));
    }
    std::vector<uint32_t> ends;
    for (size_t i = 0; i < plan.nodes.size(); ++i) {
      if (!followed[i]) ends.push_back(place[i]);
    }
    return ends;
  }
  OpGroup group;

 private:
  uint32_t add_part(OpRef op, std::vector<uint32_t> after, OpRef external = nullptr) {
    group.parts.push_back({std::move(op), std::move(after), std::move(external)});
    return static_cast<uint32_t>(group.parts.size() - 1);
  }

  uint32_t add_node(const Plan::Node& node, std::vector<uint32_t> after) {
    switch (node.work->type()) {
      case CU_GRAPH_NODE_TYPE_GRAPH: {
        const Plan& child = *node.inner.front();
        const uint32_t begin = add_part(begin_of(child), std::move(after));
        std::vector<uint32_t> ends = add(child, begin);
        return ends.empty() ? begin : add_part(std::make_shared<MarkerOp>(), std::move(ends));
      }
      case CU_GRAPH_NODE_TYPE_CONDITIONAL:
        return add_part(make_conditional(root_, node, site_), std::move(after));
      default:
        return add_part(operation(node), std::move(after), static_cast<const OpWork&>(*node.work).external());
    }
  }

  OpRef operation(const Plan::Node& node) {
    OpRef op;
    if (node.enabled) {
      const auto& work = static_cast<const OpWork&>(*node.work);
      if (work.make(site_, &op) != CUDA_SUCCESS) op = std::make_shared<LostOp>(site_);
    }
    return op ? op : std::make_shared<MarkerOp>();
  }

  const std::shared_ptr<const Plan>& root_;
  const std::shared_ptr<Context>& site_;
};

void collect_contexts(const Plan& plan, std::unordered_set<Context*>* contexts) {
  for (const Plan::Node& node : plan.nodes) {
    if (const auto* work = dynamic_cast<const OpWork*>(node.work.get())) {
      if (work->context() != nullptr) contexts->insert(work->context());
    }
    for (const auto& inner : node.inner) collect_contexts(*inner, contexts);
  }
}

// The first dependency of `with` that its counterpart has not; null where all are the same.
CUgraphNode other_dependency(const Plan::Node& node, const Plan& next, const Plan::Node& with) {
  const auto differs =
      std::mismatch(with.after.begin(), with.after.end(), node.after.begin(), node.after.end());
  return differs.first == with.after.end() ? nullptr : next.nodes[*differs.first].node;
}

// The first difference that forbids the update, recorded in `info`; otherwise takes over what differs.
bool take_over(Plan& plan, const Plan& next, bool dry, CUgraphExecUpdateResultInfo* info) {
  auto refuse = [info](CUgraphExecUpdateResult result, CUgraphNode node) {
    info->result = result;
    info->errorNode = node;
    return false;
  };
  if (plan.nodes.size() != next.nodes.size()) {
    return refuse(CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED, nullptr);
  }
  for (size_t i = 0; i < plan.nodes.size(); ++i) {
    Plan::Node& node = plan.nodes[i];
    const Plan::Node& with = next.nodes[i];
    const CUgraphExecUpdateResult result = check_update(*node.work, *with.work);
    if (result != CU_GRAPH_EXEC_UPDATE_SUCCESS) return refuse(result, with.node);
    if (node.after.size() == with.after.size()) info->errorFromNode = other_dependency(node, next, with);
    if (node.after != with.after || node.inner.size() != with.inner.size()) {
      return refuse(CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED, with.node);
    }
    for (size_t j = 0; j < node.inner.size(); ++j) {
      if (!take_over(*node.inner[j], *with.inner[j], dry, info)) return false;
    }
    if (!dry) node.work = with.work;
  }
  if (!dry) plan.conditions = next.conditions;  // which kernels that were taken over set from now on
  return true;
}

}  // namespace

OpGroup expand(const std::shared_ptr<const Plan>& root, const Plan& plan,
               const std::shared_ptr<Context>& site) {
  Expansion expansion(root, site);
  expansion.add(plan, std::nullopt);
  expansion.group.first = begin_of(plan);
  expansion.group.last = std::make_shared<EndOp>(root);
  return std::move(expansion.group);
}

GraphExec::GraphExec(std::shared_ptr<Plan> plan, uint64_t flags)
    : handle_(next_handle()), flags_(flags), plan_(std::move(plan)), memory_(memory_of(*plan_)) {}

CUresult GraphExec::create(Graph& graph, uint64_t flags, std::shared_ptr<GraphExec>* exec,
                           CUgraphNode* error) {
  const auto other = graph.memory_exec().lock();
  if (graph.moved() || (other && live<GraphExec>().find(other->handle()))) return CUDA_ERROR_INVALID_VALUE;
  std::shared_ptr<Plan> plan;
  const CUresult result = Plan::create(graph, &plan, error);
  if (result != CUDA_SUCCESS) return result;
  std::shared_ptr<GraphExec> made(new GraphExec(std::move(plan), flags));
  for (const auto& [object, count] : graph.user_objects()) {
    object->retain(count);
    made->user_objects_[object] = count;
  }
  if (!made->memory_.empty()) graph.memory_exec() = made;
  live<GraphExec>().add(made->handle_, made);
  *exec = std::move(made);
  return CUDA_SUCCESS;
}

GraphExec::~GraphExec() {
  for (const auto& [object, count] : user_objects_) object->release(count);
}

Plan& GraphExec::plan_to_change() {
  if (plan_.use_count() > 1) plan_ = plan_->copy();
  return *plan_;
}

CUgraphExecUpdateResultInfo GraphExec::update(const Graph& graph) {
  CUgraphExecUpdateResultInfo info{};
  std::shared_ptr<Plan> next;
  if (Plan::create(graph, &next, &info.errorNode) != CUDA_SUCCESS) {
    info.result = CU_GRAPH_EXEC_UPDATE_ERROR;
    return info;
  }
  Plan& plan = plan_to_change();
  if (take_over(plan, *next, true, &info)) take_over(plan, *next, false, &info);
  return info;
}

bool GraphExec::update_child(CUgraphNode node, const Graph& graph, CUgraphExecUpdateResultInfo* info) {
  std::shared_ptr<Plan> next;
  if (Plan::create(graph, &next, &info->errorNode) != CUDA_SUCCESS) return false;
  Plan& child = *plan_to_change().find(node)->inner.front();
  return take_over(child, *next, true, info) && take_over(child, *next, false, info);
}

CUresult GraphExec::launch(Stream& stream) {
  std::vector<OpRef> after;
  const bool free_before = (flags_ & CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH) != 0;
  if (!memory_.empty()) {
    const CUresult result = GraphMemory::instance().prepare(memory_, free_before, &after);
    if (result != CUDA_SUCCESS) return result;
  }
  if (last_launch_) after.push_back(last_launch_);
  const OpGroup group = expand(plan_, *plan_, stream.context_ref());
  std::unordered_set<Context*> contexts;
  collect_contexts(*plan_, &contexts);
  contexts.erase(&stream.context());
  std::vector<OrderGroup*> also;
  for (Context* context : contexts) also.push_back(&context->order());
  stream.context().flush_output();
  OpGraph::instance().submit(stream.queue(), group, after, also);
  last_launch_ = group.last;
  if (!memory_.empty()) GraphMemory::instance().launched(memory_, group.last);
  return CUDA_SUCCESS;
}

}  // namespace tessera::softgpu
