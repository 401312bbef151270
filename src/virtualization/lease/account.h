// What this process charges to its slice, from any thread. A charge that the budget covers takes one short
// lock and no system call; one that does not asks the daemon.
//
// Where limits are more than the device has (is_overcommitted), what lies on the device is charged to a
// second budget, of the device itself: there a charge may wait until others have made room, and this process
// is asked to make room for others (set_evictor).
//
// Lock order: Part::asking, then Part::mutex, then the client's. The lease thread takes only Part::mutex.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "virtualization/lease/budget.h"
#include "virtualization/lease/client.h"

namespace tessera::vgpu {

class Account {
 public:
  static Result<std::unique_ptr<Account>> open(const std::string& socket_path, const SliceToken& token);

  uint32_t device_count() const { return client_->slice().device_count; }
  const char* slice_name() const { return client_->slice().slice_name; }
  const char* device_uuid(uint32_t device) const { return client_->slice().devices[device].uuid; }
  const AttachedDevice& attached_device(uint32_t device) const { return client_->slice().devices[device]; }
  uint64_t limit_bytes(uint32_t device) const { return client_->limit_bytes(device); }
  // Charged by all processes of the slice; by this one alone where the daemon cannot be asked.
  uint64_t slice_used_bytes(uint32_t device);
  DeviceCounters& counters(uint32_t device) { return client_->counters(device); }

  // All or nothing, of memory that stays where it is: of the limit, and of the device. kResourceExhausted:
  // the slice, or the device, is full; kUnavailable: the daemon cannot be asked. The message has the figures;
  // the refusal is counted.
  Status charge(uint32_t device, uint64_t bytes);
  void credit(uint32_t device, uint64_t bytes);
  // The same of one budget.
  Status charge(uint32_t device, BudgetKind kind, uint64_t bytes);
  void credit(uint32_t device, BudgetKind kind, uint64_t bytes);
  // What is off the device, `out_bytes` of it, is to come back: waits until `least` can, charges what can, up
  // to `most`, and says how much that is. Once all is back: returned().
  Result<uint64_t> charge_return(uint32_t device, uint64_t least, uint64_t most, uint64_t out_bytes);
  void returned(uint32_t device) { client_->returned(device); }
  // What is at hand goes back now: others may have use for it.
  void give_back_idle(uint32_t device, BudgetKind kind);
  uint64_t own_used_bytes(uint32_t device);                  // charged by this process to its slice
  uint64_t at_hand_bytes(uint32_t device, BudgetKind kind);  // granted, and not charged

  // GPUs of others, of whose memory some may be charged as BudgetKind::kNeighbour: of one at a time for each
  // device, which is said before while nothing is charged.
  std::vector<std::string> neighbours() const;
  void set_neighbour(uint32_t device, const std::string& uuid) { client_->set_neighbour(device, uuid); }
  // How to keep what is off a device.
  const SwapTerms& swap() const { return client_->slice().swap; }
  bool is_overcommitted(uint32_t device) const {
    return client_->slice().devices[device].capacity_bytes != 0;
  }
  // AttachedDevice::numa_node.
  std::optional<uint32_t> numa_node(uint32_t device) const {
    const int32_t node = client_->slice().devices[device].numa_node;
    return node < 0 ? std::nullopt : std::optional(static_cast<uint32_t>(node));
  }
  // Called by the lease thread, and must not block: somebody needs `bytes` of the device beyond what was at
  // hand here. `evicted` is to be called with the same order once as much as can be has left the device.
  // Number 0: what is not in use is enough, and no answer is awaited.
  // Of BudgetKind::kNeighbour: the GPU's own need `bytes` of what this process has there of the device's.
  struct EvictionOrder {
    BudgetKind kind = BudgetKind::kResident;
    uint32_t device = 0;
    uint64_t bytes = 0;
    uint64_t at_hand = 0;  // of the budget, given back already
    uint32_t number = 0;
    uint64_t epoch = 0;
  };
  using Evictor = std::function<void(const EvictionOrder& order)>;
  void set_evictor(uint32_t device, Evictor evictor);
  // `bytes` of what is charged, which are taken back with that; what is at hand is given besides. More calls
  // follow, or it is the last one for the order: less than was asked for in all is what could be done now.
  // `out_bytes`: so much of this process's memory is off the device now.
  enum class Evicted : uint8_t {
    kPart,
    kLast,
    kLastWithoutSwap,  // less than was asked for, as there was no place for more
  };
  void evicted(const EvictionOrder& order, uint64_t bytes, uint64_t out_bytes, Evicted which);

  LeaseClient& client() { return *client_; }

  void abandon_in_child() { client_->abandon_in_child(); }

 private:
  // One budget on one device.
  struct Part {
    explicit Part(uint64_t chunk_bytes) : budget(chunk_bytes) {}

    std::mutex asking;  // one request at a time: those behind it may find what they need in its chunk
    std::mutex mutex;   // all below
    Budget budget;
    uint64_t epoch = 0;  // of the connection that knows of all of `budget`; see LeaseClient
  };
  struct Device {
    explicit Device(uint64_t chunk_bytes)
        : parts{Part(chunk_bytes), Part(chunk_bytes), Part(chunk_bytes), Part(0)} {}

    Part parts[kBudgetKinds];
    std::mutex evictor_mutex;
    Evictor evictor;
  };

  explicit Account(std::unique_ptr<LeaseClient> client);
  Part& part(uint32_t device, BudgetKind kind) { return devices_[device]->parts[static_cast<size_t>(kind)]; }
  Status charge_slowly(uint32_t device, BudgetKind kind, uint64_t bytes);
  Status not_resident(uint32_t device, const std::string& refused, const ReservedReply& reply);
  Status refusal(uint32_t device, BudgetKind kind, uint64_t bytes, const ReservedReply& reply);
  // False where the grant is to be asked for again: the daemon has restarted, and knows nothing of it.
  bool settle(uint32_t device, BudgetKind kind, const Budget::Claim& claim, const LeaseClient::Grant& grant);
  struct Recalled {
    uint64_t bytes;
    uint64_t epoch;
  };
  Recalled recall(uint32_t device, BudgetKind kind, uint64_t bytes);
  uint64_t granted_bytes(uint32_t device, BudgetKind kind);
  std::optional<uint64_t> serve_recall(uint32_t device, BudgetKind kind, uint64_t bytes, uint32_t number);
  uint64_t held(uint32_t device, BudgetKind kind, uint64_t epoch);
  void publish_all();
  // While the slice is over a lowered limit, what is at hand goes back at once: no new charge may use it.
  void give_back_if_lowered(uint32_t device);
  void publish(uint32_t device, BudgetKind kind, const Budget& budget);

  std::vector<std::unique_ptr<Device>> devices_;
  std::unique_ptr<LeaseClient> client_;  // last, so that its thread ends before what it calls into
};

}  // namespace tessera::vgpu
