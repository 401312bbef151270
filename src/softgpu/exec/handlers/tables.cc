#include "softgpu/exec/handlers/tables.h"

namespace tessera::softgpu::exec {
namespace TESSERA_ISA {

// Exported to handler_table.cc, which chooses between instruction sets.
extern const EntryTable* const kFamilies;
extern const size_t kFamilyCount;

namespace {
#define TESSERA_LIST_FAMILY(name) {k##name##Entries, k##name##Count},
const EntryTable kTables[] = {TESSERA_FOR_EACH_FAMILY(TESSERA_LIST_FAMILY)};
}  // namespace

const EntryTable* const kFamilies = kTables;
const size_t kFamilyCount = sizeof(kTables) / sizeof(EntryTable);

}  // namespace TESSERA_ISA
}  // namespace tessera::softgpu::exec
