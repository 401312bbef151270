// Collects the ops of one function over numbered values, then gives values that are live together distinct
// slots.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <map>
#include <string>
#include <vector>

#include "softgpu/exec/decoded.h"
#include "softgpu/exec/op.h"

namespace tessera::softgpu::exec {

enum class Width : uint8_t { kPredicate, k16, k32, k64 };
uint32_t slot_bytes(Width width);

using ValueId = int32_t;
constexpr ValueId kNoValue = -1;

struct Value {
  enum class Kind : uint8_t { kRegister, kConstant, kEnvironment, kRegion };
  Kind kind = Kind::kRegister;
  Width width = Width::k32;
  uint64_t bits = 0;        // kConstant
  uint32_t bytes = 0;       // of the slot
  Environment environment;  // kEnvironment
  uint32_t offset = 0;      // in the frame, once laid out
};

// How control leaves an op; what liveness needs to know.
enum class Flow : uint8_t { kNext, kJump, kBranch, kStop, kTable };

struct ProtoOp {
  Op op;
  Handler handler = nullptr;
  ValueId operands[kMaxOperands] = {kNoValue, kNoValue, kNoValue, kNoValue, kNoValue, kNoValue};
  uint8_t operand_count = 0;
  uint8_t writes = 0;    // bit i: operand i is written
  uint8_t reads = 0;     // bit i: operand i is read
  bool early = false;    // results may be written before all operands are read
  bool partial = false;  // writes leave part of the value as it was
  ValueId guard = kNoValue;
  bool guard_negated = false;
  Flow flow = Flow::kNext;
  int32_t target = -1;  // index into the PTX body for kJump and kBranch; into branch tables for kTable
};

class FunctionBuilder {
 public:
  ValueId new_register(Width width);
  // A block of `bytes` bytes per lane for call parameters.
  ValueId new_region(uint32_t bytes);
  ValueId constant(Width width, uint64_t bits);
  ValueId environment(const Environment& environment);
  const Value& value(ValueId id) const { return values_[static_cast<size_t>(id)]; }

  // Ops emitted from here on carry this guard and line.
  void set_guard(ValueId guard, bool negated);
  void set_line(uint32_t line) { line_ = line; }

  // The signature says which operands are written (op.h); the entry's own unless given. The reference is good
  // until the next emit.
  ProtoOp& emit(const Entry& entry, std::initializer_list<ValueId> operands) {
    return emit(entry.handler, entry.signature, operands);
  }
  ProtoOp& emit(Handler handler, const char* signature, const std::vector<ValueId>& operands);

  // The next op is the first of PTX instruction `index`.
  void begin_instruction(size_t index);
  // Keeps a value from being shared: it is read or written outside the ops (parameters, results).
  void pin(ValueId id) { pinned_.push_back(id); }

  struct Tables {
    std::vector<std::vector<int32_t>> branch_targets;  // indices into the PTX body
  };
  // Lays out the frame and writes ops, constants and environment into `out`. Call-site offsets are values
  // until then: resolve them with offset_of afterwards.
  Status finish(const Tables& tables, DecodedFunction& out);
  uint32_t offset_of(ValueId id) const { return value(id).offset; }

 private:
  friend class Liveness;
  size_t op_of_instruction(int32_t index) const;
  Status lay_out(const Tables& tables, DecodedFunction& out);
  void materialise_constants(DecodedFunction& out);
  void write_ops(DecodedFunction& out);

  std::vector<Value> values_;
  std::vector<ProtoOp> ops_;
  std::vector<size_t> first_op_;  // by PTX instruction
  std::map<std::pair<Width, uint64_t>, ValueId> constants_;
  std::vector<ValueId> environments_;
  std::vector<ValueId> pinned_;
  ValueId guard_ = kNoValue;
  bool guard_negated_ = false;
  uint32_t line_ = 0;
};

}  // namespace tessera::softgpu::exec
