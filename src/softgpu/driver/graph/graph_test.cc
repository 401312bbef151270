#include "softgpu/driver/graph/graph.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "softgpu/driver/graph/exec.h"
#include "softgpu/driver/graph/work.h"
#include "softgpu/driver/handle_registry.h"

namespace tessera::softgpu {
namespace {

struct Drop {
  void operator()(Graph* graph) const { live<Graph>().remove(graph->handle()); }
};
using Held = std::unique_ptr<Graph, Drop>;
Held make() { return Held(Graph::create().get()); }

GraphNode* add(Graph& graph, std::vector<GraphNode*> after = {}) {
  std::vector<GraphNode::Edge> edges;
  for (GraphNode* node : after) edges.push_back({node, kPlainEdge});
  GraphNode* node = nullptr;
  EXPECT_EQ(graph.add(std::make_shared<EmptyWork>(), edges, &node), CUDA_SUCCESS);
  return node;
}

CUresult connect(Graph& graph, GraphNode* from, GraphNode* to) {
  return graph.connect({&from, 1}, {&to, 1}, {&kPlainEdge, 1});
}
CUresult disconnect(Graph& graph, GraphNode* from, GraphNode* to) {
  return graph.disconnect({&from, 1}, {&to, 1}, {&kPlainEdge, 1});
}

TEST(Graph, KeepsEdgesFromBothEnds) {
  const Held graph = make();
  GraphNode* a = add(*graph);
  GraphNode* b = add(*graph, {a});
  GraphNode* c = add(*graph, {a, b});
  EXPECT_EQ(a->dependents(), (std::vector<GraphNode*>{b, c}));
  EXPECT_EQ(c->dependencies().size(), 2u);
  EXPECT_EQ(disconnect(*graph, a, c), CUDA_SUCCESS);
  EXPECT_EQ(a->dependents(), (std::vector<GraphNode*>{b}));
  EXPECT_EQ(disconnect(*graph, a, c), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(connect(*graph, a, c), CUDA_SUCCESS);
  EXPECT_EQ(connect(*graph, a, c), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(connect(*graph, a, a), CUDA_ERROR_INVALID_VALUE);
}

TEST(Graph, RefusesNodesOfOtherGraphsAndEdgesNamedTwice) {
  const Held graph = make(), other = make();
  GraphNode* here = add(*graph);
  GraphNode* there = add(*other);
  EXPECT_EQ(connect(*graph, here, there), CUDA_ERROR_INVALID_VALUE);
  GraphNode* node = nullptr;
  const std::vector<GraphNode::Edge> twice = {{here, kPlainEdge}, {here, kPlainEdge}};
  EXPECT_EQ(graph->add(std::make_shared<EmptyWork>(), twice, &node), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(graph->nodes().size(), 1u);
  CUgraphEdgeData programmatic{};
  programmatic.type = CU_GRAPH_DEPENDENCY_TYPE_PROGRAMMATIC;  // between kernels alone
  GraphNode* second = add(*graph);
  EXPECT_EQ(graph->connect({&here, 1}, {&second, 1}, {&programmatic, 1}), CUDA_ERROR_INVALID_VALUE);
}

TEST(Graph, RemovedNodesLeaveNoEdges) {
  const Held graph = make();
  GraphNode* a = add(*graph);
  GraphNode* b = add(*graph, {a});
  GraphNode* c = add(*graph, {b});
  const CUgraphNode handle = b->handle();
  graph->remove(*b);
  EXPECT_TRUE(a->dependents().empty());
  EXPECT_TRUE(c->dependencies().empty());
  EXPECT_EQ(live<GraphNode>().find(handle), nullptr);
}

TEST(Graph, FindsCycles) {
  const Held graph = make();
  GraphNode* a = add(*graph);
  GraphNode* b = add(*graph, {a});
  GraphNode* c = add(*graph, {b});
  EXPECT_EQ(connect(*graph, c, a), CUDA_SUCCESS);
  EXPECT_TRUE(graph->in_order().empty());
  std::shared_ptr<Plan> plan;
  CUgraphNode error = nullptr;
  EXPECT_EQ(Plan::create(*graph, &plan, &error), CUDA_ERROR_INVALID_VALUE);
  EXPECT_NE(error, nullptr);
}

TEST(Graph, OrderHonoursEveryEdge) {
  std::mt19937 random(7);
  for (int round = 0; round < 50; ++round) {
    const Held graph = make();
    std::vector<GraphNode*> nodes;
    for (int i = 0; i < 40; ++i) nodes.push_back(add(*graph));
    std::vector<GraphNode*> shuffled = nodes;
    std::shuffle(shuffled.begin(), shuffled.end(), random);
    for (int i = 0; i < 80; ++i) {
      const size_t to = 1 + random() % (shuffled.size() - 1), from = random() % to;
      (void)connect(*graph, shuffled[from], shuffled[to]);  // named twice now and then: refused
    }
    std::shared_ptr<Plan> plan;
    CUgraphNode error = nullptr;
    ASSERT_EQ(Plan::create(*graph, &plan, &error), CUDA_SUCCESS);
    ASSERT_EQ(plan->nodes.size(), nodes.size());
    size_t edges = 0, wanted = 0;
    for (uint32_t i = 0; i < plan->nodes.size(); ++i) {
      for (const uint32_t before : plan->nodes[i].after) EXPECT_LT(before, i);
      edges += plan->nodes[i].after.size();
      wanted += nodes[i]->dependencies().size();
    }
    EXPECT_EQ(edges, wanted);
  }
}

TEST(Graph, ClonesAreApartAndKnowTheirOriginals) {
  const Held graph = make();
  GraphNode* a = add(*graph);
  GraphNode* b = add(*graph, {a});
  const Held inner = make();
  add(*inner);
  GraphNode* child = nullptr;
  const GraphNode::Edge edge{b, kPlainEdge};
  ASSERT_EQ(graph->add(std::make_shared<ChildWork>(inner->clone()), {&edge, 1}, &child), CUDA_SUCCESS);

  const Held copy(graph->clone().get());
  ASSERT_EQ(copy->nodes().size(), 3u);
  EXPECT_EQ(copy->nodes()[1]->original(), b->handle());
  EXPECT_EQ(copy->nodes()[1]->dependencies()[0].from, copy->nodes()[0].get());
  EXPECT_NE(copy->nodes()[2]->work()->inner()[0], child->work()->inner()[0]);
  graph->remove(*b);
  EXPECT_EQ(copy->nodes().size(), 3u);
  EXPECT_TRUE(copy->contains(CU_GRAPH_NODE_TYPE_GRAPH));
  EXPECT_FALSE(copy->contains(CU_GRAPH_NODE_TYPE_KERNEL));
}

}  // namespace
}  // namespace tessera::softgpu
