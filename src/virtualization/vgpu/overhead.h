// Device memory that the driver takes beside what a program allocates: contexts, code and its variables, the
// device heap. Nobody says beforehand how much it will be; what the driver has taken before and after a call
// says it. Where the driver does not tell that, the device's free memory has to do, in which the calls of
// other threads and processes of the same moment show too.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <vector>

#include "virtualization/vgpu/charge_registry.h"

namespace tessera::vgpu {

struct Tenant;

// Which module or library holds what was measured, so that its end gives it back. What the slice had no room
// for and the driver cannot give back is kept as a debt. Thread-safe.
class OverheadLedger {
 public:
  // `owner`: the handle of a module or library; 0 for what only the context's end gives back.
  void add(uintptr_t owner, const Charge& charge);
  void add_debt(uintptr_t owner, const Charge& charge);
  bool has_debts() const { return debts_.load(std::memory_order_relaxed) != 0; }
  uint64_t debt_bytes(uint32_t device);
  // Pays the device's debts while `pay(bytes)` is true; false where one is left.
  bool settle(uint32_t device, const std::function<bool(uint64_t)>& pay);
  // What ended and is to be credited; debts end with nothing.
  std::vector<Charge> owner_ended(uintptr_t owner);
  std::vector<Charge> context_ended(CUcontext context);

 private:
  struct Entry {
    uintptr_t owner;
    Charge charge;
    bool debt;
  };
  template <typename Ends>
  std::vector<Charge> take(Ends ends);

  std::mutex mutex_;
  std::vector<Entry> entries_;
  std::atomic<size_t> debts_{0};  // entries
};

// A call during which the driver may take memory: made before it, asked after it.
class Measurement {
 public:
  // On the device of the calling thread's context.
  explicit Measurement(Tenant& tenant);
  // On a device of the slice, and only where the driver says what it took; for calls that make the context.
  Measurement(Tenant& tenant, CUdevice ordinal, uint32_t device);
  Measurement(const Measurement&) = delete;
  Measurement& operator=(const Measurement&) = delete;

  // After the call: charges what was taken to `owner` in `context` (null: the current one). What the driver
  // says to belong to no context is not given back with it.
  // CUDA_ERROR_OUT_OF_MEMORY where the slice has not that much: then it is for the caller to undo the call,
  // or to leave the memory as a debt.
  CUresult charge(uintptr_t owner, CUcontext context = nullptr);
  // The memory cannot be given back: nothing more is granted on this device until there is room for it.
  CUresult charge_or_owe(uintptr_t owner);

 private:
  // In bytes; `beside_contexts` is a part of `all`.
  struct Held {
    uint64_t all = 0;
    uint64_t beside_contexts = 0;
  };
  bool read(Held* held) const;
  Held taken() const;
  template <typename Add>
  void record(const Held& taken, CUcontext context, Add add) const;

  Tenant& tenant_;
  std::unique_lock<std::mutex> alone_;  // two measurements at once would count the same memory
  CUdevice ordinal_ = -1;
  uint32_t device_ = 0;
  bool known_ = false;
  Held held_;  // by the process, or used by all where only that is known
};

// Ends: gives back what a module or library held, what a context held.
void overhead_owner_ended(Tenant& tenant, uintptr_t owner);
void overhead_context_ended(Tenant& tenant, CUcontext context);

}  // namespace tessera::vgpu
