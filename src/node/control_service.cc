#include "node/control_service.h"

#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "common/clock.h"
#include "common/log.h"
#include "node/inventory_json.h"
#include "node/version.h"

namespace tessera::node {
namespace {

constexpr double kNsPerSecond = 1e9;

std::string refusal(const Status& status) {
  Json answer;
  answer["ok"] = false;
  answer["code"] = code_name(status.code());
  answer["message"] = status.message();
  return json_text(answer);
}

Json usage_json(const SliceDevice& device, const DeviceUsage& usage) {
  Json entry;
  entry["gpu"] = device.gpu;
  entry["limit_bytes"] = device.limit_bytes;
  entry["reserved"] = device.reserved;
  entry["granted_bytes"] = device.granted_bytes;
  entry["used_bytes"] = usage.used_bytes;
  entry["peak_bytes"] = usage.peak_bytes;
  entry["refusals"] = usage.refusals;
  entry["allocations"] = usage.allocations;
  entry["launches"] = usage.launches;
  return entry;
}

double seconds_since(uint64_t then_ns) {
  return static_cast<double>(monotonic_ns() - then_ns) / kNsPerSecond;
}

Json slice_json(const Slice& slice, const SliceUsage& usage) {
  Json entry;
  entry["name"] = slice.name;
  entry["owner"] = slice.owner;
  entry["age_seconds"] = seconds_since(slice.created_ns);
  entry["processes_ever"] = usage.processes;
  entry["devices"] = Json::array();
  for (size_t i = 0; i < slice.devices.size(); ++i) {
    entry["devices"].push_back(usage_json(slice.devices[i], usage.devices[i]));
  }
  return entry;
}

Result<Token> random_token() {
  Token token;
  if (getrandom(token.data(), token.size(), 0) != static_cast<ssize_t>(token.size())) {
    return Status::from_errno(errno, "cannot draw a random token");
  }
  return token;
}

Result<uint32_t> gpu_index(const Json& gpu) {
  if (!gpu.is_number_unsigned() || gpu.get<uint64_t>() > UINT32_MAX) {
    return Status(Code::kInvalidArgument, "a GPU is named by its index");
  }
  return gpu.get<uint32_t>();
}

Result<SliceRequest> parse_slice_request(std::string_view text) {
  auto object = parse_json_object(text);
  SliceRequest request;
  request.name = json_string(*object, "name");
  request.program = json_string(*object, "program");
  for (const Json& gpu : json_array(*object, "gpus")) {
    TESSERA_ASSIGN_OR_RETURN(uint32_t index, gpu_index(gpu));
    request.gpus.push_back(index);
  }
  if (object->contains("memory_bytes") && json_array(*object, "memory_bytes").empty()) {
    return Status(Code::kInvalidArgument, "memory_bytes is not a list of numbers of bytes");
  }
  for (const Json& bytes : json_array(*object, "memory_bytes")) {
    if (!bytes.is_number_unsigned()) {
      return Status(Code::kInvalidArgument, "memory_bytes is not a list of numbers of bytes");
    }
    request.memory_bytes.push_back(bytes.get<uint64_t>());
  }
  return request;
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
    connection.send_control_reply(request, info());
  } else if (op == "slices") {
    connection.send_control_reply(request, slices());
  } else if (op == "create_slice") {
    connection.send_control_reply(request, create_slice(connection, text));
  } else if (op == "hold_slice") {
    connection.send_control_reply(request, hold_slice(connection, text));
  } else if (op == "set_limit") {
    connection.send_control_reply(request, set_limit(connection, text));
  } else if (op == "finish_slice") {
    connection.send_control_reply(request, finish_slice(connection));
  } else if (op == "gpus") {
    monitor_.refresh(monotonic_ns(), [this, connection_id, request](const Result<Inventory>& answer) {
      set_inventory(answer);
      Status refreshed = answer.ok() ? Status() : answer.status();
      if (Connection* asker = find_(connection_id)) asker->send_control_reply(request, gpus(refreshed));
    });
  } else {
    return Status::error(Code::kUnsupported, "this daemon (%s) knows no request of that name", kVersion);
  }
  return Status();
}

void ControlService::set_inventory(const Result<Inventory>& answer) {
  inventory_status_ = answer.ok() ? Status() : answer.status();
  if (!answer.ok()) {
    LOG_WARN("inventory", "%s", answer.status().message().c_str());
    return;
  }
  if (leases_.ledger().slices().empty()) {
    inventory_ = *answer;
    std::vector<uint64_t> totals;
    std::vector<std::string> uuids;
    for (const Gpu& gpu : inventory_.gpus) {
      totals.push_back(gpu.total_bytes);
      uuids.push_back(gpu.uuid);
    }
    leases_.ledger().set_gpu_totals(std::move(totals));
    leases_.set_gpu_uuids(std::move(uuids));
    return;
  }
  for (Gpu& gpu : inventory_.gpus) {
    for (const Gpu& now : answer->gpus) {
      if (now.uuid != gpu.uuid) continue;
      gpu.problem = now.problem;
      gpu.lost = now.lost;
      gpu.used_bytes = now.used_bytes;
      gpu.utilization_percent = now.utilization_percent;
    }
  }
}

std::string ControlService::info() const {
  Json answer;
  answer["ok"] = true;
  answer["version"] = kVersion;
  answer["pid"] = getpid();
  answer["driver_kind"] = inventory_.driver_kind;
  answer["driver_library"] = inventory_.driver_library;
  answer["driver_version"] = inventory_.driver_version;
  answer["gpus"] = inventory_.gpus.size();
  answer["slices"] = leases_.ledger().slices().size();
  answer["processes"] = leases_.ledger().leases().size();
  if (!inventory_status_.ok()) answer["problem"] = inventory_status_.message();
  return json_text(answer);
}

std::string ControlService::gpus(const Status& refreshed) const {
  if (!refreshed.ok() && inventory_.gpus.empty()) return refusal(refreshed);
  Json answer = gpus_json(inventory_, [&](uint32_t gpu) { return leases_.ledger().unreserved_bytes(gpu); });
  answer["ok"] = true;
  // The figures of use are then those of the last answer.
  if (!refreshed.ok()) answer["problem"] = refreshed.message();
  return json_text(answer);
}

std::string ControlService::slices() {
  Json answer;
  answer["ok"] = true;
  answer["slices"] = Json::array();
  for (const auto& [id, slice] : leases_.ledger().slices()) {
    Json entry = slice_json(slice, leases_.usage(id));
    entry["processes"] = Json::array();
    for (LeaseId lease_id : slice.leases) {
      const Lease& lease = *leases_.ledger().find_lease(lease_id);
      Json process;
      process["pid"] = lease.process.pid;
      process["age_seconds"] = seconds_since(lease.created_ns);
      process["used_bytes"] = Json::array();
      for (size_t i = 0; i < lease.devices.size(); ++i) {
        process["used_bytes"].push_back(leases_.lease_usage(lease, i).used_bytes);
      }
      entry["processes"].push_back(std::move(process));
    }
    answer["slices"].push_back(std::move(entry));
  }
  return json_text(answer);
}

std::string ControlService::create_slice(Connection& connection, std::string_view text) {
  if (connection.held_slice != 0) {
    return refusal(Status(Code::kFailedPrecondition, "this connection holds a slice already"));
  }
  auto request = parse_slice_request(text);
  if (!request.ok()) return refusal(request.status());
  if (leases_.ledger().gpu_totals().empty() && !inventory_status_.ok()) return refusal(inventory_status_);
  auto token = random_token();
  if (!token.ok()) return refusal(token.status());
  request->token = *token;
  request->owner = connection.peer().uid;
  auto holder = identify_process(connection.peer().pid);
  if (!holder.ok()) return refusal(holder.status());
  request->holder = *holder;
  auto id = leases_.open_slice(*request);
  if (!id.ok()) return refusal(id.status());
  connection.held_slice = *id;
  Json answer = slice_json(*leases_.ledger().find_slice(*id), leases_.usage(*id));
  answer["ok"] = true;
  answer["token"] = token_text(*token);
  return json_text(answer);
}

std::string ControlService::set_limit(const Connection& connection, std::string_view text) {
  auto object = parse_json_object(text);
  auto bytes = json_uint(*object, "memory_bytes");
  if (!bytes) return refusal(Status(Code::kInvalidArgument, "memory_bytes is not a number of bytes"));
  std::optional<uint32_t> gpu;
  if (object->contains("gpu")) {
    auto index = gpu_index((*object)["gpu"]);
    if (!index.ok()) return refusal(index.status());
    gpu = *index;
  }
  auto id = leases_.ledger().slice_named(json_string(*object, "name"), connection.peer().uid);
  if (!id.ok()) return refusal(id.status());
  Status changed = leases_.set_limit(*id, gpu, *bytes);
  if (!changed.ok()) return refusal(changed);
  Json answer = slice_json(*leases_.ledger().find_slice(*id), leases_.usage(*id));
  answer["ok"] = true;
  return json_text(answer);
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
  Json answer = slice_json(*leases_.ledger().find_slice(*id), leases_.usage(*id));
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
  Json answer = slice_json(slice, leases_.usage(id));
  answer["ok"] = true;
  answer["processes_left"] = slice.leases.size();
  leases_.drop_holder(id);
  return json_text(answer);
}

}  // namespace tessera::node
