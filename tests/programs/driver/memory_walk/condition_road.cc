// Handles of conditional nodes: a word each, in blocks that the driver keeps until the process ends. With no
// room for a block there is no handle, needed or not, for none can be given back.
#include "walk.h"

namespace walk {
namespace {

class ConditionRoad final : public Road {
 public:
  void take(Walk& walk) override {
    if (graphs_.empty() || (graphs_.size() < kMaxGraphs && walk.roll(8) == 0)) {
      graphs_.push_back(std::make_unique<Graph>());
    }
    Graph& graph = *graphs_[walk.roll(graphs_.size())];
    for (uint64_t i = 0, count = 1 + walk.roll(kHandlesPerBlock); i < count && graph.handles < kMaxHandles;
         ++i) {
      if (!add_handle(walk, graph)) return;
    }
  }
  bool give(Walk& walk) override {
    if (graphs_.empty()) return false;
    std::swap(graphs_[walk.roll(graphs_.size())], graphs_.back());
    free_handles_ += graphs_.back()->handles;
    graphs_.pop_back();
    return true;
  }

 private:
  static constexpr size_t kMaxGraphs = 4;
  static constexpr uint64_t kHandlesPerBlock = kUnit / sizeof(unsigned), kMaxHandles = 8 * kHandlesPerBlock;
  static constexpr int kTries = 20;

  struct Graph {
    CUgraph graph = nullptr;
    uint64_t handles = 0;
    Graph() { CU_CHECK(cuGraphCreate(&graph, 0)); }
    ~Graph() { CU_CHECK(cuGraphDestroy(graph)); }
    Graph(const Graph&) = delete;
    Graph& operator=(const Graph&) = delete;
  };

  bool add_handle(Walk& walk, Graph& graph) {
    CUgraphConditionalHandle handle = 0;
    CUresult result = CUDA_ERROR_OUT_OF_MEMORY;
    for (int tries = 0; tries < kTries && result == CUDA_ERROR_OUT_OF_MEMORY; ++tries) {
      result = cuGraphConditionalHandleCreate(&handle, graph.graph, nullptr, 0, 0);
      if (!walk.in_turn() || !walk.fits(kUnit)) break;
    }
    if (result == CUDA_ERROR_OUT_OF_MEMORY) {
      walk.refuse(kUnit);
      return false;
    }
    CU_CHECK(result);
    ++graph.handles;
    if (free_handles_ == 0) {
      walk.grew(kUnit);
      walk.keeps(kUnit);
      free_handles_ = kHandlesPerBlock;
      ++walk.shared().granted;
    }
    --free_handles_;
    return true;
  }

  std::vector<std::unique_ptr<Graph>> graphs_;
  uint64_t free_handles_ = 0;  // that the blocks have room for
};

}  // namespace

void add_condition_road(Roads& roads) { roads.push_back(std::make_unique<ConditionRoad>()); }

}  // namespace walk
