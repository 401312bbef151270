#include "softgpu/ptx/names.h"

#include <algorithm>
#include <iterator>

namespace tessera::softgpu::ptx {
namespace {

struct TypeName {
  std::string_view directive;
  Type type;
  uint32_t bytes;
};
constexpr TypeName kTypes[] = {
    {".pred", Type::kPred, 0},     {".b8", Type::kB8, 1},           {".b16", Type::kB16, 2},
    {".b32", Type::kB32, 4},       {".b64", Type::kB64, 8},         {".b128", Type::kB128, 16},
    {".u8", Type::kU8, 1},         {".u16", Type::kU16, 2},         {".u32", Type::kU32, 4},
    {".u64", Type::kU64, 8},       {".s8", Type::kS8, 1},           {".s16", Type::kS16, 2},
    {".s32", Type::kS32, 4},       {".s64", Type::kS64, 8},         {".f16", Type::kF16, 2},
    {".f16x2", Type::kF16x2, 4},   {".bf16", Type::kBF16, 2},       {".bf16x2", Type::kBF16x2, 4},
    {".tf32", Type::kTF32, 4},     {".f32", Type::kF32, 4},         {".f64", Type::kF64, 8},
    {".texref", Type::kTexref, 0}, {".surfref", Type::kSurfref, 0},
};

struct SpaceName {
  std::string_view directive;
  Space space;
};
constexpr SpaceName kSpaces[] = {
    {".reg", Space::kReg},       {".sreg", Space::kSreg},   {".const", Space::kConst},
    {".global", Space::kGlobal}, {".local", Space::kLocal}, {".param", Space::kParam},
    {".shared", Space::kShared},
};

// PTX ISA 9.0, "Special Registers".
constexpr std::string_view kVectorRegisters[] = {
    "%tid", "%ntid", "%ctaid", "%nctaid", "%clusterid", "%nclusterid", "%cluster_ctaid", "%cluster_nctaid",
};
constexpr std::string_view kScalarRegisters[] = {
    "%laneid",
    "%warpid",
    "%nwarpid",
    "%smid",
    "%nsmid",
    "%gridid",
    "%is_explicit_cluster",
    "%cluster_ctarank",
    "%cluster_nctarank",
    "%lanemask_eq",
    "%lanemask_le",
    "%lanemask_lt",
    "%lanemask_ge",
    "%lanemask_gt",
    "%clock",
    "%clock_hi",
    "%clock64",
    "%globaltimer",
    "%globaltimer_lo",
    "%globaltimer_hi",
    "%reserved_smem_offset_begin",
    "%reserved_smem_offset_end",
    "%reserved_smem_offset_cap",
    "%total_smem_size",
    "%aggr_smem_size",
    "%dynamic_smem_size",
    "%current_graph_exec",
};
// Families that end in a number below `count`, and perhaps in `suffix`.
struct Family {
  std::string_view prefix, suffix;
  uint32_t count;
};
constexpr Family kFamilies[] = {
    {"%envreg", "", 32},
    {"%pm", "", 8},
    {"%pm", "_64", 8},
    {"%reserved_smem_offset_", "", 2},
};

bool in_family(std::string_view name, const Family& family) {
  if (!name.starts_with(family.prefix) || !name.ends_with(family.suffix)) return false;
  if (name.size() <= family.prefix.size() + family.suffix.size()) return false;
  const std::string_view digits =
      name.substr(family.prefix.size(), name.size() - family.prefix.size() - family.suffix.size());
  if (digits.size() > 2 || (digits.size() == 2 && digits[0] == '0')) return false;
  uint32_t number = 0;
  for (const char c : digits) {
    if (c < '0' || c > '9') return false;
    number = number * 10 + static_cast<uint32_t>(c - '0');
  }
  return number < family.count;
}

}  // namespace

uint32_t size_of(Type type) {
  const auto* found =
      std::find_if(std::begin(kTypes), std::end(kTypes), [&](const TypeName& t) { return t.type == type; });
  return found == std::end(kTypes) ? 0 : found->bytes;
}

Type type_of_directive(std::string_view directive) {
  for (const TypeName& candidate : kTypes)
    if (candidate.directive == directive) return candidate.type;
  return Type::kNone;
}

Space space_of_directive(std::string_view directive) {
  for (const SpaceName& candidate : kSpaces)
    if (candidate.directive == directive) return candidate.space;
  return Space::kGeneric;
}

bool is_special_register(std::string_view name, bool* vector) {
  *vector =
      std::find(std::begin(kVectorRegisters), std::end(kVectorRegisters), name) != std::end(kVectorRegisters);
  return *vector ||
         std::find(std::begin(kScalarRegisters), std::end(kScalarRegisters), name) !=
             std::end(kScalarRegisters) ||
         std::any_of(std::begin(kFamilies), std::end(kFamilies),
                     [&](const Family& f) { return in_family(name, f); });
}

int component_of_directive(std::string_view directive) {
  if (directive.size() != 2) return -1;
  switch (directive[1]) {
    case 'x':
    case 'r':
      return 0;
    case 'y':
    case 'g':
      return 1;
    case 'z':
    case 'b':
      return 2;
    case 'w':
    case 'a':
      return 3;
    default:
      return -1;
  }
}

}  // namespace tessera::softgpu::ptx
