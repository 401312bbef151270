// Device memory that can leave the device and come back to the same addresses: what a pool sees are granules;
// what is behind one is physical memory of the device, a copy in the host's memory, or nothing.
//
// What is on the device is charged to the process's budget of the device (BudgetKind::kResident), by
// granules. A charge may wait for other processes; no lock is held meanwhile. Copies are charged to the
// host's memory where that is bounded (BudgetKind::kSwap), which waits for nobody.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "cuda/driver_table.h"
#include "memory/driver_memory.h"
#include "memory/swap/swap_store.h"
#include "virtualization/lease/account.h"
#include "virtualization/residency/helpers.h"

namespace tessera::vgpu {

class ResidentMemory : public memory::DeviceMemory {
 public:
  static Result<std::unique_ptr<ResidentMemory>> create(const cuda::DriverTable& driver,
                                                        memory::DriverMemory lower, Account& account,
                                                        uint32_t device);

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
  uint64_t out_bytes() const;
  uint64_t on_device_bytes() const;  // used or free

 private:
  struct Granule {
    Handle physical = 0;   // 0: not on the device
    uint64_t address = 0;  // 0: mapped nowhere
    bool is_out = false;   // its contents are `kept`
    memory::SwapStore::Kept kept = {};
  };
  // Copied at a time: to wait for each would cost more than a copy where processors are busy.
  static constexpr size_t kBatch = 16;
  using Batch = std::vector<Granule*>;

  class Copies;
  class HostBudget : public memory::SwapStore::Budget {
   public:
    HostBudget(Account& account, uint32_t device) : account_(account), device_(device) {}
    Status charge(uint64_t bytes) override;
    void credit(uint64_t bytes) override;

   private:
    Account& account_;
    const uint32_t device_;
  };

  ResidentMemory(const cuda::DriverTable& driver, memory::DriverMemory lower, Account& account,
                 uint32_t device);

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
  // All of them, or none.
  Status move_in(const Batch& batch);
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
  Handle next_ = 1;
  uint64_t out_ = 0, on_device_ = 0;  // granules
  uint64_t last_evicted_ = 0;         // address: the next to go lies above
};

}  // namespace tessera::vgpu
