// ld, st, atom, red, cvta, isspacep and fences.
#include <algorithm>
#include <iterator>

#include "softgpu/exec/flags.h"
#include "softgpu/exec/function_decoder.h"
#include "softgpu/exec/handler_table.h"

namespace tessera::softgpu::exec {
namespace {

struct AccessModifiers {
  ptx::Space space = ptx::Space::kGeneric;
  bool strong = false;
  uint32_t elements = 1;
  std::string operation;  // of atom and red
};

struct SpaceName {
  const char* name;
  ptx::Space space;
};
// Constant memory is ordinary device memory here. Shared addresses may lead to any block of the cluster.
constexpr SpaceName kSpaces[] = {
    {"global", ptx::Space::kGlobal},
    {"const", ptx::Space::kGlobal},
    {"shared", ptx::Space::kShared},
    {"shared::cta", ptx::Space::kShared},
    {"shared::cluster", ptx::Space::kShared},
    {"local", ptx::Space::kLocal},
    {"param", ptx::Space::kParam},
    {"param::entry", ptx::Space::kParam},
    {"param::func", ptx::Space::kParam},
};
constexpr const char* kStrong[] = {"volatile", "relaxed", "acquire", "release", "acq_rel", "mmio"};
// Caching and scopes: host memory is coherent, and atomics hold for the whole system.
constexpr const char* kNoEffect[] = {"weak", "ca",  "cg",      "cs",  "lu",  "cv",    "wb",     "wt",
                                     "nc",   "cta", "cluster", "gpu", "sys", "noftz", "unified"};
constexpr const char* kAtomicOperations[] = {"add", "and", "or",  "xor", "exch",
                                             "cas", "min", "max", "inc", "dec"};

template <size_t N>
bool among(const char* const (&names)[N], const std::string& name) {
  return std::any_of(std::begin(names), std::end(names), [&](const char* known) { return name == known; });
}

bool parse(const ptx::Instruction& in, AccessModifiers* access) {
  for (size_t i = 0; i + 1 < in.modifiers.size(); ++i) {
    const std::string& modifier = in.modifiers[i];
    const auto space = std::find_if(std::begin(kSpaces), std::end(kSpaces),
                                    [&](const SpaceName& s) { return modifier == s.name; });
    if (space != std::end(kSpaces)) {
      access->space = space->space;
    } else if (among(kStrong, modifier)) {
      access->strong = true;
    } else if (modifier == "v2" || modifier == "v4" || modifier == "v8") {
      access->elements = static_cast<uint32_t>(modifier[1] - '0');
    } else if (among(kAtomicOperations, modifier)) {
      access->operation = modifier;
    } else if (!among(kNoEffect, modifier) && !modifier.starts_with("L1::") &&
               !modifier.starts_with("L2::")) {
      return false;
    }
  }
  return true;
}

char letter_of(Width width) { return width == Width::k16 ? 'h' : width == Width::k32 ? 'w' : 'q'; }
const char* bits_of(Width width) { return width == Width::k16 ? "16" : width == Width::k32 ? "32" : "64"; }

// "s16.32": the type in memory, signed only where it is extended, and the register's width.
std::string access_name(const std::string& type, Width width) {
  const uint32_t bits = type_bits(type);
  const bool extends = type[0] == 's' && (bits == 8 || width != width_of_bits(bits));
  return (extends ? "s" : "u") + std::to_string(bits) + "." + bits_of(width);
}
std::string unsigned_name(const std::string& type, Width width) {
  return "u" + std::to_string(type_bits(type)) + "." + bits_of(width);
}

char source_letter(const std::string& type) {
  return type == "f32" ? 'f' : type == "f64" ? 'd' : letter_of(width_of_bits(type_bits(type)));
}

}  // namespace

const FunctionDecoder::Name* FunctionDecoder::region_of(const Operand& operand) const {
  if (operand.kind != ptx::OperandKind::kAddress || operand.symbol.empty()) return nullptr;
  const auto named = names_.find(operand.symbol);
  const bool parameter = named != names_.end() && (named->second.kind == Name::Kind::kRegion ||
                                                   named->second.kind == Name::Kind::kEntryParameter);
  return parameter ? &named->second : nullptr;
}

Result<FunctionDecoder::Address> FunctionDecoder::address(const Instruction& in, const Operand& operand,
                                                          ptx::Space space) {
  if (operand.kind != ptx::OperandKind::kAddress || !operand.elements.empty())
    return malformed(in, "expected an address");
  Address address;
  if (operand.reg >= 0) {
    address.base = register_value(operand.reg, operand.component);
    address.offset = operand.offset;
    const Width width = builder_.value(address.base).width;
    if (width != Width::k32 && width != Width::k64)
      return malformed(in, "the address register is neither 32 nor 64 bits");
    address.wide = width == Width::k64;
  } else if (!operand.symbol.empty()) {
    TESSERA_ASSIGN_OR_RETURN(address.base, symbol_address(in, operand.symbol, operand.offset, Width::k64));
  } else {
    address.base = builder_.constant(Width::k64, static_cast<uint64_t>(operand.offset));
  }
  switch (space) {
    case ptx::Space::kShared:
      address.kind = address.wide ? kSharedAddress64 : kSharedAddress32;
      return address;
    case ptx::Space::kLocal:
      address.kind = address.wide ? kLocalAddress64 : kLocalAddress32;
      return address;
    case ptx::Space::kParam:
      if (!function_.entry) return unsupported(in, "computed addresses of a function's parameters");
      address.kind = address.wide ? kParamAddress64 : kParamAddress32;
      return address;
    default:
      break;
  }
  if (!address.wide) return malformed(in, "a 32-bit register as a global or generic address");
  address.kind = space == ptx::Space::kGeneric ? kGenericAddress : kGlobalAddress;
  return address;
}

Result<std::vector<ptx::Operand>> FunctionDecoder::vector_operands(const Instruction& in,
                                                                   const Operand& operand) const {
  AccessModifiers access;
  if (!parse(in, &access)) return unsupported(in);
  std::vector<Operand> elements;
  if (operand.kind == ptx::OperandKind::kVector) {
    elements = operand.elements;
  } else if (access.elements > 1 && operand.kind == ptx::OperandKind::kRegister && operand.component < 0 &&
             function_.registers[static_cast<size_t>(operand.reg)].lanes == access.elements) {
    for (uint32_t k = 0; k < access.elements; ++k) {
      elements.push_back(operand);
      elements.back().component = static_cast<int8_t>(k);
    }
  } else {
    elements = {operand};
  }
  if (elements.size() != access.elements) return malformed(in, "the vector has another number of elements");
  return elements;
}

Status FunctionDecoder::load(const Instruction& in) {
  AccessModifiers access;
  const std::string& type = type_of(in);
  const uint32_t bits = type_bits(type);
  if (!parse(in, &access) || !access.operation.empty() || bits == 0) return unsupported(in);
  if (bits > 64 && (access.strong || access.elements != 1 || in.operands.size() < 2)) return unsupported(in);
  if (bits > 64) {
    TESSERA_ASSIGN_OR_RETURN(const Instruction pair, in_halves(in, 0));
    return load(pair);
  }
  if (in.operands.size() < 2 || in.operands.size() > 3) return malformed(in, "wrong number of operands");
  if (const Name* name = region_of(in.operands[1]); name != nullptr && access.space == ptx::Space::kParam) {
    return name->kind == Name::Kind::kRegion ? load_region(in, *name, type)
                                             : load_entry_parameter(in, *name, type);
  }
  TESSERA_ASSIGN_OR_RETURN(const std::vector<Operand> elements, vector_operands(in, in.operands[0]));
  std::vector<ValueId> values;
  Width width = width_of_bits(bits);
  for (const Operand& element : elements) {  // all registers of a vector have one width
    if (element.kind == ptx::OperandKind::kRegister)
      width = builder_.value(registers_[static_cast<size_t>(element.reg)]).width;
  }
  if (width == Width::kPredicate || width < width_of_bits(bits))
    return malformed(in, "a destination register of the wrong size");
  std::string signature;
  for (const Operand& element : elements) {
    TESSERA_ASSIGN_OR_RETURN(const ValueId d, destination(in, element, letter_of(width)));
    values.push_back(d);
    signature += static_cast<char>(letter_of(width) - 'a' + 'A');
  }
  TESSERA_ASSIGN_OR_RETURN(const Address from, address(in, in.operands[1], access.space));
  values.push_back(from.base);
  signature += from.wide ? 'q' : 'w';
  const Entry* entry = find_handler(std::string("ld.") + (access.strong ? "strong." : "") +
                                    access_name(type, width) + "." + std::to_string(access.elements));
  if (entry == nullptr) return unsupported(in);
  ProtoOp& proto = builder_.emit(entry->handler, signature.c_str(), values);
  proto.op.imm = from.offset;
  proto.op.aux = from.kind;
  return {};
}

Status FunctionDecoder::store(const Instruction& in) {
  if (has_modifier(in, "async")) return store_async(in);
  AccessModifiers access;
  const std::string& type = type_of(in);
  const uint32_t bits = type_bits(type);
  if (!parse(in, &access) || !access.operation.empty() || bits == 0) return unsupported(in);
  if (bits > 64 && (access.strong || access.elements != 1 || in.operands.size() < 2)) return unsupported(in);
  if (bits > 64) {
    TESSERA_ASSIGN_OR_RETURN(const Instruction pair, in_halves(in, 1));
    return store(pair);
  }
  if (in.operands.size() < 2 || in.operands.size() > 3) return malformed(in, "wrong number of operands");
  if (const Name* name = region_of(in.operands[0]); name != nullptr && access.space == ptx::Space::kParam) {
    return name->kind == Name::Kind::kRegion ? store_region(in, *name, type)
                                             : malformed(in, "a kernel's parameters are read-only");
  }
  if (access.space == ptx::Space::kParam) return unsupported(in, "computed addresses of parameters");
  TESSERA_ASSIGN_OR_RETURN(const std::vector<Operand> elements, vector_operands(in, in.operands[1]));
  TESSERA_ASSIGN_OR_RETURN(const Address to, address(in, in.operands[0], access.space));
  // Registers wider than the type are stored from as they are; a vector that mixes widths is brought to the
  // type's own.
  const Width natural = width_of_bits(bits);
  Width width = natural;
  for (size_t i = 0; i < elements.size(); ++i) {
    const bool reg = elements[i].kind == ptx::OperandKind::kRegister;
    const Width own = reg ? builder_.value(registers_[static_cast<size_t>(elements[i].reg)]).width : natural;
    width = i == 0 || own == width ? own : natural;
  }
  std::vector<ValueId> values = {to.base};
  std::string signature = to.wide ? "q" : "w";
  for (const Operand& element : elements) {
    TESSERA_ASSIGN_OR_RETURN(const ValueId value,
                             source(in, element, width == natural ? source_letter(type) : letter_of(width)));
    values.push_back(value);
    signature += letter_of(width);
  }
  const Entry* entry = find_handler(std::string("st.") + (access.strong ? "strong." : "") +
                                    unsigned_name(type, width) + "." + std::to_string(access.elements));
  if (entry == nullptr) return unsupported(in);
  ProtoOp& proto = builder_.emit(entry->handler, signature.c_str(), values);
  proto.op.imm = to.offset;
  proto.op.aux = to.kind;
  return {};
}

Status FunctionDecoder::load_region(const Instruction& in, const Name& name, const std::string& type) {
  TESSERA_ASSIGN_OR_RETURN(const std::vector<Operand> elements, vector_operands(in, in.operands[0]));
  const uint32_t bytes = type_bits(type) / 8;
  const int64_t offset = in.operands[1].offset;
  if (offset < 0 || static_cast<uint64_t>(offset) + bytes * elements.size() > name.bytes)
    return malformed(in, "outside of the parameter");
  if (offset % bytes != 0) return malformed(in, "misaligned");
  for (size_t k = 0; k < elements.size(); ++k) {
    if (elements[k].kind == ptx::OperandKind::kSink) continue;
    if (elements[k].kind != ptx::OperandKind::kRegister)
      return malformed(in, "the destination is no register");
    const Width width = builder_.value(registers_[static_cast<size_t>(elements[k].reg)]).width;
    TESSERA_ASSIGN_OR_RETURN(const ValueId d, destination(in, elements[k], letter_of(width)));
    const Entry* entry = find_handler("param.ld." + access_name(type, width));
    if (entry == nullptr) return unsupported(in);
    const char signature[] = {static_cast<char>(letter_of(width) - 'a' + 'A'), 'm', '\0'};
    builder_.emit(entry->handler, signature, {d, name.region}).op.imm =
        offset + static_cast<int64_t>(k * bytes);
  }
  return {};
}

Status FunctionDecoder::store_region(const Instruction& in, const Name& name, const std::string& type) {
  TESSERA_ASSIGN_OR_RETURN(const std::vector<Operand> elements, vector_operands(in, in.operands[1]));
  const uint32_t bytes = type_bits(type) / 8;
  const int64_t offset = in.operands[0].offset;
  if (offset < 0 || static_cast<uint64_t>(offset) + bytes * elements.size() > name.bytes)
    return malformed(in, "outside of the parameter");
  if (offset % bytes != 0) return malformed(in, "misaligned");
  for (size_t k = 0; k < elements.size(); ++k) {
    const Width natural = width_of_bits(bytes * 8);
    const bool reg = elements[k].kind == ptx::OperandKind::kRegister;
    const Width width =
        reg ? builder_.value(registers_[static_cast<size_t>(elements[k].reg)]).width : natural;
    if (width == Width::kPredicate) return malformed(in, "a predicate cannot be stored");
    TESSERA_ASSIGN_OR_RETURN(
        const ValueId value,
        source(in, elements[k], width == natural ? source_letter(type) : letter_of(width)));
    const Entry* entry = find_handler("param.st." + unsigned_name(type, width));
    if (entry == nullptr) return unsupported(in);
    const char signature[] = {'M', letter_of(width), '\0'};
    builder_.emit(entry->handler, signature, {name.region, value}).op.imm =
        offset + static_cast<int64_t>(k * bytes);
  }
  return {};
}

// The kernel's parameters do not change: a load of one is a value that is set up with the frame.
Status FunctionDecoder::load_entry_parameter(const Instruction& in, const Name& name,
                                             const std::string& type) {
  TESSERA_ASSIGN_OR_RETURN(const std::vector<Operand> elements, vector_operands(in, in.operands[0]));
  const uint32_t bytes = type_bits(type) / 8;
  const int64_t offset = in.operands[1].offset;
  if (offset < 0 || static_cast<uint64_t>(offset) + bytes * elements.size() > name.bytes)
    return malformed(in, "outside of the parameter");
  for (size_t k = 0; k < elements.size(); ++k) {
    if (elements[k].kind == ptx::OperandKind::kSink) continue;
    if (elements[k].kind != ptx::OperandKind::kRegister)
      return malformed(in, "the destination is no register");
    const Width width = builder_.value(registers_[static_cast<size_t>(elements[k].reg)]).width;
    if (width == Width::kPredicate || width < width_of_bits(bytes * 8))
      return malformed(in, "a destination register of the wrong size");
    Environment environment;
    environment.special = Special::kParameter;
    environment.width = static_cast<uint8_t>(slot_bytes(width) / kWarpSize);
    environment.size = static_cast<uint8_t>(bytes);
    environment.sign_extend = type[0] == 's';
    environment.parameter_offset =
        name.offset + static_cast<uint32_t>(offset) + static_cast<uint32_t>(k) * bytes;
    const ValueId value = builder_.environment(environment);
    if (alias(in, elements[k], value)) continue;
    TESSERA_ASSIGN_OR_RETURN(const ValueId d, destination(in, elements[k], letter_of(width)));
    emit(std::string("mov.b") + bits_of(width), {d, value});
  }
  return {};
}

Status FunctionDecoder::atomic(const Instruction& in) {
  if (has_modifier(in, "async")) return store_async(in);
  AccessModifiers access;
  if (!parse(in, &access)) return unsupported(in);
  if (access.elements == 1) return atomic_element(in, in.operands, 0);
  // A vector is as many operations: only each element is atomic.
  for (uint32_t k = 0; k < access.elements; ++k) {
    std::vector<Operand> operands = in.operands;
    for (Operand& operand : operands) {
      if (operand.kind != ptx::OperandKind::kVector) continue;
      if (operand.elements.size() != access.elements)
        return malformed(in, "the vector has another number of elements");
      const Operand element = operand.elements[k];
      operand = element;
    }
    TESSERA_RETURN_IF_ERROR(atomic_element(in, operands, k));
  }
  return {};
}

// Element `index` at its place behind the address.
Status FunctionDecoder::atomic_element(const Instruction& in, const std::vector<Operand>& operands,
                                       uint32_t index) {
  AccessModifiers access;
  const std::string& type = type_of(in);
  const uint32_t bits = type_bits(type);
  if (!parse(in, &access) || access.operation.empty() || bits < 16 || bits > 64) return unsupported(in);
  if (access.space != ptx::Space::kGeneric && access.space != ptx::Space::kGlobal &&
      access.space != ptx::Space::kShared)
    return unsupported(in);
  const bool is_atom = in.opcode == "atom";
  const size_t sources = access.operation == "cas" ? 2 : 1;
  const size_t first = is_atom ? 1 : 0;
  if (operands.size() < first + 1 + sources || operands.size() > first + 2 + sources)
    return malformed(in, "wrong number of operands");
  const Entry* entry = find_handler("atom." + access.operation + "." + type);
  const bool is_float = type.find('f') != std::string::npos;
  if (entry == nullptr && !is_float)
    entry = find_handler("atom." + access.operation + ".b" + std::to_string(bits));
  if (entry == nullptr) return unsupported(in);
  const Width width = width_of_bits(bits);
  const bool result = is_atom && operands[0].kind != ptx::OperandKind::kSink;
  std::vector<ValueId> values;
  std::string signature;
  if (result) {
    TESSERA_ASSIGN_OR_RETURN(const ValueId d, destination(in, operands[0], letter_of(width)));
    values.push_back(d);
    signature += static_cast<char>(letter_of(width) - 'a' + 'A');
  }
  TESSERA_ASSIGN_OR_RETURN(const Address at, address(in, operands[first], access.space));
  values.push_back(at.base);
  signature += at.wide ? 'q' : 'w';
  for (size_t i = 0; i < sources; ++i) {
    TESSERA_ASSIGN_OR_RETURN(const ValueId value, source(in, operands[first + 1 + i], source_letter(type)));
    values.push_back(value);
    signature += letter_of(width);
  }
  ProtoOp& proto = builder_.emit(entry->handler, signature.c_str(), values);
  proto.op.imm = at.offset + static_cast<int64_t>(index * (bits / 8));
  proto.op.aux = at.kind | (result ? 0 : kNoResult);
  return {};
}

Status FunctionDecoder::convert_address(const Instruction& in) {
  const bool to_space = has_modifier(in, "to");
  if (in.operands.size() != 2 || type_of(in) != "u64" || in.modifiers.size() != (to_space ? 3u : 2u))
    return unsupported(in);
  const std::string& space = in.modifiers[to_space ? 1 : 0];
  TESSERA_ASSIGN_OR_RETURN(ValueId value, source(in, in.operands[1], 'q'));
  const bool shared = space.starts_with("shared");
  if (shared || space == "local") {
    const Value& known = builder_.value(value);
    if (known.kind == Value::Kind::kConstant) {
      const uint64_t window = shared ? windows().shared_base : windows().local_base;
      value = builder_.constant(Width::k64, to_space ? known.bits - window : known.bits + window);
      if (alias(in, in.operands[0], value)) return {};
    } else {
      TESSERA_ASSIGN_OR_RETURN(const ValueId d, destination(in, in.operands[0], 'q'));
      emit(std::string("cvta.") + (to_space ? "to." : "") + (shared ? "shared.u64" : "local.u64"),
           {d, value});
      return {};
    }
  } else if (space.starts_with("param")) {
    Environment environment;
    environment.special = Special::kParameterBase;
    environment.width = 8;
    const ValueId base = builder_.environment(environment);
    TESSERA_ASSIGN_OR_RETURN(const ValueId d, destination(in, in.operands[0], 'q'));
    emit(to_space ? "sub.b64" : "add.b64", {d, value, base});
    return {};
  } else if (space != "global" && space != "const") {
    return unsupported(in);
  } else if (alias(in, in.operands[0], value)) {
    return {};
  }
  TESSERA_ASSIGN_OR_RETURN(const ValueId d, destination(in, in.operands[0], 'q'));
  emit("mov.b64", {d, value});
  return {};
}

Status FunctionDecoder::is_space(const Instruction& in) {
  if (in.operands.size() != 2 || in.modifiers.size() != 1) return unsupported(in);
  const std::string& space = in.modifiers[0];
  TESSERA_ASSIGN_OR_RETURN(const ValueId p, destination(in, in.operands[0], 'p'));
  TESSERA_ASSIGN_OR_RETURN(const ValueId value, source(in, in.operands[1], 'q'));
  if (space.starts_with("shared") || space == "local") {
    emit(space == "local"             ? "isspacep.local"
         : space == "shared::cluster" ? "isspacep.cluster"
                                      : "isspacep.shared",
         {p, value});
  } else if (space == "global") {
    const ValueId shared = builder_.new_register(Width::kPredicate);
    const ValueId local = builder_.new_register(Width::kPredicate);
    const ValueId either = builder_.new_register(Width::kPredicate);
    emit("isspacep.cluster", {shared, value});
    emit("isspacep.local", {local, value});
    emit("or.pred", {either, shared, local});
    emit("not.pred", {p, either});
  } else if (space == "const" || space.starts_with("param")) {
    // Addresses of constants and parameters are addresses of ordinary memory, and are reported as global.
    emit("mov.pred", {p, builder_.constant(Width::kPredicate, 0)});
  } else {
    return unsupported(in);
  }
  return {};
}

// Of any kind: copies are done at once and all see one memory, so there are no proxies to order.
Status FunctionDecoder::fence(const Instruction&) {
  emit("fence", {});
  return {};
}

// Advice to caches; the policy is an opaque value.
Status FunctionDecoder::create_policy(const Instruction& in) {
  if (in.operands.empty()) return malformed(in, "expected a destination");
  TESSERA_ASSIGN_OR_RETURN(const ValueId d, destination(in, in.operands[0], 'q'));
  emit("mov.b64", {d, builder_.constant(Width::k64, 0)});
  return {};
}

Status FunctionDecoder::ignored(const Instruction&) {
  emit("nothing", {});
  return {};
}

}  // namespace tessera::softgpu::exec
