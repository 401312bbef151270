#include "node/control_service.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "common/log.h"
#include "common/strings.h"
#include "cuda/multi_process_service.h"
#include "node/compute_json.h"
#include "node/event_json.h"
#include "node/inventory_json.h"
#include "node/journal_records.h"
#include "node/memory_json.h"
#include "node/slice_json.h"
#include "node/version.h"
#include "scheduling/faults/xid.h"

namespace tessera::node {
namespace {

// Where memory is moved out of a GPU nothing may run meanwhile: launches wait at the gate there, on whatever
// driver, and kernels are neither held up nor kept to some SMs.
std::vector<GpuFacts> gpu_facts(const Inventory& inventory, bool overcommitted, bool use_mps) {
  using partitioning::SmControl;
  SmControl control = SmControl::kNone;
  if (inventory.space) {
    control = SmControl::kSets;
  } else if (use_mps && inventory.mps) {
    control = SmControl::kPortions;
  }
  if (overcommitted) control = SmControl::kNone;
  std::vector<GpuFacts> facts;
  for (const Gpu& gpu : inventory.gpus) facts.push_back({gpu.sm_count, control});
  return facts;
}

}  // namespace

Status ControlService::handle(uint64_t connection_id, Connection& connection, uint32_t request,
                              std::string_view text) {
  if (!connection.is_new() && !connection.is_control) {
    return Status(Code::kInvalidData, "control requests need a connection of their own");
  }
  connection.is_control = true;
  auto object = parse_json_object(text);
  if (!object) return Status(Code::kInvalidData, "a control request must be a JSON object");
  std::string op = json_string(*object, "op");
  if (op == "info") {
    Json answer = info();
    answer["ok"] = true;
    connection.send_control_reply(request, json_text(answer));
  } else if (op == "slices") {
    connection.send_control_reply(request, slices());
  } else if (op == "alerts") {
    connection.send_control_reply(request, alerts());
  } else if (op == "events") {
    connection.send_control_reply(request, events(json_uint(*object, "after").value_or(0)));
  } else if (op == "create_slice") {
    create_slice_soon(connection_id, request, text);
  } else if (op == "hold_slice") {
    connection.send_control_reply(request, hold_slice(connection, text));
  } else if (op == "set_limit") {
    connection.send_control_reply(request, set_limit(connection, text));
  } else if (op == "set_compute") {
    connection.send_control_reply(request, set_compute(connection, text));
  } else if (op == "set_memory") {
    connection.send_control_reply(request, set_memory(connection, text));
  } else if (op == "plan_slices") {
    connection.send_control_reply(request, plan_slices(text));
  } else if (op == "balance_slices") {
    update_closed(leases_.now_ns());
    connection.send_control_reply(request, balance_slices(text));
  } else if (op == "join_slice") {
    connection.send_control_reply(request, join_slice(connection, text));
  } else if (op == "delete_slice") {
    connection.send_control_reply(request, delete_slice(connection, text));
  } else if (op == "finish_slice") {
    connection.send_control_reply(request, finish_slice(connection));
  } else if (op == "gpus") {
    send_gpus(connection_id, request);
  } else if (op == "forgive_gpu") {
    connection.send_control_reply(request, forgive_gpu(text));
  } else if (op == "forgive_tenant") {
    connection.send_control_reply(request, forgive_tenant(text));
  } else {
    return Status::error(Code::kUnsupported, "this daemon (%s) knows no request of that name", kVersion);
  }
  return Status();
}

void ControlService::ask_driver(InventoryMonitor::Callback done) {
  const uint64_t now_ns = leases_.now_ns();
  if (!monitor_.busy()) leases_.mark_use(now_ns);
  monitor_.refresh(now_ns, [this, done = std::move(done)](const Result<Inventory>& answer) {
    set_inventory(answer);
    if (answer.ok()) leases_.hear_driver(*answer, asked_ns_);
    done(answer);
  });
}

void ControlService::send_gpus(uint64_t connection_id, uint32_t request) {
  ask_driver([this, connection_id, request](const Result<Inventory>& answer) {
    Status refreshed = answer.ok() ? Status() : answer.status();
    if (Connection* asker = find_(connection_id)) asker->send_control_reply(request, gpus_answer(refreshed));
  });
}

void ControlService::create_slice_soon(uint64_t connection_id, uint32_t request, std::string_view text) {
  auto create = [this, connection_id, request, body = std::string(text)] {
    update_closed(leases_.now_ns());
    if (Connection* asker = find_(connection_id))
      asker->send_control_reply(request, create_slice(*asker, body));
  };
  if (leases_.now_ns() - asked_ns_ < kCheckNs) return create();
  ask_driver([create](const Result<Inventory>&) { create(); });
}

void ControlService::tick(uint64_t now_ns) {
  const std::optional<uint64_t> due = next_deadline_ns();
  if (!due || now_ns < *due) return;
  ask_driver([](const Result<Inventory>&) {});
}

std::optional<uint64_t> ControlService::next_deadline_ns() const {
  if (monitor_.busy() || leases_.ledger().slices().empty()) return std::nullopt;
  return asked_ns_ + (leases_.wants_watch() ? kWatchNs : kCheckNs);
}

void ControlService::update_closed(uint64_t now_ns) {
  std::map<uint32_t, std::string> closed;
  for (uint32_t i = 0; i < inventory_.gpus.size(); ++i) {
    if (auto why = health_.closed(inventory_.gpus[i].uuid, i, now_ns)) closed.emplace(i, *why);
  }
  tell_closed(closed);
  leases_.ledger().set_closed(std::move(closed));
}

void ControlService::tell_closed(const std::map<uint32_t, std::string>& closed) {
  std::set<uint32_t> now;
  for (const auto& [gpu, why] : closed) {
    now.insert(gpu);
    if (!closed_.contains(gpu))
      leases_.tell(monitoring::Severity::kCritical, "gpu_closed", inventory_.gpus[gpu].uuid, why,
                   health_.closed_details(inventory_.gpus[gpu].uuid, leases_.now_ns()));
  }
  for (const uint32_t gpu : closed_) {
    if (!now.contains(gpu) && gpu < inventory_.gpus.size())
      leases_.tell(monitoring::Severity::kInfo, "gpu_opened", inventory_.gpus[gpu].uuid,
                   "new programs get it again");
  }
  closed_ = std::move(now);
}

std::string ControlService::forgive_gpu(std::string_view text) {
  auto object = parse_json_object(text);
  auto index = gpu_index(object->contains("gpu") ? (*object)["gpu"] : Json());
  if (!index.ok()) return refusal(index.status());
  if (*index >= inventory_.gpus.size()) {
    return refusal(
        Status::error(Code::kNotFound, "no GPU %u: this node has %zu", *index, inventory_.gpus.size()));
  }
  if (!health_.forgive(inventory_.gpus[*index].uuid, leases_.now_ns())) {
    return refusal(Status::error(Code::kFailedPrecondition, "GPU %u is not quarantined", *index));
  }
  LOG_INFO("health", "GPU %u is forgiven", *index);
  save_health();
  update_closed(leases_.now_ns());
  return gpus_answer(Status());
}

void ControlService::set_inventory(const Result<Inventory>& answer) {
  if (!answer.ok() && inventory_status_.ok())
    leases_.tell(monitoring::Severity::kWarning, "driver_silent", "", answer.status().message(),
                 {{"why", answer.status().message()}});
  inventory_status_ = answer.ok() ? Status() : answer.status();
  asked_ns_ = leases_.now_ns();
  if (!answer.ok()) {
    LOG_WARN("inventory", "%s", answer.status().message().c_str());
    return;
  }
  health_.observe(*answer, asked_ns_);
  save_health();
  if (leases_.ledger().slices().empty()) {
    const bool is_first = leases_.ledger().gpu_totals().empty();
    if (is_first && use_mps_ && !answer->mps) {
      LOG_WARN("inventory", "no control daemon of MPS is at %s: slices are in time",
               cuda::mps_control_path().c_str());
    }
    inventory_ = *answer;
    std::vector<uint64_t> totals;
    std::vector<std::string> uuids;
    std::vector<std::optional<int32_t>> nodes;
    for (const Gpu& gpu : inventory_.gpus) {
      totals.push_back(gpu.total_bytes);
      uuids.push_back(gpu.uuid);
      nodes.push_back(node_to_use(machine_, inventory_.driver_kind, gpu.pci));
    }
    if (overcommits()) leases_.set_residency(totals);
    leases_.ledger().set_gpu_totals(std::move(totals));
    leases_.ledger().set_overcommit(overcommit_permille_);
    if (counts_needs_) leases_.ledger().count_needs();
    leases_.set_gpu_facts(gpu_facts(inventory_, overcommits(), use_mps_));
    leases_.set_gpu_uuids(std::move(uuids));
    leases_.set_gpu_nodes(std::move(nodes));
    update_closed(asked_ns_);
    return;
  }
  for (Gpu& gpu : inventory_.gpus) {
    for (const Gpu& now : answer->gpus) {
      if (now.uuid != gpu.uuid) continue;
      gpu.problem = now.problem;
      gpu.lost = now.lost;
      gpu.used_bytes = now.used_bytes;
      gpu.utilization_percent = now.utilization_percent;
      gpu.processes = now.processes;
      gpu.sensors = now.sensors;
    }
  }
  update_closed(asked_ns_);
}

// Which may be the first of several signs: the driver is asked at once for the others.
void ControlService::hear_xid(const XidEvent& event) {
  const uint64_t now_ns = leases_.now_ns();
  health_.hear(event, now_ns);
  const scheduling::Xid* known = scheduling::find_xid(event.xid);
  leases_.tell(monitoring::Severity::kWarning, "gpu_xid", event.uuid,
               str_format("XID %u (%s)", event.xid, known != nullptr ? known->what : "not known"),
               {{"xid", uint64_t{event.xid}}, {"what", known != nullptr ? known->what : ""}});
  save_health();
  update_closed(now_ns);
  if (!monitor_.busy())
    monitor_.refresh(now_ns, [this](const Result<Inventory>& answer) { set_inventory(answer); });
}

Json ControlService::info() const {
  Json answer;
  answer["version"] = kVersion;
  answer["pid"] = getpid();
  answer["driver_kind"] = inventory_.driver_kind;
  answer["driver_library"] = inventory_.driver_library;
  answer["driver_version"] = inventory_.driver_version;
  answer["gpus"] = inventory_.gpus.size();
  answer["slices"] = leases_.ledger().slices().size();
  answer["processes"] = leases_.ledger().leases().size();
  answer["history"] = history_.empty() ? Json(nullptr) : Json(history_);
  answer["http"] = http_.empty() ? Json(nullptr) : Json(http_);
  if (!inventory_status_.ok()) answer["problem"] = inventory_status_.message();
  return answer;
}

Json ControlService::gpus() const {
  const std::vector<uint64_t> unreserved = leases_.ledger().unreserved_bytes();
  Json answer = gpus_json(inventory_, [&](uint32_t gpu) { return unreserved.at(gpu); });
  for (uint32_t i = 0; i < inventory_.gpus.size(); ++i) {
    const std::optional<uint64_t> switch_ns = leases_.compute().switch_ns(i);
    answer["gpus"][i]["switch_ns"] = switch_ns ? Json(*switch_ns) : Json(nullptr);
    answer["gpus"][i]["lent_bytes"] = leases_.neighbours().lent_bytes(i);
    auto why = health_.closed(inventory_.gpus[i].uuid, i, leases_.now_ns());
    if (!why) continue;
    answer["gpus"][i]["state"] = "quarantined";
    answer["gpus"][i]["problem"] = *why;
  }
  return answer;
}

std::string ControlService::gpus_answer(const Status& refreshed) const {
  if (!refreshed.ok() && inventory_.gpus.empty()) return refusal(refreshed);
  Json answer = gpus();
  answer["ok"] = true;
  // The figures of use are then those of the last answer.
  if (!refreshed.ok()) answer["problem"] = refreshed.message();
  return json_text(answer);
}

void ControlService::refresh_gpus() {
  if (!monitor_.busy() && leases_.now_ns() - asked_ns_ >= kFreshNs)
    ask_driver([](const Result<Inventory>&) {});
}

std::string ControlService::alerts() const {
  Json answer = alerts_ ? alerts_() : Json{{"rules", 0}, {"alerts", Json::array()}};
  answer["ok"] = true;
  answer["time_ms"] = leases_.wall_ms();
  return json_text(answer);
}

std::string ControlService::events(uint64_t after) const {
  Json answer = events_json(leases_.events(), after, kMostEvents);
  answer["ok"] = true;
  answer["time_ms"] = leases_.wall_ms();
  return json_text(answer);
}

Json ControlService::slice_with_processes(const Slice& slice) const {
  Json entry = slice_json(slice, leases_);
  entry["processes"] = Json::array();
  for (LeaseId lease_id : slice.leases) {
    const Lease& lease = *leases_.ledger().find_lease(lease_id);
    Json process;
    process["pid"] = lease.process.pid;
    process["age_seconds"] = seconds_since(lease.created_ns, leases_.now_ns());
    process["round_the_gate"] = leases_.goes_round(lease);
    process["used_bytes"] = Json::array();
    for (size_t i = 0; i < lease.devices.size(); ++i) {
      process["used_bytes"].push_back(leases_.lease_usage(lease, i).used_bytes);
    }
    entry["processes"].push_back(std::move(process));
  }
  return entry;
}

void ControlService::add_beside_slices(Json& answer) const {
  if (leases_.residency().in_use()) answer["swap"] = swap_json(leases_);
  answer["outside"] = outside();
  answer["failing"] = failing_tenants();
}

std::string ControlService::slices() const {
  Json answer;
  answer["ok"] = true;
  answer["slices"] = Json::array();
  for (const auto& [id, slice] : leases_.ledger().slices())
    answer["slices"].push_back(slice_with_processes(slice));
  add_beside_slices(answer);
  return json_text(answer);
}

// As the driver last said: processes that work on a GPU and hold no lease.
Json ControlService::outside() const {
  Json all = Json::array();
  for (uint32_t i = 0; i < inventory_.gpus.size(); ++i) {
    for (const GpuProcess& process : inventory_.gpus[i].processes) {
      if (leases_.holds_lease(static_cast<pid_t>(process.pid))) continue;
      all.push_back({{"gpu", i}, {"pid", process.pid}, {"utilization_percent", process.percent}});
    }
  }
  return all;
}

Json ControlService::failing_tenants() const {
  constexpr double kNsPerSecond = 1e9;
  const uint64_t now_ns = leases_.now_ns();
  Json all = Json::array();
  for (const auto& [tenant, record] : leases_.faults().records()) {
    if (record.history.is_forgotten(now_ns)) continue;
    const auto standing = record.history.standing(now_ns);
    Json entry;
    entry["name"] = tenant.second;
    entry["owner"] = tenant.first;
    entry["faults"] = record.history.faults();
    entry["latest_error"] = record.latest_error;
    entry["isolated"] = standing.isolated;
    entry["quarantined"] = standing.quarantined;
    entry["waits_seconds"] =
        static_cast<double>(scheduling::elapsed(now_ns, standing.not_before_ns)) / kNsPerSecond;
    all.push_back(std::move(entry));
  }
  return all;
}

std::string ControlService::forgive_tenant(std::string_view text) {
  const std::string name = json_string(*parse_json_object(text), "name");
  if (!leases_.forgive_tenant(name)) {
    return refusal(
        Status::error(Code::kNotFound, "no program '%s' has failed on the GPU lately", name.c_str()));
  }
  LOG_INFO("health", "'%s' is forgiven", name.c_str());
  return slices();
}

void ControlService::restore_health(const Journal& journal) {
  for (const auto& [key, value] : journal.values()) {
    if (!is_gpu_key(key)) continue;
    if (auto read = read_gpu_record(value)) health_.restore(read->first, read->second, leases_.now_ns());
  }
}

void ControlService::save_health() {
  const auto records = health_.records(leases_.now_ns());
  for (const Gpu& gpu : inventory_.gpus) {
    auto found = records.find(gpu.uuid);
    leases_.remember(gpu_key(gpu.uuid),
                     found == records.end() ? Json() : gpu_record(gpu.uuid, found->second));
  }
}

// The slice and the GPU that a change names, if `connection` may make it.
Result<ControlService::Target> ControlService::target_of(const Connection& connection, const Json& object) {
  Target target{};
  if (object.contains("gpu")) {
    TESSERA_ASSIGN_OR_RETURN(target.gpu, gpu_index(object["gpu"]));
  }
  TESSERA_ASSIGN_OR_RETURN(target.slice,
                           leases_.ledger().slice_named(json_string(object, "name"), connection.peer().uid));
  return target;
}

std::string ControlService::changed(SliceId id, const Status& status) {
  if (!status.ok()) return refusal(status);
  Json answer = slice_json(*leases_.ledger().find_slice(id), leases_);
  answer["ok"] = true;
  return json_text(answer);
}

std::string ControlService::set_limit(const Connection& connection, std::string_view text) {
  auto object = parse_json_object(text);
  auto bytes = json_uint(*object, "memory_bytes");
  if (!bytes) return refusal(Status(Code::kInvalidArgument, "memory_bytes is not a number of bytes"));
  auto target = target_of(connection, *object);
  if (!target.ok()) return refusal(target.status());
  return changed(target->slice, leases_.set_limit(target->slice, target->gpu, *bytes));
}

std::string ControlService::set_compute(const Connection& connection, std::string_view text) {
  auto object = parse_json_object(text);
  auto target = target_of(connection, *object);
  if (!target.ok()) return refusal(target.status());
  const Json change = object->contains("compute") ? (*object)["compute"] : Json();
  return changed(target->slice, leases_.set_compute(target->slice, target->gpu, [&](auto& spec) {
    return apply_compute_json(change, spec);
  }));
}

std::string ControlService::set_memory(const Connection& connection, std::string_view text) {
  auto object = parse_json_object(text);
  auto target = target_of(connection, *object);
  if (!target.ok()) return refusal(target.status());
  auto change = parse_memory_change(object->contains("memory") ? (*object)["memory"] : Json());
  if (!change.ok()) return refusal(change.status());
  return changed(target->slice, leases_.set_memory(target->slice, target->gpu, *change));
}

std::string ControlService::hold_slice(Connection& connection, std::string_view text) {
  if (connection.held_slice != 0) {
    return refusal(Status(Code::kFailedPrecondition, "this connection holds a slice already"));
  }
  auto token = parse_token(json_string(*parse_json_object(text), "token"));
  if (!token) return refusal(Status(Code::kInvalidArgument, "a slice is held by its token"));
  auto id = leases_.hold_again(*token, connection.peer());
  if (!id.ok()) return refusal(id.status());
  connection.held_slice = *id;
  Json answer = slice_json(*leases_.ledger().find_slice(*id), leases_);
  answer["ok"] = true;
  return json_text(answer);
}

std::string ControlService::finish_slice(Connection& connection) {
  if (connection.held_slice == 0) {
    return refusal(Status(Code::kFailedPrecondition, "this connection holds no slice"));
  }
  SliceId id = std::exchange(connection.held_slice, 0);
  // The caller has waited for the program, so its processes are gone even where their events are still in the
  // loop.
  leases_.reap(id);
  const Slice& slice = *leases_.ledger().find_slice(id);
  Json answer = slice_json(slice, leases_);
  answer["ok"] = true;
  answer["processes_left"] = slice.leases.size();
  leases_.drop_holder(id);
  return json_text(answer);
}

}  // namespace tessera::node
