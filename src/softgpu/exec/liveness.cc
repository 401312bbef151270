#include "softgpu/exec/liveness.h"

#include <algorithm>

namespace tessera::softgpu::exec {
namespace {

// Sets of values that cross blocks, times blocks, in 64-bit words: 512 MiB.
constexpr uint64_t kMaxSetWords = 64u << 20;

bool is_allocated(const Value& value) {
  return value.kind == Value::Kind::kRegister || value.kind == Value::Kind::kRegion;
}

}  // namespace

template <class F>
void Liveness::for_each_operand(const ProtoOp& op, F visit) const {
  for (uint32_t i = 0; i < op.operand_count; ++i) {
    const ValueId id = op.operands[i];
    if (id == kNoValue || !is_allocated(builder_.value(id))) continue;
    visit(id, (op.reads >> i & 1) != 0, (op.writes >> i & 1) != 0);
  }
  if (op.guard != kNoValue && is_allocated(builder_.value(op.guard))) visit(op.guard, true, false);
}

std::vector<size_t> Liveness::targets(const ProtoOp& op) const {
  std::vector<size_t> result;
  if (op.flow == Flow::kJump || op.flow == Flow::kBranch) {
    result.push_back(builder_.op_of_instruction(op.target));
  } else if (op.flow == Flow::kTable) {
    for (const int32_t index : branch_targets_[static_cast<size_t>(op.target)]) {
      result.push_back(builder_.op_of_instruction(index));
    }
  }
  return result;
}

void Liveness::find_blocks() {
  const auto& ops = builder_.ops_;
  std::vector<bool> leader(ops.size() + 1, false);
  leader[0] = true;
  for (size_t i = 0; i < ops.size(); ++i) {
    if (ops[i].flow == Flow::kNext) continue;
    leader[i + 1] = true;
    for (const size_t target : targets(ops[i])) leader[target] = true;
  }
  std::vector<uint32_t> block_of(ops.size());
  for (size_t i = 0; i < ops.size(); ++i) {
    if (leader[i]) blocks_.push_back({i, i, {}});
    blocks_.back().last = i;
    block_of[i] = static_cast<uint32_t>(blocks_.size() - 1);
  }
  for (size_t b = 0; b < blocks_.size(); ++b) {
    const ProtoOp& last = ops[blocks_[b].last];
    for (const size_t target : targets(last)) blocks_[b].successors.push_back(block_of[target]);
    const bool falls = last.flow == Flow::kNext || last.flow == Flow::kBranch ||
                       (last.flow == Flow::kTable && last.guard != kNoValue);
    if (falls && b + 1 < blocks_.size()) blocks_[b].successors.push_back(static_cast<uint32_t>(b + 1));
  }
}

void Liveness::mention(ValueId id, int64_t position) {
  Interval& interval = intervals_[static_cast<size_t>(id)];
  if (interval.begin == -1 || position < interval.begin) interval.begin = position;
  interval.end = std::max(interval.end, position);
}

// Call parameters are written piece by piece and belong to one call. Where they stay in one block their
// mentions bound their life; otherwise they keep their slot throughout.
void Liveness::mention_region(ValueId id, int64_t position, uint32_t block) {
  uint32_t& home = region_block_[static_cast<size_t>(id)];
  if (home == 0) home = block;
  if (home == block) {
    mention(id, position);
    mention(id, position + 1);
  } else {
    intervals_[static_cast<size_t>(id)] = {-2, static_cast<int64_t>(builder_.ops_.size()) * 2};
  }
}

// Values read in a block before they are wholly written there: only these can cross block borders.
void Liveness::find_exposed() {
  dense_.assign(builder_.values_.size(), -1);
  std::vector<uint32_t> written_in(builder_.values_.size(), 0);
  region_block_.assign(builder_.values_.size(), 0);
  for (size_t b = 0; b < blocks_.size(); ++b) {
    const uint32_t stamp = static_cast<uint32_t>(b + 1);
    for (size_t i = blocks_[b].first; i <= blocks_[b].last; ++i) {
      const ProtoOp& op = builder_.ops_[i];
      const int64_t at = static_cast<int64_t>(i) * 2;
      const bool kills = op.guard == kNoValue && !op.partial;
      for_each_operand(op, [&](ValueId id, bool reads, bool writes) {
        const size_t v = static_cast<size_t>(id);
        if (builder_.value(id).kind == Value::Kind::kRegion) return mention_region(id, at, stamp);
        // A write that keeps other lanes' or bytes' values needs what was there.
        const bool needs = reads || (writes && !kills);
        if (needs && written_in[v] != stamp && dense_[v] < 0) {
          dense_[v] = static_cast<int32_t>(exposed_.size());
          exposed_.push_back(id);
        }
        if (reads) mention(id, at);
        if (writes) mention(id, op.early ? at - 1 : at + 1);
      });
      for_each_operand(op, [&](ValueId id, bool, bool writes) {
        if (writes && kills) written_in[static_cast<size_t>(id)] = stamp;
      });
    }
  }
}

Status Liveness::solve() {
  const size_t words = (exposed_.size() + 63) / 64;
  if (uint64_t{words} * blocks_.size() > kMaxSetWords) {
    return Status::error(Code::kResourceExhausted,
                         "function too large: %zu blocks with %zu values between them", blocks_.size(),
                         exposed_.size());
  }
  live_in_.assign(words * blocks_.size(), 0);
  defined_.assign(words * blocks_.size(), 0);
  for (size_t b = 0; b < blocks_.size(); ++b) {
    uint64_t* in = live_in_.data() + b * words;
    uint64_t* defined = defined_.data() + b * words;
    for (size_t i = blocks_[b].first; i <= blocks_[b].last; ++i) {
      const ProtoOp& op = builder_.ops_[i];
      const bool kills = op.guard == kNoValue && !op.partial;
      for_each_operand(op, [&](ValueId id, bool reads, bool writes) {
        const int32_t bit = dense_[static_cast<size_t>(id)];
        if (bit < 0 || !(reads || (writes && !kills))) return;
        if ((defined[bit / 64] >> (bit % 64) & 1) == 0) in[bit / 64] |= uint64_t{1} << (bit % 64);
      });
      for_each_operand(op, [&](ValueId id, bool, bool writes) {
        const int32_t bit = dense_[static_cast<size_t>(id)];
        if (bit >= 0 && writes && kills) defined[bit / 64] |= uint64_t{1} << (bit % 64);
      });
    }
  }
  for (bool changed = true; changed;) {
    changed = false;
    for (size_t b = blocks_.size(); b-- > 0;) {
      for (const uint32_t successor : blocks_[b].successors) {
        for (size_t k = 0; k < words; ++k) {
          const uint64_t added =
              live_in_[successor * words + k] & ~defined_[b * words + k] & ~live_in_[b * words + k];
          if (added == 0) continue;
          live_in_[b * words + k] |= added;
          changed = true;
        }
      }
    }
  }
  return {};
}

Result<std::vector<Interval>> Liveness::intervals() {
  intervals_.assign(builder_.values_.size(), {});
  if (builder_.ops_.empty()) return std::move(intervals_);
  find_blocks();
  find_exposed();
  TESSERA_RETURN_IF_ERROR(solve());
  const size_t words = (exposed_.size() + 63) / 64;
  const auto extend = [&](size_t set, int64_t position) {
    for (size_t k = 0; k < words; ++k) {
      for (uint64_t bits = live_in_[set * words + k]; bits != 0; bits &= bits - 1) {
        mention(exposed_[k * 64 + static_cast<size_t>(__builtin_ctzll(bits))], position);
      }
    }
  };
  for (size_t b = 0; b < blocks_.size(); ++b) {
    extend(b, static_cast<int64_t>(blocks_[b].first) * 2);
    for (const uint32_t successor : blocks_[b].successors)
      extend(successor, static_cast<int64_t>(blocks_[b].last) * 2 + 1);
  }
  const int64_t end = static_cast<int64_t>(builder_.ops_.size()) * 2;
  for (const ValueId id : builder_.pinned_) intervals_[static_cast<size_t>(id)] = {-2, end};
  return std::move(intervals_);
}

}  // namespace tessera::softgpu::exec
