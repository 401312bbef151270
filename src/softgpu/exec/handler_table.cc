#include "softgpu/exec/handler_table.h"

#include <cstdlib>
#include <cstring>
#include <string_view>
#include <unordered_map>

namespace tessera::softgpu::exec {

#define TESSERA_DECLARE_ISA(isa)            \
  namespace isa {                           \
  extern const EntryTable* const kFamilies; \
  extern const size_t kFamilyCount;         \
  }
TESSERA_DECLARE_ISA(isa_base)
#ifdef TESSERA_HAVE_ISA_V3
TESSERA_DECLARE_ISA(isa_v3)
TESSERA_DECLARE_ISA(isa_v4)
#endif

namespace {

struct InstructionSet {
  const char* name;
  bool available;
  const EntryTable* families;
  size_t count;
};

InstructionSet choose() {
#ifdef TESSERA_HAVE_ISA_V3
  __builtin_cpu_init();
  const bool has_v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                      __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") &&
                      __builtin_cpu_supports("popcnt");
  const bool has_v4 = has_v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512cd");
  const InstructionSet sets[] = {
      {"v4", has_v4, isa_v4::kFamilies, isa_v4::kFamilyCount},
      {"v3", has_v3, isa_v3::kFamilies, isa_v3::kFamilyCount},
  };
  const char* asked = std::getenv("TESSERA_SOFTGPU_ISA");
  for (const InstructionSet& set : sets) {
    if (set.available && (asked == nullptr || std::strcmp(asked, set.name) == 0)) return set;
  }
#endif
  return {"base", true, isa_base::kFamilies, isa_base::kFamilyCount};
}

struct Table {
  InstructionSet set = choose();
  std::unordered_map<std::string_view, const Entry*> entries;
  Table() {
    for (size_t family = 0; family < set.count; ++family) {
      const EntryTable& table = set.families[family];
      for (size_t i = 0; i < table.count; ++i) entries.emplace(table.entries[i].name, &table.entries[i]);
    }
  }
};

// Never destroyed: kernels may run while the process exits.
const Table& table() {
  static const Table* const instance = new Table;
  return *instance;
}

}  // namespace

const Entry* find_handler(const std::string& name) {
  const auto found = table().entries.find(name);
  return found == table().entries.end() ? nullptr : found->second;
}

const char* instruction_set() { return table().set.name; }

}  // namespace tessera::softgpu::exec
