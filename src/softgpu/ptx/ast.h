// PTX as the parser leaves it: names resolved, sizes known, nothing decided about how it will run.
//
// The parser knows the grammar; it does not know what instructions mean. An instruction is its opcode, its
// dot-modifiers in order and its operands; exec/ gives them meaning through its own table. Reference: NVIDIA,
// "Parallel Thread Execution ISA".
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace tessera::softgpu::ptx {

enum class Type : uint8_t {
  kNone,
  kPred,
  kB8,
  kB16,
  kB32,
  kB64,
  kB128,
  kU8,
  kU16,
  kU32,
  kU64,
  kS8,
  kS16,
  kS32,
  kS64,
  kF16,
  kF16x2,
  kBF16,
  kBF16x2,
  kTF32,
  kF32,
  kF64,
  kTexref,  // a texture or a surface that the module names and the driver binds; only of .global variables
  kSurfref,
};
// Bytes of one value; 0 for kNone, kPred and references.
uint32_t size_of(Type type);
inline bool is_reference(Type type) { return type == Type::kTexref || type == Type::kSurfref; }

enum class Space : uint8_t { kGeneric, kReg, kSreg, kConst, kGlobal, kLocal, kParam, kShared };

// A register of a function; the index in Function::registers is its identity.
struct Register {
  std::string name;
  Type type = Type::kNone;
  uint32_t lanes = 1;  // 2 or 4 for .v2/.v4 registers; components are addressed by Operand::component
};

enum class OperandKind : uint8_t {
  kNone,
  kRegister,   // reg (and component: 0..3 for %v.x, -1 for the whole); negated for !%p
  kImmediate,  // bits: integer constants as two's complement; f32/f64 constants as their bit pattern, see
               // `literal`
  kSymbol,     // a variable, function or parameter by name, plus offset: mov.u64 %rd, name+8
  kAddress,    // [reg+offset] (reg >= 0) or [symbol+offset] (symbol set) or [offset]; what follows a comma
               // inside the brackets (coordinates of textures and tensors) is in `elements`
  kVector,     // {a, b, c, d}: see `elements`
  kLabel,      // target = index into Function::body, or its size: the end of the function
  kSpecial,    // special register by name: "%tid.x", "%laneid", "%clock64", "WARP_SZ"
  kSink,       // _
};
enum class Literal : uint8_t { kInteger, kF32Bits, kF64 };  // 0f3F800000 is kF32Bits, 0d… and 1.5 are kF64

struct Operand {
  OperandKind kind = OperandKind::kNone;
  Literal literal = Literal::kInteger;
  bool negated = false;
  int8_t component = -1;
  int32_t reg = -1;
  int32_t target = -1;
  int64_t offset = 0;
  uint64_t bits = 0;
  std::string symbol;
  std::vector<Operand> elements;
};

struct Instruction {
  std::string opcode;  // "ld", "mad", "setp"; "call", "bra", … like any other
  std::vector<std::string>
      modifiers;       // "global", "v2", "f32" – in source order, without dots; "::" kept as written
  int32_t guard = -1;  // register of @%p, or -1
  bool guard_negated = false;       // @!%p
  std::vector<Operand> operands;    // destination first, as written; "p|q" destinations are two operands
  uint8_t paired_destinations = 0;  // 1 where the first two operands were written "p|q"
  // call only: results and arguments are names of .param variables or registers, in the order written.
  std::vector<Operand> call_results;
  std::vector<Operand> call_arguments;
  int32_t prototype = -1;  // index into Function::prototypes for indirect calls, -1 otherwise
  uint32_t line = 0;       // in the PTX text
};

enum class Linkage : uint8_t { kLocal, kVisible, kExtern, kWeak, kCommon };

// A relocation inside Variable::initial: the address of `symbol` + addend is stored at `offset` (little
// endian).
struct Relocation {
  uint64_t offset = 0;
  uint32_t size = 8;
  std::string symbol;
  int64_t addend = 0;
  bool generic = false;  // generic(symbol)
  uint32_t shift = 0;    // mask() operators: byte index taken, 0 normally
};

struct Variable {
  std::string name;
  Space space = Space::kGlobal;
  Type type = Type::kNone;
  uint32_t align = 1;
  uint64_t size = 0;  // bytes; 0 for extern arrays of unknown length (dynamic shared memory)
  Linkage linkage = Linkage::kLocal;
  bool managed = false;          // .attribute(.managed)
  std::vector<uint8_t> initial;  // may end before `size`: the rest is zeros
  std::vector<Relocation> relocations;
};

struct Prototype {  // shape of an indirect call
  std::string name;
  std::vector<Variable> results;
  std::vector<Variable> parameters;
};

struct Function {
  std::string name;
  bool entry = false;
  bool defined = false;  // has a body
  bool noreturn = false;
  Linkage linkage = Linkage::kLocal;
  std::vector<Variable> results;
  std::vector<Variable> parameters;
  std::vector<Register> registers;
  std::vector<Variable> variables;  // .local, .shared and .param variables declared in the body; names made
                                    // unique within the function where nested scopes shadow each other
  std::vector<Instruction> body;
  std::vector<std::vector<int32_t>>
      branch_targets;                 // .branchtargets lists for brx.idx: Operand::target of the list
                                      // operand is the index here, its elements index into body
  std::vector<Prototype> prototypes;  // of .callprototype, and of .calltargets: the shape its functions share
  // Performance directives, 0 where absent.
  uint32_t max_ntid[3] = {0, 0, 0};
  uint32_t required_ntid[3] = {0, 0, 0};
  uint32_t required_cluster[3] = {0, 0, 0};
  uint32_t max_cluster_rank = 0;
  bool explicit_cluster = false;
  uint32_t min_ctas_per_sm = 0;
  uint32_t max_registers = 0;
  uint32_t line = 0;
};

struct Module {
  uint32_t version_major = 0, version_minor = 0;
  std::string target;  // "sm_75"
  uint32_t address_size = 64;
  std::vector<Variable> variables;
  std::vector<Function> functions;
  std::vector<std::pair<std::string, std::string>> aliases;  // .alias name, aliasee
};

}  // namespace tessera::softgpu::ptx
