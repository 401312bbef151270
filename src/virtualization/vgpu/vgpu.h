// A tenant's view of the GPU: the driver's functions, some of them replaced. One per process.
//
// Before cuInit nothing happens: no socket, no thread. cuInit attaches to the daemon; if it will not have us,
// cuInit fails. A forked child starts anew: the lease is its parent's, and cuInit takes one of its own.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "cuda/driver_table.h"
#include "virtualization/gate/copy_pace.h"
#include "virtualization/gate/gate.h"
#include "virtualization/lease/account.h"
#include "virtualization/residency/residency.h"
#include "virtualization/vgpu/charge_registry.h"
#include "virtualization/vgpu/graph_copies.h"
#include "virtualization/vgpu/graph_ledger.h"
#include "virtualization/vgpu/loaded_code.h"
#include "virtualization/vgpu/managed_budget.h"
#include "virtualization/vgpu/overhead.h"
#include "virtualization/vgpu/physical_ledger.h"
#include "virtualization/vgpu/slice_access.h"

namespace tessera::vgpu {

// What a process has while it is attached; never destroyed once calls may use it.
struct Tenant {
  std::unique_ptr<Account> account;
  std::vector<uint32_t> device_of_ordinal;  // CUdevice → index in the slice
  std::vector<Neighbour> neighbours;        // the devices behind those, which no call may name
  ChargeRegistry charges;
  std::unique_ptr<Gate> gates[kMaxDevicesPerSlice];      // null where the program does not see the device
  std::unique_ptr<CopyPace> paces[kMaxDevicesPerSlice];  // likewise
  std::unique_ptr<Residency> residencies[kMaxDevicesPerSlice];  // null, too, where all that is promised fits

  std::mutex managed_mutex;  // held across the driver's calls, so that it hears of limits in order
  ManagedBudget managed;

  std::mutex overhead_mutex;  // one measurement at a time
  OverheadLedger overheads;
  LoadedCode code;

  std::mutex physical_mutex;  // held across the driver's calls, see physical_ledger.h
  PhysicalLedger physical;

  // Streams that are being captured, as far as it shows: work of a context must not be waited for meanwhile.
  std::atomic<uint32_t> captures{0};

  std::mutex import_mutex;  // held across the driver's calls: an address may be opened and closed at once

  std::mutex primary_mutex;  // held across retain, release and reset: the driver reuses the handle at once
  std::unordered_map<CUdevice, CUcontext> primary_contexts;

  std::mutex pool_mutex;
  std::unordered_map<CUmemoryPool, CUmemLocation> pools;  // made by the program: where their memory lies

  std::mutex graph_mutex;  // held across the driver's calls, see graph_ledger.h
  GraphLedger graphs;
  std::atomic<bool> graphs_with_memory{false};  // whether there ever were any

  std::mutex graph_copies_mutex;
  GraphCopies graph_copies;
  std::atomic<bool> graphs_with_copies{false};  // likewise
};

class Vgpu {
  struct Target {
    DeviceCounters* devices;
    uint32_t device_count;
    Gate* gates[kMaxDevicesPerSlice] = {};
    CopyPace* paces[kMaxDevicesPerSlice] = {};
    uint32_t residency_count = 0;
    Residency* residencies[kMaxDevicesPerSlice] = {};  // the first residency_count
  };

 public:
  // `exported` has, for every function, the address the program may have: what cuGetProcAddress answers.
  Vgpu(const cuda::DriverTable& lower, const cuda::DriverTable& exported, SliceAccess access);

  CUresult init(unsigned int flags);

  // Null before cuInit, and in a forked child until it calls cuInit.
  Tenant* tenant() const {
    return state_.load(std::memory_order_acquire)->tenant.load(std::memory_order_acquire);
  }
  const cuda::DriverTable& lower() const { return lower_; }
  const cuda::DriverTable& exported() const { return exported_; }

  // The slice's device that the calling thread works on; an error where it has no context.
  CUresult current_device(const Tenant& tenant, uint32_t& device) const;
  CUresult device_of(const Tenant& tenant, CUdevice ordinal, uint32_t& device) const;
  // Whether the driver knows a device of that number that the program is not to know. Of numbers that it does
  // not know it says itself what it says of them.
  bool is_hidden(CUdevice ordinal) const {
    const Tenant* attached = tenant();
    if (attached == nullptr || ordinal < 0) return false;
    const size_t shown = attached->device_of_ordinal.size(), number = static_cast<size_t>(ordinal);
    return number >= shown && number < shown + attached->neighbours.size();
  }

