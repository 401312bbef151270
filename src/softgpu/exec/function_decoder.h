// One PTX function to its decoded form. The families of instructions are in decode_*.cc.
#pragma once

#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/status.h"
#include "softgpu/exec/function_builder.h"
#include "softgpu/exec/reachable.h"

namespace tessera::softgpu::exec {

// Byte offsets of a kernel's parameters in its parameter buffer.
std::vector<Parameter> parameter_layout(const ptx::Function& function, uint32_t* total);

class FunctionDecoder {
 public:
  FunctionDecoder(const ProgramImage& image, const Reachable& reachable, const ptx::Function& function)
      : image_(image), reachable_(reachable), function_(function) {}
  Status decode(DecodedFunction& out);

 private:
  using Instruction = ptx::Instruction;
  using Operand = ptx::Operand;
  using Family = Status (FunctionDecoder::*)(const Instruction&);

  // What a name means inside this function.
  struct Name {
    enum class Kind : uint8_t { kRegion, kEntryParameter, kLocal, kShared };
    Kind kind = Kind::kRegion;
    ValueId region = kNoValue;
    uint32_t offset = 0;
    uint32_t bytes = 0;
  };

  void declare_names(DecodedFunction& out);
  void declare_registers();
  void count_definitions();
  Status instruction(const Instruction& in);
  static Family family_of(const std::string& opcode);
  Status unsupported(const Instruction& in, const char* why = nullptr) const;
  Status malformed(const Instruction& in, const char* why) const;

  // Operands. A letter is one of op.h's signature letters.
  Result<ValueId> source(const Instruction& in, const Operand& operand, char letter);
  Result<ValueId> destination(const Instruction& in, const Operand& operand, char letter);
  Result<ValueId> register_source(const Instruction& in, const Operand& operand, Width width);
  Result<ValueId> special(const Instruction& in, const std::string& name, Width width);
  Result<ValueId> symbol_address(const Instruction& in, const std::string& symbol, int64_t offset,
                                 Width width);
  Result<uint64_t> literal(const Instruction& in, const Operand& operand, char letter) const;
  ValueId register_value(int32_t reg, int component) const;
  ValueId carry();
  bool defined_once(const Operand& operand, const Instruction& in) const;
  bool alias(const Instruction& in, const Operand& to, ValueId value);

  // Emits the handler of that name with operands read by its signature.
  Status emit_by_name(const Instruction& in, const std::string& name, ProtoOp** proto = nullptr);
  ProtoOp& emit(const std::string& name, std::initializer_list<ValueId> operands);

  // Families.
  Status generic(const Instruction& in);
  Status floating(const Instruction& in);
  Status half(const Instruction& in, const std::string& type);
  Status lop3(const Instruction& in);
  Status move(const Instruction& in);
  Status move_wide(const Instruction& in);
  // The two halves of a .b128 operand, lower first: a register, or a vector of two.
  Result<Operand> halves(const Instruction& in, const Operand& operand) const;
  // A load or store of .b128 as one of .v2.b64.
  Result<Instruction> in_halves(const Instruction& in, size_t data) const;
  Status pack(const Instruction& in, const Operand& to, const std::vector<Operand>& parts);
  Status unpack(const Instruction& in, const std::vector<Operand>& parts, const Operand& from);
  Status compare(const Instruction& in);
  Status set(const Instruction& in);
  Status convert(const Instruction& in);
  Status convert_pair(const Instruction& in);
  Status convert_pack(const Instruction& in);
  Status convert_float8(const Instruction& in);
  Status convert_one(const Instruction& in, const std::string& to, const std::string& from, uint32_t flags,
                     ValueId d, ValueId a, Width d_width, Width a_width);
  Status load(const Instruction& in);
  Status store(const Instruction& in);
  Status atomic(const Instruction& in);
  Status atomic_element(const Instruction& in, const std::vector<Operand>& operands, uint32_t index);
  Status convert_address(const Instruction& in);
  Status is_space(const Instruction& in);
  Status fence(const Instruction& in);
  Status ignored(const Instruction& in);
  Status branch(const Instruction& in);
  Status branch_table(const Instruction& in);
  Status call(const Instruction& in);
  Status leave(const Instruction& in);
  Status stack(const Instruction& in);
  Status trap(const Instruction& in);
  Status barrier(const Instruction& in);
  Status nanosleep(const Instruction& in);
  Status shuffle(const Instruction& in);
  Status vote(const Instruction& in);
  Status match(const Instruction& in);
  Status elect(const Instruction& in);
  Status video(const Instruction& in);
  Status copy_async(const Instruction& in);
  Status copy_few(const Instruction& in);
  Status copies_arrive(const Instruction& in);
  Status copy_bulk(const Instruction& in);
  Status reduce_bulk(const Instruction& in);
  Status store_async(const Instruction& in);
  Status mbarrier(const Instruction& in);
  Status mbarrier_arrive(const Instruction& in);
  Status mbarrier_wait(const Instruction& in);
  Status cluster_barrier(const Instruction& in);
  Status map_shared(const Instruction& in);
  Status create_policy(const Instruction& in);
  Status texture(const Instruction& in);
  Status gather_texels(const Instruction& in);
  Status query_texture_or_surface(const Instruction& in);
  Status surface(const Instruction& in);
  Status surface_reduction(const Instruction& in);
  // Flags of texture_ops.h for the name of a geometry; 0 for one that is not known.
  static uint32_t texture_geometry(const std::string& name);
  Result<ValueId> texture_handle(const Instruction& in, const Operand& at);
  // [handle, {coordinates}]: as many words as the geometry in `flags` asks for, then those of `more`.
  struct TexturePlace {
    ValueId handle = kNoValue, coordinates = kNoValue;
  };
  Result<TexturePlace> texture_place(const Instruction& in, const Operand& at, uint32_t flags,
                                     const std::vector<Operand>& more);
  Status texture_options(const Instruction& in, size_t next, uint32_t* flags,
                         std::vector<Operand>* words) const;
  Status fetch(const Instruction& in, const std::string& geometry, const std::string& vector,
               const std::string& type, uint32_t flags, uint32_t component);
  Status multiply_matrices(const Instruction& in);
  Status warp_matrix(const Instruction& in);
  Status warp_fragment(const Instruction& in, bool load);
  Status tiles(const Instruction& in);
  Status move_matrix(const Instruction& in);

