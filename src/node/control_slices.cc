// ControlService's requests that plan, make and end slices.
#include <sys/random.h>

#include <cerrno>

#include "node/compute_json.h"
#include "node/control_service.h"
#include "node/memory_json.h"
#include "node/slice_json.h"

namespace tessera::node {
namespace {

Result<Token> random_token() {
  Token token;
  if (getrandom(token.data(), token.size(), 0) != static_cast<ssize_t>(token.size())) {
    return Status::from_errno(errno, "cannot draw a random token");
  }
  return token;
}

Json placement_json(const Result<partitioning::Placement>& placement) {
  Json entry;
  entry["ok"] = placement.ok();
  if (!placement.ok()) {
    entry["message"] = placement.status().message();
    return entry;
  }
  entry["gpu"] = placement->gpu;
  entry["mode"] = placement->sms.empty() ? "time" : "space";
  if (!placement->sms.empty()) entry["sms"] = placement->sms.text();
  entry["reasons"] = placement->reasons;
  return entry;
}

Result<std::vector<partitioning::PartRequest>> parse_plan(const Json& object) {
  std::vector<partitioning::PartRequest> requests;
  for (const Json& entry : json_array(object, "slices")) {
    if (requests.size() == kMaxSlices) {
      return Status::error(Code::kInvalidArgument, "at most %zu slices are planned at once", kMaxSlices);
    }
    partitioning::PartRequest& request = requests.emplace_back();
    if (!entry.is_object()) return Status(Code::kInvalidArgument, "a slice to plan is an object");
    if (entry.contains("memory_bytes")) {
      auto bytes = json_uint(entry, "memory_bytes");
      if (!bytes) return Status(Code::kInvalidArgument, "memory_bytes is not a number of bytes");
      request.memory_bytes = *bytes;
    }
    if (entry.contains("memory")) {
      TESSERA_ASSIGN_OR_RETURN(const auto terms, parse_memory_terms(entry["memory"]));
      request.memory_min_bytes = terms.min_bytes;
    }
    if (entry.contains("gpu")) {
      TESSERA_ASSIGN_OR_RETURN(request.gpu, gpu_index(entry["gpu"]));
    }
    if (entry.contains("compute")) {
      TESSERA_RETURN_IF_ERROR(apply_compute_json(entry["compute"], request.compute));
    }
  }
  if (requests.empty()) return Status(Code::kInvalidArgument, "no slices to plan");
  return requests;
}

}  // namespace

std::string refusal(const Status& status) {
  Json answer;
  answer["ok"] = false;
  answer["code"] = code_name(status.code());
  answer["message"] = status.message();
  return json_text(answer);
}

std::string ControlService::create_slice(Connection& connection, std::string_view text) {
  if (connection.held_slice != 0) {
    return refusal(Status(Code::kFailedPrecondition, "this connection holds a slice already"));
  }
  auto request = parse_slice_request(text);
  if (!request.ok()) return refusal(request.status());
  const bool kept = request->kept;
  auto id = make_slice(connection, std::move(*request));
  if (!id.ok()) return refusal(id.status());
  if (!kept) connection.held_slice = *id;
  return opened(*id);
}

Result<SliceId> ControlService::make_slice(const Connection& connection, SliceRequest request) {
  if (leases_.ledger().gpu_totals().empty() && !inventory_status_.ok()) return inventory_status_;
  TESSERA_ASSIGN_OR_RETURN(request.token, random_token());
  request.owner = connection.peer().uid;
  TESSERA_ASSIGN_OR_RETURN(request.holder, identify_process(connection.peer().pid));
  return leases_.open_slice(request);
}

// What a program needs to run in the slice.
std::string ControlService::opened(SliceId id) {
  const Slice& slice = *leases_.ledger().find_slice(id);
  Json answer = slice_json(slice, leases_);
  answer["ok"] = true;
  answer["token"] = token_text(slice.token);
  answer["driver_kind"] = inventory_.driver_kind;
  return json_text(answer);
}

std::string ControlService::plan_slices(std::string_view text) const {
  if (leases_.ledger().gpu_totals().empty() && !inventory_status_.ok()) return refusal(inventory_status_);
  auto requests = parse_plan(*parse_json_object(text));
  if (!requests.ok()) return refusal(requests.status());
  leases_.measure_needs();
  const partitioning::BatchPlan plan = partitioning::plan_batch(leases_.ledger().gpu_states(), *requests);
  Json answer;
  answer["ok"] = true;
  answer["placed"] = plan.placed;
  answer["order"] = plan.order;
  answer["packing"] = partitioning::packing_name(plan.packing);
  answer["placements"] = Json::array();
  for (const auto& placement : plan.placements) answer["placements"].push_back(placement_json(placement));
  return json_text(answer);
}

std::string ControlService::balance_slices(std::string_view text) {
  if (leases_.ledger().gpu_totals().empty() && !inventory_status_.ok()) return refusal(inventory_status_);
  const LeaseService::Balance balance = leases_.plan_balance();
  const partitioning::Rebalance& plan = balance.plan;
  const bool apply = json_bool(*parse_json_object(text), "apply");
  if (apply) {
    const Status applied = leases_.apply_balance(balance);
    if (!applied.ok()) return refusal(applied);
  }
  const auto name = [&](SliceId id) { return leases_.ledger().find_slice(id)->name; };
  Json answer;
  answer["ok"] = true;
  answer["applied"] = apply;
  answer["moves"] = Json::array();
  for (const auto& move : plan.moves) {
    const LeaseService::Balance::Part& part = balance.parts[move.part];
    Json entry = {{"name", name(part.slice)}, {"from", part.gpu}, {"to", move.to}};
    entry["mode"] = move.sms.empty() ? "time" : "space";
    if (!move.sms.empty()) entry["sms"] = move.sms.text();
    entry["gain_seconds"] = move.gain_seconds;
    entry["cost_seconds"] = move.cost_seconds;
    entry["reason"] = move.reason;
    answer["moves"].push_back(std::move(entry));
  }
  answer["stays"] = Json::array();
  for (const auto& part : balance.parts) {
    if (part.stays.empty()) continue;
    answer["stays"].push_back({{"name", name(part.slice)}, {"gpu", part.gpu}, {"reason", part.stays}});
  }
  answer["gpus"] = Json::array();
  for (size_t gpu = 0; gpu < plan.load_before.size(); ++gpu) {
    answer["gpus"].push_back(
        {{"gpu", gpu}, {"wanted_before", plan.load_before[gpu]}, {"wanted_after", plan.load_after[gpu]}});
  }
  return json_text(answer);
}

std::string ControlService::join_slice(const Connection& connection, std::string_view text) {
  auto target = target_of(connection, *parse_json_object(text));
  return target.ok() ? opened(target->slice) : refusal(target.status());
}

std::string ControlService::delete_slice(const Connection& connection, std::string_view text) {
  auto object = parse_json_object(text);
  auto target = target_of(connection, *object);
  if (!target.ok()) return refusal(target.status());
  leases_.reap(target->slice);
  auto ended = leases_.release_slice(target->slice, json_bool(*object, "when_unused"));
  if (!ended.ok()) return refusal(ended.status());
  Json answer;
  answer["ok"] = true;
  answer["ended"] = *ended;
  return json_text(answer);
}

}  // namespace tessera::node
