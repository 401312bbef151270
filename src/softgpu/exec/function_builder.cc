#include "softgpu/exec/function_builder.h"

#include <algorithm>
#include <cassert>
#include <cctype>
#include <cstring>
#include <queue>

#include "softgpu/exec/control.h"
#include "softgpu/exec/liveness.h"

namespace tessera::softgpu::exec {
namespace {

// Frames of one warp; 1024 threads have 32 of them.
constexpr uint64_t kMaxFrameBytes = 64u << 20;

constexpr uint32_t align_up(uint32_t value, uint32_t alignment) {
  return (value + alignment - 1) / alignment * alignment;
}

Width width_of_letter(char letter) {
  switch (std::tolower(static_cast<unsigned char>(letter))) {
    case 'h':
      return Width::k16;
    case 'q':
    case 'd':
      return Width::k64;
    case 'p':
    case 'c':
      return Width::kPredicate;
    default:
      return Width::k32;
  }
}

}  // namespace

uint32_t slot_bytes(Width width) {
  switch (width) {
    case Width::kPredicate:
      return 4;
    case Width::k16:
      return 2 * kWarpSize;
    case Width::k32:
      return 4 * kWarpSize;
    case Width::k64:
      return 8 * kWarpSize;
  }
  return 0;
}

ValueId FunctionBuilder::new_register(Width width) {
  Value value;
  value.width = width;
  value.bytes = slot_bytes(width);
  values_.push_back(value);
  return static_cast<ValueId>(values_.size() - 1);
}

ValueId FunctionBuilder::new_region(uint32_t bytes) {
  Value value;
  value.kind = Value::Kind::kRegion;
  value.bytes = align_up(std::max(bytes, 1u), 4) * kWarpSize;
  values_.push_back(value);
  return static_cast<ValueId>(values_.size() - 1);
}

ValueId FunctionBuilder::constant(Width width, uint64_t bits) {
  if (width == Width::kPredicate) bits = bits != 0 ? kAllLanes : 0;
  if (width == Width::k16) bits &= 0xffff;
  if (width == Width::k32) bits &= 0xffffffff;
  const auto [found, added] = constants_.try_emplace({width, bits}, static_cast<ValueId>(values_.size()));
  if (!added) return found->second;
  Value value;
  value.kind = Value::Kind::kConstant;
  value.width = width;
  value.bytes = slot_bytes(width);
  value.bits = bits;
  values_.push_back(value);
  return found->second;
}

ValueId FunctionBuilder::environment(const Environment& environment) {
  for (const ValueId id : environments_) {
    const Environment& e = value(id).environment;
    if (e.special == environment.special && e.width == environment.width && e.size == environment.size &&
        e.sign_extend == environment.sign_extend && e.parameter_offset == environment.parameter_offset) {
      return id;
    }
  }
  Value value;
  value.kind = Value::Kind::kEnvironment;
  value.width = environment.width == 2 ? Width::k16 : environment.width == 4 ? Width::k32 : Width::k64;
  value.bytes = slot_bytes(value.width);
  value.environment = environment;
  values_.push_back(value);
  environments_.push_back(static_cast<ValueId>(values_.size() - 1));
  return environments_.back();
}

void FunctionBuilder::set_guard(ValueId guard, bool negated) {
  guard_ = guard;
  guard_negated_ = negated;
}

ProtoOp& FunctionBuilder::emit(Handler handler, const char* signature, const std::vector<ValueId>& operands) {
  ProtoOp& proto = ops_.emplace_back();
  proto.handler = handler;
  proto.guard = guard_;
  proto.guard_negated = guard_negated_;
  proto.op.line = line_;
  if (*signature == '!') {
    proto.early = true;
    ++signature;
  }
  assert(operands.size() <= kMaxOperands);
  for (const ValueId id : operands) {
    const char letter = *signature++;
    assert(letter != '\0');
    const uint8_t bit = static_cast<uint8_t>(1u << proto.operand_count);
    // "m" and "M" are parameter regions, which have no width.
    assert(id == kNoValue || letter == 'm' || letter == 'M' || value(id).width == width_of_letter(letter));
    if (std::isupper(static_cast<unsigned char>(letter)) != 0) {
      proto.writes |= bit;
      if (letter == 'M') proto.partial = true;
    } else {
      proto.reads |= bit;
    }
    proto.operands[proto.operand_count++] = id;
  }
  return proto;
}

void FunctionBuilder::begin_instruction(size_t index) {
  assert(index == first_op_.size());
  first_op_.push_back(ops_.size());
}

size_t FunctionBuilder::op_of_instruction(int32_t index) const {
  return first_op_[static_cast<size_t>(index)];
}

// Linear scan: values in the order of their first mention take a slot of their size that is free, or a new
// one.
Status FunctionBuilder::lay_out(const Tables& tables, DecodedFunction& out) {
  auto result = Liveness(*this, tables.branch_targets).intervals();
  if (!result.ok()) return result.status();
  const std::vector<Interval>& intervals = result.value();
  uint64_t top = 0;
  for (Value& value : values_) {
    if (value.kind != Value::Kind::kConstant && value.kind != Value::Kind::kEnvironment) continue;
    if (value.kind == Value::Kind::kConstant && value.width == Width::kPredicate) continue;
    value.offset = static_cast<uint32_t>(top);
    top += value.bytes;
  }
  for (Value& value : values_) {  // predicates last: their slots are not 64-byte multiples
    if (value.kind != Value::Kind::kConstant || value.width != Width::kPredicate) continue;
    value.offset = static_cast<uint32_t>(top);
    top += value.bytes;
  }
  top = align_up(static_cast<uint32_t>(top), 64);
  std::vector<ValueId> order;
  for (size_t v = 0; v < values_.size(); ++v) {
    const bool allocated =
        values_[v].kind == Value::Kind::kRegister || values_[v].kind == Value::Kind::kRegion;
    if (allocated && intervals[v].end >= intervals[v].begin && intervals[v].end >= 0)
      order.push_back(static_cast<ValueId>(v));
  }
  std::sort(order.begin(), order.end(), [&](ValueId a, ValueId b) {
    return intervals[static_cast<size_t>(a)].begin < intervals[static_cast<size_t>(b)].begin;
  });
  using Expiry = std::pair<int64_t, ValueId>;
  std::priority_queue<Expiry, std::vector<Expiry>, std::greater<>> active;
  std::map<uint32_t, std::vector<uint32_t>> free_slots;  // by size
  uint32_t words_live = 0;
  for (const ValueId id : order) {
    Value& value = values_[static_cast<size_t>(id)];
    const Interval& interval = intervals[static_cast<size_t>(id)];
    while (!active.empty() && active.top().first < interval.begin) {
      const Value& dead = values_[static_cast<size_t>(active.top().second)];
      free_slots[dead.bytes].push_back(dead.offset);
      words_live -= dead.bytes / (4 * kWarpSize);
      active.pop();
    }
    auto& candidates = free_slots[value.bytes];
    if (!candidates.empty()) {
      value.offset = candidates.back();
      candidates.pop_back();
    } else {
      // A cache line of predicates at a time, so that the other slots stay aligned.
      value.offset = static_cast<uint32_t>(top);
      for (uint32_t spare = 64 - 4; value.bytes == 4 && spare > 0; spare -= 4)
        candidates.push_back(static_cast<uint32_t>(top) + spare);
      top += std::max(value.bytes, 64u);
    }
    if (top > kMaxFrameBytes)
      return Status::error(Code::kResourceExhausted,
                           "function needs a register frame of more than %llu bytes",
                           static_cast<unsigned long long>(kMaxFrameBytes));
    words_live += value.bytes / (4 * kWarpSize);
    out.live_registers = std::max(out.live_registers, words_live);
    active.emplace(interval.end, id);
  }
  out.frame_bytes = static_cast<uint32_t>(std::max<uint64_t>(top, 64));
  return {};
}

void FunctionBuilder::materialise_constants(DecodedFunction& out) {
  uint32_t bytes = 0;
  for (const Value& value : values_) {
    if (value.kind == Value::Kind::kConstant) bytes = std::max(bytes, value.offset + value.bytes);
    if (value.kind == Value::Kind::kEnvironment) {
      Environment environment = value.environment;
      environment.slot = value.offset;
      out.environment.push_back(environment);
    }
  }
  out.constants.resize(bytes);
  for (const Value& value : values_) {
    if (value.kind != Value::Kind::kConstant) continue;
    const uint32_t step = value.width == Width::kPredicate ? 4 : value.bytes / kWarpSize;
    for (uint32_t at = 0; at < value.bytes; at += step)
      std::memcpy(&out.constants[value.offset + at], &value.bits, step);
  }
}

void FunctionBuilder::write_ops(DecodedFunction& out) {
  out.ops.reserve(ops_.size());
  for (size_t i = 0; i < ops_.size(); ++i) {
    const ProtoOp& proto = ops_[i];
    Op op = proto.op;
    op.run = proto.handler;
    for (uint32_t k = 0; k < proto.operand_count; ++k) {
      if (proto.operands[k] != kNoValue) op.o[k] = offset_of(proto.operands[k]);
    }
    if (proto.flow == Flow::kJump || proto.flow == Flow::kBranch) {
      op.imm = static_cast<int64_t>(op_of_instruction(proto.target)) - static_cast<int64_t>(i);
    }
    if (proto.guard != kNoValue) {
      op.guard = offset_of(proto.guard);
      if (proto.flow == Flow::kBranch) {  // looks at its guard itself
        op.run = proto.guard_negated ? control::branch_unless : control::branch_if;
      } else {
        op.inner = op.run;
        op.run = proto.guard_negated ? control::run_unless : control::run_if;
      }
    }
    out.ops.push_back(op);
  }
}

Status FunctionBuilder::finish(const Tables& tables, DecodedFunction& out) {
  TESSERA_RETURN_IF_ERROR(lay_out(tables, out));
  materialise_constants(out);
  write_ops(out);
  for (const auto& targets : tables.branch_targets) {
    auto& table = out.branch_tables.emplace_back();
    for (const int32_t target : targets) table.push_back(static_cast<uint32_t>(op_of_instruction(target)));
  }
  return {};
}

}  // namespace tessera::softgpu::exec
