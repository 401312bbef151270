#include "softgpu/exec/function_decoder.h"

#include <algorithm>
#include <cctype>

#include "softgpu/exec/control.h"
#include "softgpu/exec/handler_table.h"

namespace tessera::softgpu::exec {

bool has_modifier(const ptx::Instruction& in, const char* name) {
  return std::find(in.modifiers.begin(), in.modifiers.end(), name) != in.modifiers.end();
}

const std::string& type_of(const ptx::Instruction& in) {
  static const std::string& none = *new std::string;
  return in.modifiers.empty() ? none : in.modifiers.back();
}

uint32_t type_bits(const std::string& type) {
  if (type.ends_with("x2"))
    return type == "f16x2" || type == "bf16x2" || type == "u16x2" || type == "s16x2" ? 32 : 0;
  if (type == "tf32") return 32;
  const size_t digits = type.starts_with("bf") ? 2 : 1;
  if (type.size() <= digits || (type[0] != 'b' && type[0] != 'u' && type[0] != 's' && type[0] != 'f'))
    return 0;
  const std::string number = type.substr(digits);
  for (const char* bits : {"8", "16", "32", "64", "128"}) {
    if (number == bits) return static_cast<uint32_t>(std::stoul(number));
  }
  return 0;
}

bool is_type(const std::string& name) { return name == "pred" || type_bits(name) != 0; }

std::string full_name(const ptx::Instruction& in) {
  std::string name = in.opcode;
  for (const std::string& modifier : in.modifiers) name += "." + modifier;
  return name;
}

Width width_of_bits(uint32_t bits) { return bits <= 16 ? Width::k16 : bits == 32 ? Width::k32 : Width::k64; }

Width register_width(ptx::Type type) {
  if (type == ptx::Type::kPred) return Width::kPredicate;
  return width_of_bits(ptx::size_of(type) * 8);
}

std::vector<Parameter> parameter_layout(const ptx::Function& function, uint32_t* total) {
  std::vector<Parameter> parameters;
  uint64_t top = 0;
  for (const ptx::Variable& variable : function.parameters) {
    const uint64_t align = std::max<uint64_t>(variable.align, 1);
    top = (top + align - 1) / align * align;
    parameters.push_back({static_cast<uint32_t>(top), static_cast<uint32_t>(variable.size)});
    top += variable.size;
  }
  *total = static_cast<uint32_t>(top);
  return parameters;
}

Status FunctionDecoder::unsupported(const Instruction& in, const char* why) const {
  return Status::error(Code::kUnsupported, "%s: instruction '%s' (PTX line %u) is not supported%s%s",
                       function_.name.c_str(), full_name(in).c_str(), in.line, why == nullptr ? "" : ": ",
                       why == nullptr ? "" : why);
}

Status FunctionDecoder::malformed(const Instruction& in, const char* why) const {
  return Status::error(Code::kInvalidData, "%s: instruction '%s' (PTX line %u): %s", function_.name.c_str(),
                       full_name(in).c_str(), in.line, why);
}

void FunctionDecoder::declare_registers() {
  for (const ptx::Register& reg : function_.registers) {
    registers_.push_back(builder_.new_register(register_width(reg.type)));
    const uint32_t parts = reg.type == ptx::Type::kB128 ? 2 : 1;  // of 64 bits
    for (uint32_t part = 1; part < reg.lanes * parts; ++part) builder_.new_register(register_width(reg.type));
  }
}

// Upper bounds: what looks like a destination counts as one.
void FunctionDecoder::count_definitions() {
  definitions_.assign(function_.registers.size(), 0);
  const auto count = [&](const Operand& operand) {
    if (operand.kind == ptx::OperandKind::kRegister) ++definitions_[static_cast<size_t>(operand.reg)];
  };
  for (const Instruction& in : function_.body) {
    const size_t destinations = std::min<size_t>(in.operands.size(), in.paired_destinations != 0 ? 2 : 1);
    for (size_t i = 0; i < destinations; ++i) {
      count(in.operands[i]);
      for (const Operand& element : in.operands[i].elements) count(element);
    }
    for (const Operand& result : in.call_results) count(result);
  }
}

void FunctionDecoder::declare_names(DecodedFunction& out) {
  uint32_t total = 0;
  if (function_.entry) {
    const std::vector<Parameter> layout = parameter_layout(function_, &total);
    for (size_t i = 0; i < layout.size(); ++i) {
      names_[function_.parameters[i].name] = {Name::Kind::kEntryParameter, kNoValue, layout[i].offset,
                                              layout[i].size};
    }
  } else {
    const auto declare = [&](const std::vector<ptx::Variable>& variables, std::vector<ValueId>* regions) {
      for (const ptx::Variable& variable : variables) {
        const uint32_t bytes = static_cast<uint32_t>(variable.size);
        const ValueId region = builder_.new_region(bytes);
        builder_.pin(region);
        regions->push_back(region);
        names_[variable.name] = {Name::Kind::kRegion, region, 0, bytes};
      }
    };
    declare(function_.parameters, &parameter_regions_);
    declare(function_.results, &result_regions_);
  }
  for (const ptx::Variable& variable : function_.variables) {
    if (variable.space == ptx::Space::kParam) {
      const uint32_t bytes = static_cast<uint32_t>(variable.size);
      names_[variable.name] = {Name::Kind::kRegion, builder_.new_region(bytes), 0, bytes};
    } else if (variable.space == ptx::Space::kLocal) {
      const uint32_t align = std::max(variable.align, 1u);
      local_bytes_ = (local_bytes_ + align - 1) / align * align;
      names_[variable.name] = {Name::Kind::kLocal, kNoValue, local_bytes_,
                               static_cast<uint32_t>(variable.size)};
      local_bytes_ += static_cast<uint32_t>(variable.size);
    } else if (variable.space == ptx::Space::kShared) {
      names_[variable.name] = {Name::Kind::kShared, kNoValue,
                               reachable_.shared.function_variables.at(&variable),
                               static_cast<uint32_t>(variable.size)};
    }
  }
  local_bytes_ = (local_bytes_ + 15) / 16 * 16;
  out.local_bytes = local_bytes_;
}

Status FunctionDecoder::decode(DecodedFunction& out) {
  constexpr uint64_t kMaxVariableBytes = 16u << 20;
  uint64_t total = 0;
  for (const auto* list : {&function_.parameters, &function_.results, &function_.variables}) {
    for (const ptx::Variable& variable : *list) {
      if (variable.size > kMaxVariableBytes)
        return Status::error(Code::kResourceExhausted, "%s: variable '%s' is too large",
                             function_.name.c_str(), variable.name.c_str());
      if (variable.space != ptx::Space::kShared) total += variable.size + variable.align;
    }
  }
  if (total > kMaxVariableBytes)
    return Status::error(Code::kResourceExhausted, "%s: too much local memory", function_.name.c_str());
  out.name = function_.name;
  declare_registers();
  declare_names(out);
  count_definitions();
  for (size_t i = 0; i < function_.body.size(); ++i) {
    builder_.begin_instruction(i);
    TESSERA_RETURN_IF_ERROR(instruction(function_.body[i]));
  }
  builder_.begin_instruction(function_.body.size());
  builder_.set_guard(kNoValue, false);
  builder_.emit(function_.entry ? control::exit : control::ret, "", {}).flow = Flow::kStop;
  tables_.branch_targets = function_.branch_targets;
  TESSERA_RETURN_IF_ERROR(builder_.finish(tables_, out).with_context(function_.name));
  for (const ValueId region : parameter_regions_)
    out.parameters.push_back({builder_.offset_of(region), builder_.value(region).bytes / kWarpSize});
  for (const ValueId region : result_regions_)
    out.results.push_back({builder_.offset_of(region), builder_.value(region).bytes / kWarpSize});
  for (PendingCall& pending : calls_) {
    for (size_t i = 0; i < pending.arguments.size(); ++i)
      pending.site.arguments[i].caller = builder_.offset_of(pending.arguments[i]);
    for (size_t i = 0; i < pending.results.size(); ++i)
      pending.site.results[i].caller = builder_.offset_of(pending.results[i]);
    out.calls.push_back(std::move(pending.site));
  }
  return {};
}

Status FunctionDecoder::instruction(const Instruction& in) {
  builder_.set_line(in.line);
  if (in.guard >= 0) {
    builder_.set_guard(register_value(in.guard, -1), in.guard_negated);
    if (builder_.value(register_value(in.guard, -1)).width != Width::kPredicate)
      return malformed(in, "the guard is no predicate");
  } else {
    builder_.set_guard(kNoValue, false);
  }
  return (this->*family_of(in.opcode))(in);
}

FunctionDecoder::Family FunctionDecoder::family_of(const std::string& opcode) {
  using D = FunctionDecoder;
  static const auto& families = *new std::unordered_map<std::string, Family>{
      {"mov", &D::move},
      {"ld", &D::load},
      {"ldu", &D::load},
      {"st", &D::store},
      {"atom", &D::atomic},
      {"red", &D::atomic},
      {"setp", &D::compare},
      {"set", &D::set},
      {"cvt", &D::convert},
      {"cvta", &D::convert_address},
      {"isspacep", &D::is_space},
      {"membar", &D::fence},
      {"fence", &D::fence},
      {"prefetch", &D::ignored},
      {"prefetchu", &D::ignored},
      {"applypriority", &D::ignored},
      {"discard", &D::ignored},
      {"griddepcontrol", &D::ignored},
      {"pmevent", &D::ignored},
      {"bra", &D::branch},
      {"brx", &D::branch_table},
      {"call", &D::call},
      {"ret", &D::leave},
      {"exit", &D::leave},
      {"alloca", &D::stack},
      {"stacksave", &D::stack},
      {"stackrestore", &D::stack},
      {"trap", &D::trap},
      {"brkpt", &D::trap},
      {"bar", &D::barrier},
      {"barrier", &D::barrier},
      {"nanosleep", &D::nanosleep},
      {"cp", &D::copy_async},
      {"mbarrier", &D::mbarrier},
      {"mapa", &D::map_shared},
      {"createpolicy", &D::create_policy},
      {"tex", &D::texture},
      {"suld", &D::surface},
      {"sust", &D::surface},
      {"setmaxnreg", &D::ignored},
      {"tld4", &D::gather_texels},
      {"txq", &D::query_texture_or_surface},
      {"suq", &D::query_texture_or_surface},
      {"sured", &D::surface_reduction},
      {"shfl", &D::shuffle},
      {"vote", &D::vote},
      {"match", &D::match},
      {"elect", &D::elect},
      {"lop3", &D::lop3},
      {"mma", &D::multiply_matrices},
      {"wmma", &D::warp_matrix},
      {"ldmatrix", &D::tiles},
      {"stmatrix", &D::tiles},
      {"movmatrix", &D::move_matrix},
      {"add", &D::floating},
      {"sub", &D::floating},
      {"mul", &D::floating},
      {"fma", &D::floating},
      {"mad", &D::floating},
      {"div", &D::floating},
      {"rcp", &D::floating},
      {"sqrt", &D::floating},
      {"min", &D::floating},
      {"max", &D::floating},
      {"neg", &D::floating},
      {"abs", &D::floating},
      {"ex2", &D::floating},
      {"tanh", &D::floating},
  };
  const auto found = families.find(opcode);
  if (found != families.end()) return found->second;
  return is_video(opcode) ? &D::video : &D::generic;
}

// Handlers are found by PTX's own name; types whose signedness does not matter are listed as .b16, .b32,
// .b64.
Status FunctionDecoder::generic(const Instruction& in) {
  std::string name = full_name(in);
  if (find_handler(name) != nullptr) return emit_by_name(in, name);
  // Walk back over the types at the end: dp4a.u32.s32 has two, and "slct.u32.s32" is known as slct.b32.s32.
  std::vector<std::string> parts = in.modifiers;
  const auto join = [&] {
    std::string joined = in.opcode;
    for (const std::string& part : parts) joined += "." + part;
    return joined;
  };
  for (size_t i = parts.size(); i-- > 0 && is_type(parts[i]);) {
    const std::string original = parts[i];
    parts[i] = "b" + std::to_string(type_bits(original));
    if (find_handler(join()) != nullptr) return emit_by_name(in, join());
    parts[i] = original;
  }
  return unsupported(in);
}

ProtoOp& FunctionDecoder::emit(const std::string& name, std::initializer_list<ValueId> operands) {
  const Entry* entry = find_handler(name);
  assert(entry != nullptr);
  return builder_.emit(entry->handler, entry->signature, operands);
}

Status FunctionDecoder::emit_by_name(const Instruction& in, const std::string& name, ProtoOp** proto) {
  const Entry* entry = find_handler(name);
  if (entry == nullptr) return unsupported(in);
  std::vector<ValueId> values;
  std::string signature;
  int64_t immediate = 0;
  size_t next = 0;
  for (const char* letter = entry->signature; *letter != '\0'; ++letter) {
    if (*letter == '!') {
      signature += '!';
      continue;
    }
    if (*letter == 'c' || *letter == 'C') {
      values.push_back(carry());
      signature += *letter;
      continue;
    }
    if (next >= in.operands.size()) return malformed(in, "too few operands");
    const Operand& operand = in.operands[next++];
    if (*letter == 'i') {
      if (operand.kind != ptx::OperandKind::kImmediate) return malformed(in, "expected a constant");
      immediate = static_cast<int64_t>(operand.bits);
      continue;
    }
    const bool written = std::isupper(static_cast<unsigned char>(*letter)) != 0;
    auto value = written ? destination(in, operand, *letter) : source(in, operand, *letter);
    if (!value.ok()) return value.status();
    values.push_back(*value);
    signature += *letter;
  }
  if (next != in.operands.size()) return malformed(in, "too many operands");
  ProtoOp& emitted = builder_.emit(entry->handler, signature.c_str(), values);
  emitted.op.imm = immediate;
  if (proto != nullptr) *proto = &emitted;
  return {};
}

}  // namespace tessera::softgpu::exec
