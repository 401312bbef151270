// tesserad without its process: sockets, connections, time. One thread; step() handles what is ready.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "node/control_service.h"
#include "node/http_api.h"
#include "node/xid_monitor.h"

namespace tessera::node {

inline constexpr size_t kMaxConnections = kListenQueue;

struct DaemonOptions {
  std::vector<std::string> inventory_command;  // see InventoryMonitor
  std::vector<std::string> xid_command;        // see XidMonitor
  uint64_t idle_exit_ns = 0;                   // 0: never
  bool refuse_faulty = false;                  // see tenant_faults.h
  scheduling::SchedulerConfig scheduling = ComputeBroker::default_config();
  partitioning::Packing packing = partitioning::Packing::kSpread;  // of slices that name neither it nor a GPU
  std::string journal;                                             // file; empty: none, and a restart forgets
  RoundPolicy round_policy = RoundPolicy::kWarn;
  bool co_execution = true;             // see ComputeBroker
  uint32_t overcommit_permille = 1000;  // see Ledger::set_overcommit
  bool counts_needs = false;            // see Ledger::count_needs
  uint64_t working_set_window_ns = memory::WorkingSet::kWindowNs;
  uint64_t residence_round_ns = partitioning::kResidenceRoundNs;
  memory::SwapOptions swap;      // see LeaseService::set_swap
  uint64_t swap_host_bytes = 0;  // 0: no bound
  Machine machine{};             // see ControlService::set_machine
  bool use_mps = false;          // see ControlService::use_mps
  MonitorOptions monitor{};
  std::optional<HttpOptions> http{};  // none: nothing is answered over HTTP
};

class Daemon {
 public:
  static Result<std::unique_ptr<Daemon>> create(UniqueFd listener, DaemonOptions options);
  ~Daemon();
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;

  EventLoop& loop() { return loop_; }
  LeaseService& leases() { return leases_; }
  ControlService& control() { return control_; }
  const HttpApi* http() const { return http_.get(); }

  // Asks the driver for the first time (the answer may be that there is none), then lets clients in: until
  // then they wait in the listener's queue rather than hear that there is no GPU.
  Status start();
  // At an orderly end.
  void end() { leases_.close_journal(); }
  // Waits at most `timeout_ns` (nothing: until something is due), then handles what is ready.
  Status step(std::optional<uint64_t> timeout_ns);
  // Nothing is connected and no slice exists, since the configured time.
  bool idle_too_long() const;
  size_t connections() const { return connections_.size(); }

 private:
  struct Client {
    Connection connection;
    EventLoop::Watch watch = 0;
    bool watches_output = false;
  };

  Daemon(EventLoop loop, UniqueFd listener, DaemonOptions options);
  void accept_clients();
  bool turn_one_away();
  void on_client(uint64_t id, uint32_t events);
  void read_client(uint64_t id, Connection& connection);
  Status handle_packet(uint64_t id, Connection& connection, ByteSpan packet);
  // Closes what is marked for closing, watches for room to write where something is queued; where any
  // connection has changed.
  void settle_clients();
  void drop_silent_clients(uint64_t now_ns);
  std::optional<uint64_t> timeout_until_due(std::optional<uint64_t> timeout_ns);
  uint64_t rest_due_ns() const;
  // Nothing but turns on a GPU has come or is due.
  bool only_turns(uint64_t now_ns) const;
  void handle_all(uint64_t now_ns);

  EventLoop loop_;
  UniqueFd listener_;
  DaemonOptions options_;
  std::map<uint64_t, std::unique_ptr<Client>> connections_;
  uint64_t next_connection_ = 1;
  std::deque<uint64_t> newcomers_;  // that had said nothing when last looked at, the longest first
  bool connections_changed_ = false;
  // With many tenants turns are nearly all that wakes the daemon, and it wakes with cold caches: what else
  // there is to look at is then left alone until it is due. Nothing: not known, as something has happened.
  std::optional<uint64_t> rest_due_ns_;
  size_t turn_notices_ = 0;  // handled in this step
  EventLoop::Watch listener_watch_ = 0;
  LeaseService leases_;
  InventoryMonitor monitor_;
  ControlService control_;
  XidMonitor xids_;
  std::unique_ptr<MonitorService> monitoring_;  // null where nobody wants it
  std::unique_ptr<HttpApi> http_;
  UniqueFd spare_;
  uint64_t busy_ns_;  // when something was last connected or a slice existed
};

}  // namespace tessera::node
