// Which live allocation was charged what: the memory that makes every credit happen exactly once.
#pragma once

#include <array>
#include <cstdint>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "cuda/abi.h"

namespace tessera::vgpu {

struct Charge {
  uint64_t bytes = 0;
  uint32_t device = 0;          // index in the slice
  CUcontext context = nullptr;  // freed with it
  uint64_t times = 1;           // that it has to be given back: memory opened by handles
  bool is_movable = false;      // it is of the device's Residency, not the driver's
  bool is_managed = false;      // it is charged with the device's other managed memory, see ManagedBudget
};

// Addresses and handles come from spaces of their own and may be equal.
enum class ChargeKind : uint8_t { kMemory, kArray, kMipmappedArray };
struct ChargeKey {
  ChargeKind kind;
  uint64_t value;

  bool operator==(const ChargeKey&) const = default;
};

// Thread-safe. Who frees takes the charge first and calls the driver then: once the driver has freed an
// address, another thread may be given it.
class ChargeRegistry {
 public:
  // Returns what was recorded under the key before: an allocation that ended without our seeing it.
  std::optional<Charge> insert(ChargeKey key, const Charge& charge);
  std::optional<Charge> take(ChargeKey key);
  std::vector<std::pair<ChargeKey, Charge>> take_context(CUcontext context);
  size_t size() const;

 private:
  struct Hash {
    size_t operator()(ChargeKey key) const {
      // Allocations are aligned; the multiplication brings their upper bits down to where they choose shards.
      return static_cast<size_t>((key.value + static_cast<uint64_t>(key.kind)) * 0x9e3779b97f4a7c15u >> 17);
    }
  };
  struct Shard {
    mutable std::mutex mutex;
    std::unordered_map<ChargeKey, Charge, Hash> charges;
  };
  Shard& shard_of(ChargeKey key) { return shards_[Hash()(key) % shards_.size()]; }

  std::array<Shard, 16> shards_;
};

}  // namespace tessera::vgpu