  // Where launches and copies are counted: a page nobody reads while there is no lease.
  DeviceCounters& current_counters() const {
    const Target& target = *target_.load(std::memory_order_acquire);
    return target.devices[current_index(target)];
  }
  // Held around a call that touches memory of devices: all that the process has of it is there meanwhile. Any
  // device's, as kernels reach their peers' memory. Where `refused` says why not, nothing may be called.
  class [[nodiscard]] Touching {
   public:
    explicit Touching(const Vgpu& vgpu) : target_(*vgpu.target_.load(std::memory_order_acquire)) {
      if (target_.residency_count != 0) [[unlikely]]
        refused = enter();
    }
    ~Touching() {
      if (entered_ != 0) [[unlikely]]
        leave();
    }
    Touching(const Touching&) = delete;
    Touching& operator=(const Touching&) = delete;

    CUresult refused = CUDA_SUCCESS;

   private:
    CUresult enter();
    void leave();

    const Target& target_;
    uint32_t entered_ = 0;
  };
  // Around a launch on the calling thread's device, inside a Touching; see Gate::launching.
  struct Launching {
    DeviceCounters& counters;
    Gate* gate;
    EventMeter::Ticket ticket;

    // `of_class`: where launches like it are counted beside. One that only becomes part of a graph is none.
    void done(CUresult result, bool captured,
              std::atomic<uint64_t> DeviceCounters::*of_class = nullptr) const {
      if (result == CUDA_SUCCESS && !captured) {
        counters.launches.fetch_add(1, std::memory_order_relaxed);
        if (of_class != nullptr) (counters.*of_class).fetch_add(1, std::memory_order_relaxed);
      }
      if (gate != nullptr) gate->launched(ticket, result == CUDA_SUCCESS);
    }
  };
  Launching launching(CUstream stream, const void* what) const {
    const Target& target = *target_.load(std::memory_order_acquire);
    const uint32_t index = current_index(target);
    Gate* gate = target.gates[index];
    return {target.devices[index], gate,
            gate != nullptr ? gate->launching(stream, what) : EventMeter::Ticket{}};
  }
  // Before a copy or a set of memory on the calling thread's device; see Gate::copying.
  template <typename IsCapturing>
  void copying(const IsCapturing& is_capturing) const {
    const Target& target = *target_.load(std::memory_order_acquire);
    if (Gate* gate = target.gates[current_index(target)]) gate->copying(is_capturing);
  }
  // Of the calling thread's device, where copies are to keep a pace.
  CopyPace* copy_pace() const {
    const Target& target = *target_.load(std::memory_order_acquire);
    CopyPace* pace = target.paces[current_index(target)];
    return pace != nullptr && pace->is_watched() ? pace : nullptr;
  }
  // Calls `visit` with the meter of each device where launches wait at the gate.
  template <typename Visit>
  void visit_meters(Visit visit) const {
    const Target& target = *target_.load(std::memory_order_acquire);
    for (Gate* gate : target.gates) {
      if (gate != nullptr && gate->events() != nullptr) visit(*gate->events());
    }
  }

  // Where the program ends.
  void tell_last();
  // In a forked child, before any other code of it runs.
  void abandon_in_child();

 private:
  struct State {
    std::mutex initialising;
    std::atomic<Tenant*> tenant{nullptr};
  };

  Status attach(std::unique_ptr<Tenant>& tenant);
  Status map_devices(Tenant& tenant) const;
  // As the daemon writes it; nothing where that is none.
  static std::optional<std::string> neighbour_of(const Tenant& tenant, const std::string& uuid);
  Status start_gates(Tenant& tenant) const;
  Status start_residencies(Tenant& tenant) const;
  void publish_target(Tenant& tenant);
  uint32_t current_index(const Target& target) const {
    return target.device_count == 1 ? 0 : index_of_current();
  }
  uint32_t index_of_current() const;

  const cuda::DriverTable& lower_;
  const cuda::DriverTable& exported_;
  SliceAccess access_;
  CounterPage idle_page_{};
  Target idle_{idle_page_.devices, 1};
  // A child leaves its parent's state behind, locks and all: a thread that does not exist there may hold
  // them.
  std::atomic<State*> state_;
  std::atomic<Target*> target_{&idle_};
};

// Makes `upper` the table the program calls: `lower` with what a tenant must not call directly replaced. Once
// per process; `vgpu` lives as long.
void install(cuda::DriverTable& upper, const cuda::DriverTable& lower, Vgpu& vgpu);

}  // namespace tessera::vgpu
