// The command line tools' requests: JSON in, JSON out.
//
//   {"op":"info"}            version, pid, driver, counts
//   {"op":"gpus"}            the GPUs, asked anew
//   {"op":"forgive_gpu", "gpu": index}
//                            new programs get a quarantined GPU again, see device_health.h
//   {"op":"slices"}          slices with their devices and processes; processes that work on a GPU outside of
//   any; tenants that keep failing
//   {"op":"alerts"}          alerts of this daemon
//   {"op":"events", "after"?: number}
//                            what has happened
//   {"op":"forgive_tenant", "name"}
//                            what failed is forgotten, see tenant_faults.h
//   {"op":"create_slice", "program", "name"?, "gpus"?: [index], "memory_bytes"?: [of each GPU, or one for
//   all], "compute"?: [of each GPU, or one for all], "memory"?: {...}}
//                            makes a slice that this connection holds; the answer carries its token
//   {"op":"set_limit", "name", "memory_bytes", "gpu"?: index}
//                            changes a slice's limit on that GPU or on all of it, for its owner or root
//   {"op":"set_compute", "name", "compute": {...}, "gpu"?: index}
//                            changes its part of the GPU's time, see compute_json.h; for the same users
//   {"op":"set_memory", "name", "memory": {...}, "gpu"?: index}
//                            changes what it is promised of memory beside its limit, see memory_json.h
//   {"op":"balance_slices", "apply"?: true}
//                            which slices would fare better on another GPU, see partitioning/rebalance.h; and
//                            takes them there
//   {"op":"hold_slice", "token"}
//                            the maker of a slice holds it again, on this connection: after a restart of the
//                            daemon
//   {"op":"finish_slice"}    the figures of the held slice, which is let go
//
// Every answer has "ok"; a refusal has "code" and "message" besides.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>

#include "node/device_health.h"
#include "node/inventory_monitor.h"
#include "node/json.h"
#include "node/lease_service.h"
#include "node/topology/gpu_place.h"

namespace tessera::node {

// The answer to a request that cannot be met.
std::string refusal(const Status& status);

class ControlService {
 public:
  // `find` gives the connection of an id, null once it is closed: an answer may come later than the request.
  using FindConnection = std::function<Connection*(uint64_t id)>;

  ControlService(LeaseService& leases, InventoryMonitor& monitor, FindConnection find)
      : leases_(leases), monitor_(monitor), find_(std::move(find)) {}

  // See Ledger::set_overcommit; before the first answer of the driver.
  void set_overcommit(uint32_t permille) { overcommit_permille_ = permille; }
  // See Ledger::count_needs; likewise.
  void count_needs() { counts_needs_ = true; }
  // Likewise; without it no place in the machine is nearer to a GPU than another.
  void set_machine(Machine machine) { machine_ = std::move(machine); }

  // Slices in space are kept to their SMs by MPS, where its control daemon is there and the driver itself
  // cannot; before the first answer of the driver.
  void use_mps() { use_mps_ = true; }
  // Where the daemon answers over HTTP.
  void set_http(std::string address) { http_ = std::move(address); }
  // The file of its history, and what tells its alerts: {"rules", "alerts"}.
  void set_history(std::string file) { history_ = std::move(file); }
  void set_alerts(std::function<Json()> alerts) { alerts_ = std::move(alerts); }

  // An error means that the client broke the protocol; a refused request is an answer like any other.
  Status handle(uint64_t connection_id, Connection& connection, uint32_t request, std::string_view text);

  // Takes over what the driver said. Totals and UUIDs only while there is no slice that rests on them.
  void set_inventory(const Result<Inventory>& answer);
  void hear_xid(const XidEvent& event);
  // The driver is asked again every kCheckNs while there are slices, and every kWatchNs where somebody could
  // be robbed.
  void tick(uint64_t now_ns);
  std::optional<uint64_t> next_deadline_ns() const;
  bool any_gpu_closed(uint64_t now_ns) const { return health_.any_closed(now_ns); }

  // What "info", "gpus" and "slices" answer, for whoever else shows it. `gpus` is what the driver last said.
  Json info() const;
  Json gpus() const;
  Json slice_with_processes(const Slice& slice) const;
  // What the answer has beside "slices".
  void add_beside_slices(Json& answer) const;
  // Asks the driver anew where its last answer is older than kFreshNs.
  void refresh_gpus();
  uint64_t asked_ns() const { return asked_ns_; }
  // Which GPUs an earlier daemon had closed, before the driver is asked; and into the journal of this one.
  void restore_health(const Journal& journal);
  void save_health();
  // Why the GPUs are not known; empty where they are.
  const std::string& problem() const { return inventory_status_.message(); }

 private:
  static constexpr uint64_t kCheckNs = 5'000'000'000;
  static constexpr uint64_t kWatchNs = 1'000'000'000;
  static constexpr uint64_t kFreshNs = 1'000'000'000;

  std::string gpus_answer(const Status& refreshed) const;
  std::string slices() const;
  std::string alerts() const;
  std::string events(uint64_t after) const;
  Json outside() const;
  Json failing_tenants() const;
  std::string forgive_tenant(std::string_view text);
  void ask_driver(InventoryMonitor::Callback done);
  void send_gpus(uint64_t connection_id, uint32_t request);
  std::string forgive_gpu(std::string_view text);
  // A slice rests on what is known of the GPUs: that must not be old.
  void create_slice_soon(uint64_t connection_id, uint32_t request, std::string_view text);
  void update_closed(uint64_t now_ns);
  void tell_closed(const std::map<uint32_t, std::string>& closed);
  std::string create_slice(Connection& connection, std::string_view text);
  struct Target {
    SliceId slice;
    std::optional<uint32_t> gpu;  // none: every one of the slice
  };
  Result<Target> target_of(const Connection& connection, const Json& object);
  std::string changed(SliceId slice, const Status& status);
  std::string set_limit(const Connection& connection, std::string_view text);
  std::string set_compute(const Connection& connection, std::string_view text);
  std::string set_memory(const Connection& connection, std::string_view text);
  std::string hold_slice(Connection& connection, std::string_view text);
  std::string finish_slice(Connection& connection);
  Result<SliceId> make_slice(const Connection& connection, SliceRequest request);
  std::string opened(SliceId slice);
  std::string plan_slices(std::string_view text) const;
  std::string balance_slices(std::string_view text);
  std::string join_slice(const Connection& connection, std::string_view text);
  std::string delete_slice(const Connection& connection, std::string_view text);

  LeaseService& leases_;
  InventoryMonitor& monitor_;
  FindConnection find_;
  Inventory inventory_;
  DeviceHealth health_;
  Machine machine_;
  // Limits may be more than a GPU has.
  bool overcommits() const { return overcommit_permille_ > 1000 || counts_needs_; }

  uint32_t overcommit_permille_ = 1000;
  bool counts_needs_ = false;
  bool use_mps_ = false;
  std::string http_;     // empty: nowhere
  std::string history_;  // empty: none is kept
  std::function<Json()> alerts_;
  uint64_t asked_ns_ = 0;
  std::set<uint32_t> closed_;  // of which was told
  Status inventory_status_ = Status(Code::kUnavailable, "the GPU driver has not been asked yet");
};

}  // namespace tessera::node
