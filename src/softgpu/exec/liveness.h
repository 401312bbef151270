// Which registers are live where, as one interval of op positions each.
#pragma once

#include <cstdint>
#include <vector>

#include "common/status.h"
#include "softgpu/exec/function_builder.h"

namespace tessera::softgpu::exec {

// Positions are 2 * op index for reads and 2 * op index + 1 for writes; an interval is closed. Lanes at
// different places of a function share slots safely, since every write touches only its own lanes.
struct Interval {
  int64_t begin = -1;  // -1: never mentioned
  int64_t end = -1;
};

class Liveness {
 public:
  Liveness(const FunctionBuilder& builder, const std::vector<std::vector<int32_t>>& branch_targets)
      : builder_(builder), branch_targets_(branch_targets) {}
  // kResourceExhausted where a function is too large to analyse.
  Result<std::vector<Interval>> intervals();

 private:
  struct Block {
    size_t first = 0, last = 0;  // ops, inclusive
    std::vector<uint32_t> successors;
  };
  void find_blocks();
  void find_exposed();
  Status solve();
  void mention(ValueId id, int64_t position);
  void mention_region(ValueId id, int64_t position, uint32_t block);
  std::vector<size_t> targets(const ProtoOp& op) const;
  template <class F>
  void for_each_operand(const ProtoOp& op, F visit) const;

  const FunctionBuilder& builder_;
  const std::vector<std::vector<int32_t>>& branch_targets_;
  std::vector<Block> blocks_;
  std::vector<Interval> intervals_;
  std::vector<uint32_t> region_block_;       // 1 + the block that mentions a region first
  std::vector<int32_t> dense_;               // value -> bit in the sets, -1 where it never crosses a block
  std::vector<ValueId> exposed_;             // bit -> value
  std::vector<uint64_t> live_in_, defined_;  // one bit set per block
};

}  // namespace tessera::softgpu::exec
