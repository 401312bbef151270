// Memory nodes of graphs. Making a graph takes nothing. A launch takes what the driver reserves for it: at
// most what its nodes need, and all of that where nothing is kept. It is kept until cuDeviceGraphMemTrim, or
// until a launch that does not fit has it trimmed. A graph that was told to may be launched while what its
// last launch allocated is in use: that ends with the launch.
#include "walk.h"

namespace walk {
namespace {

class GraphRoad final : public Road {
 public:
  void take(Walk& walk) override {
    const uint64_t what = walk.roll(4);
    if (what == 0 && graphs_.size() < kMaxGraphs) return make(walk);
    if (what == 1) return trim(walk);
    if (!graphs_.empty()) launch(walk, *graphs_[walk.roll(graphs_.size())]);
  }
  bool give(Walk& walk) override {
    if (graphs_.empty()) {
      if (reserved_ == 0) return false;
      trim(walk);
      REQUIRE(reserved_ == 0, "%zu bytes are reserved for no graph", size_t{reserved_});
      return true;
    }
    std::swap(graphs_[walk.roll(graphs_.size())], graphs_.back());
    Graph& graph = *graphs_.back();
    free_left(walk, graph);
    if (walk.roll(2) == 0) graphs_.pop_back();
    return true;
  }

 private:
  static constexpr size_t kMaxGraphs = 4;

  struct Graph {
    CUgraph graph = nullptr;
    CUgraphExec exec = nullptr;
    uint64_t needs = 0;             // of all nodes
    std::vector<CUdeviceptr> left;  // what it does not free itself
    uint64_t left_bytes = 0;
    bool live = false;       // those are allocated
    bool auto_free = false;  // by its next launch
    Graph() = default;
    Graph(const Graph&) = delete;
    Graph& operator=(const Graph&) = delete;
    ~Graph() {
      if (exec != nullptr) CU_CHECK(cuGraphExecDestroy(exec));
      CU_CHECK(cuGraphDestroy(graph));
    }
  };

  static uint64_t reserved_now() {
    cuuint64_t bytes = 0;
    CU_CHECK(cuDeviceGetGraphMemAttribute(0, CU_GRAPH_MEM_ATTR_RESERVED_MEM_CURRENT, &bytes));
    return bytes;
  }

  uint64_t live_bytes() const {
    uint64_t bytes = 0;
    for (const auto& graph : graphs_) bytes += graph->live ? graph->left_bytes : 0;
    return bytes;
  }

  void make(Walk& walk) {
    auto made = std::make_unique<Graph>();
    CU_CHECK(cuGraphCreate(&made->graph, 0));
    for (uint64_t i = 0, nodes = 1 + walk.roll(3); i < nodes; ++i) add_node(walk, *made);
    made->auto_free = walk.roll(2) == 0;
    unsigned long long flags = 0;
    if (made->auto_free) flags = CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH;
    CU_CHECK(cuGraphInstantiateWithFlags(&made->exec, made->graph, flags));
    graphs_.push_back(std::move(made));
    REQUIRE(reserved_now() == reserved_, "a graph that was not launched takes memory");
  }

  static void add_node(Walk& walk, Graph& graph) {
    CUDA_MEM_ALLOC_NODE_PARAMS params{};
    params.poolProps.allocType = CU_MEM_ALLOCATION_TYPE_PINNED;
    params.poolProps.location = {CU_MEM_LOCATION_TYPE_DEVICE, 0};
    params.bytesize = (1 + walk.some_bytes() / 2 / kUnit) * kUnit;
    CUgraphNode node = nullptr, end = nullptr;
    CU_CHECK(cuGraphAddMemAllocNode(&node, graph.graph, nullptr, 0, &params));
    graph.needs += params.bytesize;
    if (walk.roll(2) == 0) {
      CU_CHECK(cuGraphAddMemFreeNode(&end, graph.graph, &node, 1, params.dptr));
    } else {
      graph.left.push_back(params.dptr);
      graph.left_bytes += params.bytesize;
    }
  }

  // A call that changes what is reserved. At no moment does the model hold more than the driver.
  template <typename Call>
  CUresult changing(Walk& walk, Call call) {
    walk.shrinks(reserved_);
    const CUresult result = call();
    reserved_ = reserved_now();
    walk.grew(reserved_);
    REQUIRE(reserved_ >= live_bytes(), "%zu bytes reserved, %zu in use", size_t{reserved_},
            size_t{live_bytes()});
    return result;
  }

  void launch(Walk& walk, Graph& graph) {
    if (!graph.auto_free || walk.roll(2) == 0) free_left(walk, graph);
    const uint64_t before = reserved_;
    CUresult result = CUDA_ERROR_OUT_OF_MEMORY;
    for (int tries = 0; tries < kTries && result == CUDA_ERROR_OUT_OF_MEMORY; ++tries) {
      result = changing(walk, [&] { return cuGraphLaunch(graph.exec, nullptr); });
      if (!walk.in_turn() || !walk.fits(graph.needs)) break;
    }
    if (result == CUDA_ERROR_OUT_OF_MEMORY) return walk.refuse(graph.needs);
    CU_CHECK(result);
    CU_CHECK(cuStreamSynchronize(nullptr));
    ++walk.shared().granted;
    graph.live = !graph.left.empty();
    REQUIRE(reserved_ <= before + graph.needs, "a launch that needs %zu bytes made %zu of %zu",
            size_t{graph.needs}, size_t{reserved_}, size_t{before});
  }

  void free_left(Walk& walk, Graph& graph) const {
    if (!graph.live) return;
    for (const CUdeviceptr address : graph.left) {
      if (walk.roll(2) == 0) {
        CU_CHECK(cuMemFree_v2(address));
      } else {
        CU_CHECK(cuMemFreeAsync(address, nullptr));
      }
    }
    CU_CHECK(cuStreamSynchronize(nullptr));
    graph.live = false;
    REQUIRE(reserved_now() == reserved_, "what graphs hold is given back before it is trimmed");
  }

  void trim(Walk& walk) {
    const uint64_t before = reserved_;
    CU_CHECK(changing(walk, [] { return cuDeviceGraphMemTrim(0); }));
    REQUIRE(reserved_ <= before, "trimming reserved %zu bytes", size_t{reserved_ - before});
  }

  static constexpr int kTries = 20;
  std::vector<std::unique_ptr<Graph>> graphs_;
  uint64_t reserved_ = 0;
};

}  // namespace

void add_graph_road(Roads& roads) { roads.push_back(std::make_unique<GraphRoad>()); }

}  // namespace walk
