#include "cuda/api_entry.h"

#include <string_view>
#include <unordered_map>
#include <vector>

#include "cuda/driver_table.h"

namespace tessera::cuda {
namespace {

struct Index {
  std::unordered_map<std::string_view, std::vector<uint32_t>> by_name;
  std::unordered_map<std::string_view, uint32_t> by_symbol;

  Index() {
    for (uint32_t i = 0; i < kDriverEntriesCount; ++i) {
      by_name[kDriverEntries[i].name].push_back(i);
      by_symbol[kDriverEntries[i].symbol] = i;
    }
  }
};

// Never destroyed: applications look functions up until the very end of the process.
const Index& index() {
  static const Index* const built = new Index;
  return *built;
}

}  // namespace

Lookup find_driver_entry(const char* name, int version, StreamForm form) {
  auto found = index().by_name.find(name);
  if (found == index().by_name.end()) return {LookupStatus::kNotFound, 0};
  const ApiEntry* best = nullptr;
  for (uint32_t i : found->second) {
    const ApiEntry& entry = kDriverEntries[i];
    if (entry.per_thread || entry.since > version) continue;
    if (best == nullptr || entry.since > best->since) best = &entry;
  }
  if (best == nullptr) return {LookupStatus::kVersionTooOld, 0};
  auto index_of_best = static_cast<size_t>(best - kDriverEntries);
  // The generator lists a per-thread form right behind its plain form.
  bool has_sibling = index_of_best + 1 < kDriverEntriesCount && best[1].per_thread;
  if (form == StreamForm::kPerThread && has_sibling && best[1].since <= version) ++index_of_best;
  return {LookupStatus::kFound, index_of_best};
}

Lookup find_driver_symbol(const char* symbol) {
  auto found = index().by_symbol.find(symbol);
  if (found == index().by_symbol.end()) return {LookupStatus::kNotFound, 0};
  return {LookupStatus::kFound, found->second};
}

}  // namespace tessera::cuda
