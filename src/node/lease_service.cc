#include "node/lease_service.h"

#include <poll.h>
#include <sys/epoll.h>

#include <algorithm>
#include <cassert>
#include <cstring>

#include "common/failpoint.h"
#include "common/log.h"
#include "common/size.h"
#include "common/strings.h"

namespace tessera::node {
namespace {

constexpr uint64_t kImageCheckIntervalNs = 500'000'000;

bool has_ended(int pidfd) {
  pollfd entry{pidfd, POLLIN, 0};
  return poll(&entry, 1, 0) == 1 && (entry.revents & POLLIN) != 0;
}

}  // namespace

LeaseService::LeaseService(EventLoop& loop, const scheduling::SchedulerConfig& scheduling)
    : loop_(loop), broker_(ledger_), compute_(scheduling), faults_(loop_.now_ns()) {}

LeaseService::~LeaseService() {
  for (auto& [id, record] : leases_) loop_.unwatch(record.watch);
  for (auto& [id, record] : slices_) release_holder(record);
}

Status LeaseService::handle(Connection& connection, const ClientMessage& message) {
  if (auto* body = std::get_if<AttachMessage>(&message.body)) {
    return attach(connection, message.request, *body);
  }
  if (auto* body = std::get_if<ReattachMessage>(&message.body)) {
    return reattach(connection, message.request, *body);
  }
  if (auto* body = std::get_if<ObserveMessage>(&message.body)) {
    return observe(connection, message.request, *body);
  }
  if (connection.lease != 0) return handle_leased(connection, message);
  if (connection.observed_slice != 0) return handle_observing(connection, message);
  return Status(Code::kFailedPrecondition, "the first message of a process must be Attach or Observe");
}

Status LeaseService::handle_leased(Connection& connection, const ClientMessage& message) {
  if (auto* notice = std::get_if<GateMessage>(&message.body)) {
    return gate_notice(*ledger_.find_lease(connection.lease), *notice);
  }
  SliceId slice = ledger_.find_lease(connection.lease)->slice;
  Effects effects;
  Status status;
  update_peaks(slice);
  if (auto* reserve = std::get_if<ReserveMessage>(&message.body)) {
    status = this->reserve(connection.lease, message.request, *reserve, effects);
    failpoint("daemon.reserve.booked");
  } else if (auto* release = std::get_if<ReleaseMessage>(&message.body)) {
    status = this->release(connection.lease, *release, effects);
    failpoint("daemon.release.booked");
  } else if (auto* recalled = std::get_if<RecalledMessage>(&message.body)) {
    status = this->recalled(connection.lease, message.request, *recalled, effects);
    failpoint("daemon.recalled.booked");
  } else if (auto* back = std::get_if<ReturnedMessage>(&message.body)) {
    status = this->returned(connection.lease, *back, effects);
    failpoint("daemon.swap.returned");
  } else if (auto* asked = std::get_if<QueryMessage>(&message.body)) {
    status = query(connection, message.request, slice, *asked);
  } else if (std::holds_alternative<ListProcessesMessage>(message.body)) {
    status = Status(Code::kInvalidData, "only an observer lists processes");
  } else {
    status = Status(Code::kInvalidData, "control requests need a connection of their own");
  }
  if (std::exchange(lending_changed_, false)) settle_lending(effects);
  publish_terms(slice);
  save();
  if (!effects.answers.empty()) failpoint("daemon.grant.saved");
  apply(effects);
  if (!effects.answers.empty()) failpoint("daemon.grant.sent");
  return status;
}

Status LeaseService::handle_observing(Connection& connection, const ClientMessage& message) {
  if (auto* asked = std::get_if<QueryMessage>(&message.body)) {
    return query(connection, message.request, connection.observed_slice, *asked);
  }
  if (std::holds_alternative<ListProcessesMessage>(message.body)) {
    list_processes(connection, message.request, connection.observed_slice);
    return Status();
  }
  return Status(Code::kInvalidData, "an observer only looks: it holds no lease");
}

Status LeaseService::observe(Connection& connection, uint32_t request, const ObserveMessage& message) {
  if (!connection.is_new()) return Status(Code::kFailedPrecondition, "this connection has its part already");
  TESSERA_ASSIGN_OR_RETURN(SliceId id, ledger_.slice_of(message.token, connection.peer().uid));
  const Slice& slice = *ledger_.find_slice(id);
  std::set<Connection*>& observers = slices_.at(id).observers;
  if (observers.size() >= kMaxObserversPerSlice) {
    return Status::error(Code::kResourceExhausted, "slice '%s' has %zu observers, its most",
                         slice.name.c_str(), observers.size());
  }
  observers.insert(&connection);
  connection.observed_slice = id;
  LOG_DEBUG("leases", "process %d observes '%s'", static_cast<int>(connection.peer().pid),
            slice.name.c_str());
  connection.send(encode_struct(vgpu::MessageType::kAttached, request, describe(slice, 0)));
  return Status();
}

Result<LeaseService::Arrived> LeaseService::identify(const Connection& connection) const {
  if (!connection.is_new()) return Status(Code::kFailedPrecondition, "this connection has its part already");
  TESSERA_ASSIGN_OR_RETURN(UniqueFd pidfd, peer_pidfd(connection.descriptor(), connection.peer().pid));
  // Between this answer and the pidfd lies no gap: if the pid had been given to another process, the pidfd
  // (of the process that connected) would be readable by now.
  auto process = identify_process(connection.peer().pid);
  if (!process.ok() || has_ended(pidfd.get())) return Status(Code::kNotFound, "the process has ended");
  return Arrived{*process, std::move(pidfd)};
}

Status LeaseService::begin_lease(LeaseId id, Connection* connection, Arrived arrived,
                                 const ProcessImage& image) {
  TESSERA_ASSIGN_OR_RETURN(CounterMapping counters, CounterMapping::create());
  TESSERA_ASSIGN_OR_RETURN(
      auto watch, loop_.watch(arrived.pidfd.get(), EPOLLIN, [this, id](uint32_t) { end_lease(id, kEnded); }));
  leases_.emplace(id, LeaseRecord{connection, std::move(arrived.pidfd), watch, std::move(counters), image});
  ++slices_.at(ledger_.find_lease(id)->slice).processes;
  if (connection == nullptr) {
    ++detached_;
  } else {
    connection->lease = id;
  }
  open_residency(id);
  watch_copies();
  GateOrders orders;
  compute_.attach(ledger_.find_lease(id)->slice, id, loop_.now_ns(), orders);
  apply(orders);
  return Status();
}

Status LeaseService::attach(Connection& connection, uint32_t request, const AttachMessage& message) {
  TESSERA_ASSIGN_OR_RETURN(Arrived arrived, identify(connection));
  ProcessIdentity process = arrived.process;
  TESSERA_ASSIGN_OR_RETURN(SliceId slice_id, ledger_.slice_of(message.token, connection.peer().uid));
  const Slice& wanted = *ledger_.find_slice(slice_id);
  // Others were judged when they were made: a program that runs may go on.
  if (wanted.kept) TESSERA_RETURN_IF_ERROR(check_tenant(wanted.owner, wanted.tenant));
  for (const SliceDevice& device : wanted.devices) TESSERA_RETURN_IF_ERROR(ledger_.check_open(device.gpu));
  TESSERA_ASSIGN_OR_RETURN(LeaseId id,
                           ledger_.open_lease(message.token, connection.peer().uid, process, loop_.now_ns()));
  Status begun = begin_lease(id, &connection, std::move(arrived), read_process_image(process.pid));
  if (!begun.ok()) {
    [[maybe_unused]] bool slice_ended = ledger_.close_lease(id);
    assert(!slice_ended);  // open_lease found it, so it has a holder or another lease
    return begun;
  }
  const Slice& slice = *ledger_.find_slice(ledger_.find_lease(id)->slice);
  LOG_INFO("leases", "process %d attached to '%s'", static_cast<int>(process.pid), slice.name.c_str());
  tell(monitoring::Severity::kInfo, "process_attached", slice.name,
       str_format("process %d", static_cast<int>(process.pid)),
       {{"pid", static_cast<uint64_t>(process.pid)}});
  Effects effects;
  const std::vector<uint64_t> nothing(slice.devices.size());
  TESSERA_RETURN_IF_ERROR(attach_residency(id, {{}, id, nothing, nothing, nothing}, effects));
  failpoint("daemon.attach.booked");
  save();
  failpoint("daemon.attach.saved");
  send_attached(id, connection, request);
  failpoint("daemon.attach.sent");
  apply(effects);
  return Status();
}

Status LeaseService::reattach(Connection& connection, uint32_t request, const ReattachMessage& message) {
  TESSERA_ASSIGN_OR_RETURN(Arrived arrived, identify(connection));
  ProcessIdentity process = arrived.process;
  TESSERA_ASSIGN_OR_RETURN(SliceId slice_id, ledger_.slice_of(message.token, connection.peer().uid));
  const Slice& slice = *ledger_.find_slice(slice_id);
  LeaseId id = message.lease;
  const Lease* lease = ledger_.find_lease(id);
  bool known = lease != nullptr && lease->slice == slice_id && lease->process == process;
  if (!known) {
    // No daemon has journalled it: what it says it holds is booked as if it asked for it now.
    TESSERA_ASSIGN_OR_RETURN(
        id, ledger_.open_lease(message.token, connection.peer().uid, process, loop_.now_ns()));
    Status begun = begin_lease(id, nullptr, std::move(arrived), read_process_image(process.pid));
    if (!begun.ok()) {
      (void)ledger_.close_lease(id);
      return begun;
    }
    ledger_.set_life(id, LeaseLife::kDetached);
  }
  TESSERA_ASSIGN_OR_RETURN(CounterMapping counters, CounterMapping::create());
  Effects effects;
  // What it asked for on the connection that it has given up is forgotten.
  if (leases_.at(id).connection != nullptr) {
    broker_.disconnect(id, loop_.now_ns(), effects);
    residency_.disconnect(id, loop_.now_ns(), effects);
    neighbours_.disconnect(id);
  }
  Status claimed = ledger_.claim(id, message.held_bytes);
  if (claimed.ok()) claimed = attach_residency(id, message, effects);
  if (!claimed.ok()) {
    save();
    apply(effects);
    if (!known) end_lease(id, kClaimed);
    return claimed;
  }
  auto record = leases_.extract(id);
  if (Connection* before = record.mapped().connection) {
    before->lease = 0;
    before->mark_closing();
  } else {
    --detached_;
  }
  LeaseRecord& old = record.mapped();
  leases_.emplace(id,
                  LeaseRecord{&connection, std::move(old.pidfd), old.watch, std::move(counters), old.image});
  ledger_.set_life(id, LeaseLife::kAttached);
  connection.lease = id;
  LOG_INFO("leases", "process %d attached to '%s' again", static_cast<int>(process.pid), slice.name.c_str());
  broker_.reattach(id, loop_.now_ns(), effects);
  GateOrders orders;
  compute_.attach(slice_id, id, loop_.now_ns(), orders);
  apply(orders);
  // Its counts start at 0 for a moment, and then go on where they were.
  for (UsageWindow& window : slices_.at(slice_id).windows) window = UsageWindow();
  next_sample_ns_ = std::max(next_sample_ns_, loop_.now_ns() + UsageWindow::kSampleNs);
  settle_lending(effects);
  publish_terms(slice_id);
  failpoint("daemon.reattach.booked");
  save();
  send_attached(id, connection, request);
  failpoint("daemon.reattach.sent");
  apply(effects);
  return Status();
}

void LeaseService::send_attached(LeaseId id, Connection& connection, uint32_t request) {
  const Slice& slice = *ledger_.find_slice(ledger_.find_lease(id)->slice);
  CounterMapping& shared = leases_.at(id).counters;
  int descriptors[] = {shared.descriptor(), slices_.at(slice.id).grants.descriptor()};
  connection.send(encode_struct(vgpu::MessageType::kAttached, request, describe(slice, id)), descriptors);
  shared.close_descriptor();
}

vgpu::AttachedReply LeaseService::describe(const Slice& slice, LeaseId lease) const {
  vgpu::AttachedReply reply{};
  reply.swap = swap_terms();
  reply.lease = lease;
  reply.device_count = static_cast<uint32_t>(slice.devices.size());
  if (lease != 0) name_neighbours(slice, reply);
  slice.name.copy(reply.slice_name, sizeof reply.slice_name - 1);
  for (size_t i = 0; i < slice.devices.size(); ++i) {
    vgpu::AttachedDevice& device = reply.devices[i];
    gpu_uuids_.at(slice.devices[i].gpu).copy(device.uuid, sizeof device.uuid - 1);
    device.limit_bytes = slice.devices[i].limit_bytes;
    device.chunk_bytes = chunk_bytes(device.limit_bytes);
    device.capacity_bytes = residency_.in_use() ? residency_.capacity(slice.devices[i].gpu) : 0;
    device.numa_node = gpu_nodes_.at(slice.devices[i].gpu).value_or(vgpu::kNoNumaNode);
    device.portion_percent = ledger_.portion_percent(slice.devices[i]);
    device.yields = slice.devices[i].compute.priority > scheduling::PriorityClass::kNormal ? 1 : 0;
  }
  return reply;
}

Status LeaseService::query(Connection& connection, uint32_t request, SliceId id,
                           const QueryMessage& message) {
  const Slice& slice = *ledger_.find_slice(id);
  if (message.device >= slice.devices.size()) {
    return Status::error(Code::kInvalidData, "device index %u is not in the slice", message.device);
  }
  vgpu::UsageReply reply{};
  reply.limit_bytes = slice.devices[message.device].limit_bytes;
  reply.used_bytes = usage(slice.id).devices[message.device].used_bytes;
  reply.granted_bytes = slice.devices[message.device].granted_bytes;
  connection.send(encode_struct(vgpu::MessageType::kUsage, request, reply));
  return Status();
}

void LeaseService::list_processes(Connection& connection, uint32_t request, SliceId slice) {
  std::set<pid_t> pids;  // a process has several leases where it closed one and attached again
  for (LeaseId lease : ledger_.find_slice(slice)->leases) {
    pids.insert(ledger_.find_lease(lease)->process.pid);
  }
  static_assert(kMaxLeasesPerSlice <= vgpu::kMaxListedProcesses);
  vgpu::ProcessesReply reply{};
  for (pid_t pid : pids) reply.pids[reply.count++] = pid;
  connection.send(encode_struct(vgpu::MessageType::kProcesses, request, reply));
}

void LeaseService::disconnected(Connection& connection) {
  if (connection.held_slice != 0) drop_holder(std::exchange(connection.held_slice, 0));
  if (connection.observed_slice != 0) {
    slices_.at(std::exchange(connection.observed_slice, 0)).observers.erase(&connection);
  }
  if (connection.lease == 0) return;
  LeaseId id = std::exchange(connection.lease, 0);
  LeaseRecord& record = leases_.at(id);
  const Lease& lease = *ledger_.find_lease(id);
  record.connection = nullptr;
  ++detached_;
  bool holds = std::any_of(lease.devices.begin(), lease.devices.end(),
                           [](const LeaseDevice& device) { return device.granted_bytes > 0; });
  if (!holds || has_ended(record.pidfd.get()) ||
      was_replaced(record.image, read_process_image(lease.process.pid))) {
    end_lease(id, holds ? kGone : kClosed);
    return;
  }
  LOG_INFO("leases", "process %d closed its lease but lives on: its grants stay charged until it ends",
           static_cast<int>(lease.process.pid));
  ledger_.set_life(id, LeaseLife::kDetached);
  Effects effects;
  broker_.disconnect(id, loop_.now_ns(), effects);
  residency_.disconnect(id, loop_.now_ns(), effects);
  neighbours_.disconnect(id);
  settle_lending(effects);
  GateOrders orders;
  compute_.lose(lease.slice, id, loop_.now_ns(), orders);
  apply(orders);
  save();
  apply(effects);
}

void LeaseService::end_lease(LeaseId id, const LeaseEnd& why) {
  auto record = leases_.find(id);
  assert(record != leases_.end());
  const Lease& lease = *ledger_.find_lease(id);
  SliceId slice = lease.slice;
  update_peaks(slice);
  // Before its counts move to those of the ended, while each is counted once.
  const Slice& shown = *ledger_.find_slice(slice);
  if (!shown.kept && !shown.held && shown.leases.size() == 1) look_before_end(shown);
  std::vector<DeviceUsage>& ended = slices_.at(slice).ended;
  for (size_t i = 0; i < ended.size(); ++i) {
    CounterValues last = lease_usage(lease, i);
    ended[i].add_counts(last);
    ended[i].memory_wait_ns += residency_.waited_ns(id, static_cast<uint32_t>(i), loop_.now_ns());
    note_fault(slice, i, last.fault);
    report_work(lease, static_cast<uint32_t>(i), loop_.now_ns());
  }
  GateOrders orders;
  compute_.detach(slice, id, loop_.now_ns(), orders);
  apply(orders);
  LOG_INFO("leases", "process %d %s; '%s' has its grants back", static_cast<int>(lease.process.pid), why.text,
           ledger_.find_slice(slice)->name.c_str());
  tell(monitoring::Severity::kInfo, "process_ended", ledger_.find_slice(slice)->name,
       str_format("process %d %s", static_cast<int>(lease.process.pid), why.text),
       {{"pid", static_cast<uint64_t>(lease.process.pid)}, {"end", why.name}});
  loop_.unwatch(record->second.watch);
  if (Connection* connection = record->second.connection) {
    connection->lease = 0;
    connection->mark_closing();
  } else {
    --detached_;
  }
  leases_.erase(record);
  Effects effects;
  std::string name = ledger_.find_slice(slice)->name;
  close_residency(id, effects);
  if (broker_.close(id, loop_.now_ns(), effects)) {
    forget_slice(slice, name);
  } else {
    const Slice& left = *ledger_.find_slice(slice);
    if (left.kept && left.leases.empty()) slices_.at(slice).failed = false;
    publish_terms(slice);
  }
  settle_lending(effects);
  measure_needs();  // it has nothing more from now on, and may be the last one of all
  watch_copies();
  failpoint("daemon.end.booked");
  save();
  failpoint("daemon.end.saved");
  apply(effects);
}

void LeaseService::reap(SliceId slice) {
  // Held by its caller, so the slice outlives its leases here.
  std::set<LeaseId> ids = ledger_.find_slice(slice)->leases;
  for (LeaseId id : ids) {
    if (has_ended(leases_.at(id).pidfd.get())) end_lease(id, kEnded);
  }
}

void LeaseService::apply(const Effects& effects) {
  const auto send = [&](const RecallOrder& order) {
    Connection* connection = leases_.at(order.lease).connection;
    assert(connection != nullptr);
    connection->send(encode_struct(vgpu::MessageType::kRecall, order.number,
                                   vgpu::RecallNotice{order.device, order.kind, order.bytes}));
  };
  std::for_each(effects.recalls.begin(), effects.recalls.end(), send);
  std::for_each(effects.hints.begin(), effects.hints.end(), send);
  for (const ReserveAnswer& answer : effects.answers) {
    const Slice& slice = *ledger_.find_slice(ledger_.find_lease(answer.lease)->slice);
    vgpu::ReservedReply reply{};
    reply.granted_bytes = answer.granted_bytes;
    const SliceDevice& device = slice.devices[answer.device];
    reply.refusal = answer.refusal;
    reply.limit_bytes = answer.kind == vgpu::BudgetKind::kResident ? residency_.capacity(device.gpu)
                        : answer.kind == vgpu::BudgetKind::kSwap   ? swap_space_.bound()
                                                                   : device.limit_bytes;
    reply.awaited = static_cast<uint32_t>(slice.awaited);
    reply.slice_used_bytes = usage(slice.id).devices[answer.device].used_bytes;
    leases_.at(answer.lease)
        .connection->send(encode_struct(vgpu::MessageType::kReserved, answer.request, reply));
  }
}

void LeaseService::end_replaced_images() {
  std::vector<LeaseId> replaced;
  for (const auto& [id, record] : leases_) {
    if (record.connection != nullptr) continue;
    if (was_replaced(record.image, read_process_image(ledger_.find_lease(id)->process.pid))) {
      replaced.push_back(id);
    }
  }
  for (LeaseId id : replaced) end_lease(id, kReplaced);
}

void LeaseService::tick(uint64_t now_ns) {
  Effects effects;
  broker_.expire(now_ns, effects);
  residency_.expire(now_ns, effects);
  neighbours_.expire(now_ns, effects);
  end_overdue(now_ns);
  save();
  apply(effects);
  take_turns(now_ns);
  share_copies(now_ns);
  sample_use(now_ns);
  if (detached_ > 0 && now_ns >= next_image_check_ns_) {
    next_image_check_ns_ = now_ns + kImageCheckIntervalNs;
    end_replaced_images();
  }
}

std::optional<uint64_t> LeaseService::next_deadline_ns() const {
  std::optional<uint64_t> next = broker_.next_deadline_ns();
  const std::optional<uint64_t> residency = residency_.next_deadline_ns();
  if (residency && (!next || *residency < *next)) next = residency;
  const std::optional<uint64_t> neighbours = neighbours_.next_deadline_ns();
  if (neighbours && (!next || *neighbours < *next)) next = neighbours;
  if (detached_ > 0 && (!next || next_image_check_ns_ < *next)) next = next_image_check_ns_;
  if (!ledger_.leases().empty() && (!next || next_sample_ns_ < *next)) next = next_sample_ns_;
  const std::optional<uint64_t> copies = copies_.next_deadline_ns();
  if (copies && (!next || *copies < *next)) next = copies;
  return next;
}

}  // namespace tessera::node
