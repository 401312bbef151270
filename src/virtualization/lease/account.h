// What this process charges to its slice, from any thread. A charge that the budget covers takes one short
// lock and no system call; one that does not asks the daemon.
//
// Lock order: Device::asking, then Device::mutex, then the client's. The lease thread takes only
// Device::mutex.
#pragma once

#include <memory>
#include <mutex>

#include "virtualization/lease/budget.h"
#include "virtualization/lease/client.h"

namespace tessera::vgpu {

class Account {
 public:
  static Result<std::unique_ptr<Account>> open(const std::string& socket_path, const SliceToken& token);

  uint32_t device_count() const { return client_->slice().device_count; }
  const char* slice_name() const { return client_->slice().slice_name; }
  const char* device_uuid(uint32_t device) const { return client_->slice().devices[device].uuid; }
  uint64_t limit_bytes(uint32_t device) const { return client_->limit_bytes(device); }
  // Charged by all processes of the slice; by this one alone where the daemon cannot be asked.
  uint64_t slice_used_bytes(uint32_t device);
  DeviceCounters& counters(uint32_t device) { return client_->counters(device); }

  // All or nothing. kResourceExhausted: the slice is full; kUnavailable: the daemon cannot be asked. The
  // message has the figures; the refusal is counted.
  Status charge(uint32_t device, uint64_t bytes);
  void credit(uint32_t device, uint64_t bytes);
  uint64_t own_used_bytes(uint32_t device);  // charged by this process

  LeaseClient& client() { return *client_; }

  void abandon_in_child() { client_->abandon_in_child(); }

 private:
  struct Device {
    explicit Device(uint64_t chunk_bytes) : budget(chunk_bytes) {}

    std::mutex asking;  // one request at a time: those behind it may find what they need in its chunk
    std::mutex mutex;   // all below
    Budget budget;
    uint64_t epoch = 0;  // of the connection that knows of all of `budget`; see LeaseClient
  };

  explicit Account(std::unique_ptr<LeaseClient> client);
  Status charge_slowly(uint32_t device, uint64_t bytes);
  // False where the grant is to be asked for again: the daemon has restarted, and knows nothing of it.
  bool settle(Device& on, const Budget::Claim& claim, const LeaseClient::Grant& grant, uint32_t device);
  struct Recalled {
    uint64_t bytes;
    uint64_t epoch;
  };
  Recalled recall(uint32_t device, uint64_t bytes);
  uint64_t held(uint32_t device, uint64_t epoch);
  void publish_all();
  // While the slice is over a lowered limit, what is at hand goes back at once: no new charge may use it.
  void give_back_if_lowered(uint32_t device);
  void publish(uint32_t device, const Budget& budget);

  std::vector<std::unique_ptr<Device>> devices_;
  std::unique_ptr<LeaseClient> client_;  // last, so that its thread ends before what it calls into
};

}  // namespace tessera::vgpu