  struct Address {
    ValueId base = kNoValue;
    int64_t offset = 0;
    uint32_t kind = 0;  // AddressKind
    bool wide = true;   // 64-bit register
  };
  Result<Address> address(const Instruction& in, const Operand& operand, ptx::Space space);
  Result<ValueId> wide_address(const Instruction& in, const Operand& operand, ptx::Space space);
  static uint32_t wide_kind(ptx::Space space);  // AddressKind of such an address
  struct BulkCopy {
    ValueId to = kNoValue, from = kNoValue, bytes = kNoValue, barrier = kNoValue;
    uint32_t kinds = 0;  // AddressKinds as cp.async has them
    size_t next = 0;     // operand
  };
  Status bulk_operands(const Instruction& in, BulkCopy* copy);
  // Tells the barrier about the copied bytes, in each of `blocks` where that is given.
  void complete_at(const BulkCopy& copy, ValueId blocks);
  // Registers of a matrix fragment as one region, and back.
  Result<ValueId> gather_fragment(const Instruction& in, const Operand& operand, char letter);
  Result<ValueId> new_fragment(const Instruction& in, const Operand& operand, char letter);
  Status scatter_fragment(const Instruction& in, const Operand& operand, char letter, ValueId region);
  void converge();
  // A parameter region named by the operand, if it names one.
  const Name* region_of(const Operand& operand) const;
  Status load_region(const Instruction& in, const Name& name, const std::string& type);
  Status store_region(const Instruction& in, const Name& name, const std::string& type);
  Status load_entry_parameter(const Instruction& in, const Name& name, const std::string& type);
  Result<std::vector<Transfer>> transfers(const Instruction& in, const std::vector<Operand>& operands,
                                          bool results);
  Result<std::vector<Operand>> vector_operands(const Instruction& in, const Operand& operand) const;
  Result<ValueId> lane_members(const Instruction& in, size_t index);
  Result<ValueId> compare_into(const Instruction& in, ValueId p, const std::string& comparison,
                               const std::string& type, bool ftz, size_t first_source, uint32_t part);

  const ProgramImage& image_;
  const Reachable& reachable_;
  const ptx::Function& function_;
  FunctionBuilder builder_;
  FunctionBuilder::Tables tables_;
  std::unordered_map<std::string, Name> names_;
  std::vector<ValueId> registers_;     // first value of each PTX register; components follow
  std::vector<ValueId> aliases_;       // by value: the constant it always equals, or kNoValue
  std::vector<uint32_t> definitions_;  // by PTX register
  std::vector<ValueId> parameter_regions_, result_regions_;
  struct PendingCall {
    CallSite site;
    std::vector<ValueId> arguments, results;
  };
  std::vector<PendingCall> calls_;
  ValueId carry_ = kNoValue;
  uint32_t local_bytes_ = 0;
};

// vadd, vabsdiff4 and the like.
bool is_video(const std::string& opcode);

// Instruction's modifiers, looked at by what they mean.
bool has_modifier(const ptx::Instruction& in, const char* name);
// The last modifier, "s32" of add.sat.s32.
const std::string& type_of(const ptx::Instruction& in);
uint32_t type_bits(const std::string& type);  // 0 for names that are no type; 32 for f16x2
bool is_type(const std::string& name);
std::string full_name(const ptx::Instruction& in);
Width width_of_bits(uint32_t bits);
Width register_width(ptx::Type type);

}  // namespace tessera::softgpu::exec
