// The decoded form of a kernel: compact ops over frames of 32-lane register slots.
//
// A frame holds, in this order: constants (broadcast to all lanes, so that handlers need not know an
// operand's kind), environment values (special registers and kernel parameters), then register slots shared
// by registers that are never live together. 16-, 32- and 64-bit registers are arrays of 32 values; a
// predicate is one 32-bit lane mask. Call parameters are arrays of 32 words per 4 bytes, so that they can be
// written and read in different widths.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "softgpu/exec/executor.h"
#include "softgpu/exec/op.h"

namespace tessera::softgpu::exec {

enum class Special : uint8_t {
  kTidX,
  kTidY,
  kTidZ,
  kNtidX,
  kNtidY,
  kNtidZ,
  kCtaidX,
  kCtaidY,
  kCtaidZ,
  kNctaidX,
  kNctaidY,
  kNctaidZ,
  kClusteridX,
  kClusteridY,
  kClusteridZ,
  kNclusteridX,
  kNclusteridY,
  kNclusteridZ,
  kClusterCtaidX,
  kClusterCtaidY,
  kClusterCtaidZ,
  kClusterNctaidX,
  kClusterNctaidY,
  kClusterNctaidZ,
  kClusterRank,
  kClusterBlocks,
  kExplicitCluster,
  kLaneId,
  kWarpId,
  kNwarpId,
  kNsmid,
  kGridId,
  kLanemaskEq,
  kLanemaskLe,
  kLanemaskLt,
  kLanemaskGe,
  kLanemaskGt,
  kDynamicSmem,
  kTotalSmem,
  kAggregateSmem,
  kReservedBegin,  // of the reserved shared memory, and the halves of it
  kReservedMiddle,
  kReservedEnd,
  kParameterBase,
  kGridWorkspaceHigh,
  kGridWorkspaceLow,
  kZero,
  kOne,
  kParameter,  // bytes of the kernel's parameters
};

struct Environment {
  Special special = Special::kZero;
  uint8_t width = 4;         // bytes per lane in the slot
  uint8_t size = 0;          // kParameter: bytes read
  bool sign_extend = false;  // kParameter
  uint32_t parameter_offset = 0;
  uint32_t slot = 0;  // byte offset in the frame
};

// Where a call finds and leaves its values: `words` rows of 32 words, copied between frames.
struct Transfer {
  uint32_t caller = 0;  // byte offset in the caller's frame
  uint32_t index = 0;   // of the parameter or result in the callee
  uint32_t bytes = 0;
};

struct DeviceBuiltin;

struct CallSite {
  int32_t function = -1;  // index into DecodedKernel::functions, or -1: the target is a register
  const DeviceBuiltin* builtin = nullptr;  // a function of the device's runtime instead
  std::vector<Transfer> arguments, results;
};

struct ParameterSlot {
  uint32_t offset = 0;  // in the frame
  uint32_t bytes = 0;
};

// The system's part of a block's shared memory, which CUDA's own libraries may use: 1 KiB, as on cards since
// compute capability 8.0.
constexpr uint32_t kReservedSharedBytes = 1024;

struct DecodedFunction {
  std::string name;
  std::vector<Op> ops;
  uint32_t frame_bytes = 0;
  std::vector<std::byte> constants;  // the frame's first bytes
  std::vector<Environment> environment;
  std::vector<ParameterSlot> parameters, results;
  std::vector<CallSite> calls;
  std::vector<std::vector<uint32_t>> branch_tables;  // op indices, for brx.idx
  uint32_t local_bytes = 0;
  uint32_t live_registers = 0;  // most 32-bit registers live at once
};

class ProgramImage;

struct DecodedKernel final : Kernel {
  const KernelInfo& info() const override { return kernel_info; }
  Result<std::shared_ptr<const Kernel>> kernel_at(uint64_t pointer) const override;
  KernelInfo kernel_info;
  std::vector<DecodedFunction> functions;  // [0] is the entry
  uint32_t dynamic_shared_offset = 0;
  uint32_t reserved_shared_bytes = 0;  // behind the dynamic shared memory; 0 where nothing names it
  // Function pointers: tokens are token_base + 16 * i for the program's i-th function; -1 where it is not
  // decoded.
  uint64_t token_base = 0;
  std::vector<int32_t> function_of_token;
  std::shared_ptr<const ProgramImage> owner;  // keeps the program's tokens alive
  std::weak_ptr<Program> program;             // that decoded it
};

}  // namespace tessera::softgpu::exec
