// What the copies of executable graphs move with each launch, by the way they go. Pure; the caller holds a
// lock.
//
// An executable graph is named by the nodes of the graph that it was made from, whatever it is made like
// later (cuGraphExecUpdate): copies are paired in the order of their nodes then, as the driver pairs them.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include "cuda/abi.h"

namespace tessera::vgpu {

enum class CopyWay : uint8_t { kToDevice, kFromDevice, kOnDevice, kOnHost };
inline constexpr size_t kCopyWays = 4;

struct CopiedBytes {
  CopyWay way = CopyWay::kOnHost;
  uint64_t bytes = 0;
};

struct GraphCopy {
  CUgraphNode node;
  CUgraphNode child;  // the node of the graph itself that it is a part of: a graph within it, or `node`
  CopiedBytes copied;
  bool enabled = true;
};

class GraphCopies {
 public:
  using Totals = std::array<uint64_t, kCopyWays>;

  void instantiated(CUgraphExec exec, std::vector<GraphCopy> copies);
  void destroyed(CUgraphExec exec) { execs_.erase(exec); }
  void set_copy(CUgraphExec exec, CUgraphNode node, CopiedBytes copied);
  void set_enabled(CUgraphExec exec, CUgraphNode node, bool enabled);
  // It is made like another graph; with `child`, only what that node stands for.
  void made_like(CUgraphExec exec, std::optional<CUgraphNode> child, const std::vector<GraphCopy>& copies);
  // Of one launch; all 0 of a graph without copies.
  Totals totals(CUgraphExec exec) const;
  bool empty() const { return execs_.empty(); }

 private:
  struct Exec {
    std::vector<GraphCopy> copies;
    Totals totals{};
  };
  template <typename Change>
  void change(CUgraphExec exec, CUgraphNode node, Change change);
  static void add_up(Exec& exec);

  std::unordered_map<CUgraphExec, Exec> execs_;
};

}  // namespace tessera::vgpu
