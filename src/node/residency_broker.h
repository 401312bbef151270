// How much of each GPU's memory each process may hold there, where the slices' limits are more than the GPU
// has. Pure: it decides what is sent, the daemon sends it.
//
// A process asks before it takes memory of the device. What fits is granted at once. Else others are asked to
// give some back (partitioning/residency.h says who), and the request waits, as long as it takes: nothing is
// refused that can ever fit. Requests of a GPU are served in their order, but for those of processes whose
// turn on it has not ended: they would hold memory and do nothing.
//
// Invariant: what processes may hold of a GPU is never more than it has. After a restart of the daemon nobody
// knows what a process holds until it has attached again: until each has, or kAwaitedTimeoutNs have passed,
// nothing is granted of its GPUs.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "node/broker.h"
#include "partitioning/residency.h"

namespace tessera::node {

// What is asked of a process takes copies of gigabytes; who has not answered by then is passed over until it
// does.
inline constexpr uint64_t kEvictPatienceNs = 30'000'000'000;
// After an answer that it could give nothing now.
inline constexpr uint64_t kEvictPauseNs = 250'000'000;

class ResidencyBroker {
 public:
  // Bytes of each GPU that processes may hold together; none: limits are never more than that, and nobody
  // asks. Before the first lease.
  void set_capacities(std::vector<uint64_t> bytes) { capacities_ = std::move(bytes); }
  bool in_use() const { return !capacities_.empty(); }
  uint64_t capacity(uint32_t gpu) const { return capacities_.at(gpu); }

  // A process of which nothing is known but that it lives; `gpus`: of the slice's devices.
  void open(LeaseId lease, std::vector<uint32_t> gpus, uint64_t now_ns);
  // It has (again) a connection, and has said what it holds. Refused, and nothing changed, where a GPU has
  // not so much.
  Status attach(LeaseId lease, std::span<const uint64_t> bytes, uint64_t now_ns, Effects& effects);
  void disconnect(LeaseId lease, uint64_t now_ns, Effects& effects);
  void close(LeaseId lease, uint64_t now_ns, Effects& effects);

  // As Broker's. An error means that the client broke a rule.
  Status reserve(LeaseId lease, uint32_t request, const ReserveMessage& message, uint64_t now_ns,
                 Effects& effects);
  Status release(LeaseId lease, const ReleaseMessage& message, uint64_t now_ns, Effects& effects);
  Status recalled(LeaseId lease, uint32_t number, const RecalledMessage& message, uint64_t now_ns,
                  Effects& effects);

  void expire(uint64_t now_ns, Effects& effects);
  std::optional<uint64_t> next_deadline_ns() const;

  uint64_t resident_bytes(LeaseId lease, uint32_t device) const;
  uint64_t resident_bytes_of_gpu(uint32_t gpu) const;
  uint64_t evictions() const { return evictions_; }
  size_t waiting() const;
  Status check() const;  // the invariant; for tests

 private:
  struct Asked {
    uint32_t number;
    uint64_t bytes;
    uint64_t since_ns;
    bool overdue = false;
  };
  struct Part {
    partitioning::ResidentTenant tenant;
    std::optional<Asked> asked;
  };
  struct Waiting {
    LeaseId lease;
    uint32_t request;
    uint32_t device;
    uint64_t needed, wanted;
    bool brings_back;
  };
  struct Gpu {
    std::deque<Waiting> queue;
    uint64_t resident_bytes = 0;
    double ns_per_byte = 0.5;  // of copies out, as measured; a first guess
    std::optional<uint64_t> look_at_ns;
  };
  struct Held {
    std::vector<uint32_t> gpus;
    std::vector<Part> parts;
    bool connected = false;
    uint64_t awaited_until_ns = 0;  // 0: what it holds is known
  };

  Result<Part*> part_of(LeaseId lease, uint32_t device);
  void set_resident(Held& held, size_t device, uint64_t bytes);
  Status give_back(LeaseId lease, uint32_t device, uint64_t bytes);
  void drop_waiting(LeaseId lease);
  // Which request is next, see above.
  std::deque<Waiting>::iterator next_request(uint32_t gpu, uint64_t now_ns);
  bool can_never_fit(uint32_t gpu, const Waiting& request) const;
  void grant(uint32_t gpu, std::deque<Waiting>::iterator request, uint64_t now_ns, Effects& effects);
  void ask_others(uint32_t gpu, const Waiting& request, uint64_t missing, uint64_t now_ns, Effects& effects);
  uint64_t stay_ns(uint32_t gpu, uint64_t missing) const;
  uint64_t expected_bytes(uint32_t gpu) const;
  // Until when processes of the GPU are awaited; none: they are not.
  std::optional<uint64_t> awaited_until_ns(uint32_t gpu, uint64_t now_ns) const;
  void serve(uint32_t gpu, uint64_t now_ns, Effects& effects);
  void serve_all(LeaseId lease, uint64_t now_ns, Effects& effects);

  std::vector<uint64_t> capacities_;
  std::map<LeaseId, Held> held_;
  std::map<uint32_t, Gpu> gpus_;
  uint32_t next_number_ = 1;
  uint64_t evictions_ = 0;
};

}  // namespace tessera::node
