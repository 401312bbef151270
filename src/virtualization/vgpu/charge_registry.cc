#include "virtualization/vgpu/charge_registry.h"

namespace tessera::vgpu {

std::optional<Charge> ChargeRegistry::insert(ChargeKey key, const Charge& charge) {
  Shard& shard = shard_of(key);
  std::lock_guard lock(shard.mutex);
  auto [entry, added] = shard.charges.try_emplace(key, charge);
  if (added) return std::nullopt;
  return std::exchange(entry->second, charge);
}

std::optional<Charge> ChargeRegistry::take(ChargeKey key) {
  Shard& shard = shard_of(key);
  std::lock_guard lock(shard.mutex);
  auto found = shard.charges.find(key);
  if (found == shard.charges.end()) return std::nullopt;
  Charge charge = found->second;
  shard.charges.erase(found);
  return charge;
}

std::vector<std::pair<ChargeKey, Charge>> ChargeRegistry::take_context(CUcontext context) {
  std::vector<std::pair<ChargeKey, Charge>> taken;
  for (Shard& shard : shards_) {
    std::lock_guard lock(shard.mutex);
    for (auto entry = shard.charges.begin(); entry != shard.charges.end();) {
      if (entry->second.context != context) {
        ++entry;
        continue;
      }
      taken.emplace_back(*entry);
      entry = shard.charges.erase(entry);
    }
  }
  return taken;
}

size_t ChargeRegistry::size() const {
  size_t count = 0;
  for (const Shard& shard : shards_) {
    std::lock_guard lock(shard.mutex);
    count += shard.charges.size();
  }
  return count;
}

}  // namespace tessera::vgpu
