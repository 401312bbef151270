// Device memory that can leave the device and come back to the same addresses: what a pool sees are granules;
// what is behind one is physical memory of the device, a copy in a neighbour's memory, in the host's or in a
// file, or nothing.
//
// What is on the device is charged to the process's budget of the device (BudgetKind::kResident), by
// granules. A charge may wait for other processes; no lock is held meanwhile. Copies are charged to the
// host's memory where that is bounded (BudgetKind::kSwap), which waits for nobody. A copy in a neighbour's
// memory is charged to it and to the host's: so there is a place for it when the neighbour's own need theirs.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "cuda/driver_table.h"
#include "memory/driver_memory.h"
#include "memory/swap/swap_store.h"
#include "memory/swap/way_choice.h"
#include "virtualization/lease/account.h"
#include "virtualization/residency/granule_copies.h"
#include "virtualization/residency/helpers.h"
#include "virtualization/residency/neighbour_store.h"

namespace tessera::vgpu {

class ResidentMemory : public memory::DeviceMemory {
 public:
  static Result<std::unique_ptr<ResidentMemory>> create(const cuda::DriverTable& driver,
                                                        memory::DriverMemory lower, Account& account,
                                                        uint32_t device,
                                                        std::unique_ptr<NeighbourStore> neighbours);

  uint64_t granularity() const override { return lower_.granularity(); }
  Result<uint64_t> reserve(uint64_t bytes) override { return lower_.reserve(bytes); }
  Status unreserve(uint64_t address, uint64_t bytes) override { return lower_.unreserve(address, bytes); }
  Result<Handle> create() override;
  Status release(Handle granule) override;
  Status map(uint64_t address, std::span<const Handle> granules) override;
  Status unmap(uint64_t address, uint64_t granules) override;

  // The next two are for one caller at a time, in a context of the device, while no work of the process is on
  // the device. Moves at least `bytes` off it, or what there is; how much. What is moved stays charged: it is
  // the caller's to give back (Account::evicted). Stops at what cannot be copied, and says so in `status`:
  // kResourceExhausted where there is no place for it.
  uint64_t evict(uint64_t bytes, Status& status);
  // Brings everything back that is out, as far as `charged_bytes` go; how much that was.
  Result<uint64_t> restore(uint64_t charged_bytes);
  // Likewise, but whether work is on the device or not: at least `bytes` of what is on a neighbour go to the
  // host; how much has. It stays charged (Account::evicted).
  uint64_t leave_neighbour(uint64_t bytes, Status& status);
  uint64_t out_bytes() const;
  uint64_t on_device_bytes() const;  // used or free

 private:
  struct Granule {
    Handle physical = 0;   // 0: not on the device
    uint64_t address = 0;  // 0: mapped nowhere
    bool is_out = false;   // its contents are `kept`
    memory::SwapStore::Kept kept = {};
    std::optional<uint32_t> slot = {};  // on the neighbour: then nothing is `kept`
  };
  // Copied at a time: to wait for each would cost more than a copy where processors are busy.
  static constexpr size_t kBatch = 16;
  using Batch = std::vector<Granule*>;

  class HostBudget : public memory::SwapStore::Budget {
   public:
    HostBudget(Account& account, uint32_t device) : account_(account), device_(device) {}
    Status charge(uint64_t bytes) override;
    void credit(uint64_t bytes) override;
    // Until end_spending() charges are of `bytes`, which are charged already, and credits go back there; then
    // what is left of them.
    void begin_spending(uint64_t bytes) { spending_ = bytes; }
    uint64_t end_spending() { return std::exchange(spending_, std::nullopt).value_or(0); }

   private:
    Account& account_;
    const uint32_t device_;
    std::optional<uint64_t> spending_;
  };

  ResidentMemory(const cuda::DriverTable& driver, memory::DriverMemory lower, Account& account,
                 uint32_t device, std::unique_ptr<NeighbourStore> neighbours);

  Status make_physical(Granule& granule);
  Status end_physical(Granule& granule);
  // How many of them have no memory.
  uint64_t hollow(std::span<const Handle> granules) const;
  // As far as `charged` granules go; credits what it needs none for.
  Status fill_hollow(std::span<const Handle> granules, uint64_t charged);
  // How many that is.
  size_t empty_unmapped(size_t most, Status& status);
  Batch next_to_go(size_t most) const;
  Batch next_to_come(size_t most) const;
  // How many of them are out then, the first ones.
  size_t move_out(const Batch& batch, Status& status);
  size_t move_to_neighbour(const Batch& batch);
  size_t move_to_host(const Batch& batch, Status& status);
  // Copied, it goes; false: it is where it was.
  bool let_go(Granule& granule, Status& status);
  std::vector<uint32_t> take_slots(size_t most, uint64_t now_ns);
  void give_slot_back(uint32_t slot, NeighbourStore::Credit whose);
  void give_back_kept(const Granule& granule);
  size_t leave_neighbour(const Batch& batch, Status& status);
  GranuleCopies copies_of(std::vector<uint64_t> addresses, GranuleCopies::Way way) const {
    return {driver_, *helpers_, std::move(addresses), granularity(), way};
  }
  static std::vector<uint64_t> addresses_of(const Batch& batch);
  Batch next_to_leave_neighbour(size_t most) const;
  // All of them, or none.
  Status move_in(const Batch& batch);
  Status copy_in(const Batch& batch);
  Status copy_from_neighbour(const Batch& batch);
  Status copy_from_host(const Batch& batch);
  Status put_behind(Granule& granule);
  void take_away(Granule& granule);
  void publish();

  const cuda::DriverTable& driver_;
  memory::DriverMemory lower_;
  Account& account_;
  const uint32_t device_;
  const std::unique_ptr<Helpers> helpers_;

  mutable std::mutex mutex_;  // all below, and the driver's calls about granules
  std::unordered_map<Handle, Granule> granules_;
  std::map<uint64_t, Handle> mapped_;  // by address
  HostBudget budget_;
  std::unique_ptr<memory::SwapStore> store_;
  const std::unique_ptr<NeighbourStore> neighbours_;  // null: there are none
  memory::WayChoice way_;
  Handle next_ = 1;
  uint64_t out_ = 0, on_device_ = 0;  // granules
  uint64_t last_evicted_ = 0;         // address: the next to go lies above
};

}  // namespace tessera::vgpu
