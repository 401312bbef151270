// Inventory to JSON and back.
#include "common/index_set.h"
#include "node/inventory.h"
#include "node/inventory_json.h"
#include "node/topology/pci_address.h"

namespace tessera::node {

std::string inventory_answer_text(const Result<Inventory>& answer) {
  Json text;
  text["ok"] = answer.ok();
  if (!answer.ok()) {
    text["message"] = answer.status().message();
    return json_text(text);
  }
  text["driver_kind"] = answer->driver_kind;
  text["driver_library"] = answer->driver_library;
  text["driver_version"] = answer->driver_version;
  text["space"] = answer->space;
  text["mps"] = answer->mps;
  text["gpus"] = Json::array();
  for (const Gpu& gpu : answer->gpus) {
    Json entry;
    entry["uuid"] = gpu.uuid;
    entry["name"] = gpu.name;
    entry["pci"] = gpu.pci;
    entry["total_bytes"] = gpu.total_bytes;
    entry["used_bytes"] = gpu.used_bytes;
    entry["sm_count"] = gpu.sm_count;
    if (gpu.utilization_percent) entry["utilization_percent"] = *gpu.utilization_percent;
    if (gpu.uncorrected_errors) entry["uncorrected_errors"] = *gpu.uncorrected_errors;
    add_sensors(entry, gpu.sensors);
    if (gpu.processes_ns != 0) {
      entry["processes_ns"] = gpu.processes_ns;
      entry["processes"] = Json::array();
      for (const GpuProcess& process : gpu.processes)
        entry["processes"].push_back({{"pid", process.pid}, {"percent", process.percent}});
    }
    if (gpu.memory) {
      entry["memory"] = Json::array();
      for (const GpuMemory& one : *gpu.memory) entry["memory"].push_back(Json::array({one.pid, one.bytes}));
    }
    if (!gpu.problem.empty()) {
      entry["problem"] = gpu.problem;
      entry["lost"] = gpu.lost;
    }
    text["gpus"].push_back(std::move(entry));
  }
  return json_text(text);
}

namespace {

// What is not understood is passed over: a driver that tells nothing of processes is as good.
void read_processes(const Json& entry, Gpu& gpu) {
  gpu.processes_ns = json_uint(entry, "processes_ns").value_or(0);
  for (const Json& one : json_array(entry, "processes")) {
    const auto pid = json_uint(one, "pid"), percent = json_uint(one, "percent");
    if (!pid || !percent || *pid > INT32_MAX || *percent > 100) continue;
    if (gpu.processes.size() == kMaxGpuProcesses) return;
    gpu.processes.push_back({static_cast<uint32_t>(*pid), static_cast<uint32_t>(*percent)});
  }
}

void read_memory(const Json& entry, Gpu& gpu) {
  if (!entry.contains("memory")) return;
  gpu.memory.emplace();
  for (const Json& one : json_array(entry, "memory")) {
    const bool is_pair = one.is_array() && one.size() == 2 && one[0].is_number_unsigned() &&
                         one[1].is_number_unsigned() && one[0].get<uint64_t>() <= INT32_MAX;
    if (!is_pair || gpu.memory->size() == kMaxGpuProcesses) continue;
    gpu.memory->push_back({one[0].get<uint32_t>(), one[1].get<uint64_t>()});
  }
}

}  // namespace

Result<Inventory> parse_inventory_answer(std::string_view text) {
  auto answer = parse_json_object(text);
  if (!answer) return Status(Code::kInvalidData, "the driver could not be asked: no answer");
  if (!json_bool(*answer, "ok")) {
    std::string message = json_string(*answer, "message");
    return Status(Code::kUnavailable, message.empty() ? "the driver could not be asked" : message);
  }
  Inventory inventory;
  inventory.driver_kind = json_string(*answer, "driver_kind");
  inventory.driver_library = json_string(*answer, "driver_library");
  inventory.driver_version = json_string(*answer, "driver_version");
  inventory.space = json_bool(*answer, "space");
  inventory.mps = json_bool(*answer, "mps");
  for (const Json& entry : json_array(*answer, "gpus")) {
    Gpu gpu;
    gpu.uuid = json_string(entry, "uuid");
    gpu.name = json_string(entry, "name");
    gpu.pci = pci_address(json_string(entry, "pci"));
    auto total = json_uint(entry, "total_bytes");
    auto used = json_uint(entry, "used_bytes");
    gpu.problem = json_string(entry, "problem");
    gpu.lost = !gpu.problem.empty() && json_bool(entry, "lost");
    if (!total || !used || (gpu.uuid.empty() && gpu.problem.empty()) || inventory.gpus.size() == kMaxGpus) {
      return Status(Code::kInvalidData, "the driver's answer about a GPU is incomplete");
    }
    gpu.total_bytes = *total;
    gpu.used_bytes = *used;
    // More than there can be is taken for none known.
    const uint64_t sms = json_uint(entry, "sm_count").value_or(0);
    gpu.sm_count = sms <= IndexSet::kMax ? static_cast<uint32_t>(sms) : 0;
    if (auto percent = json_uint(entry, "utilization_percent")) {
      gpu.utilization_percent = static_cast<uint32_t>(*percent);
    }
    gpu.uncorrected_errors = json_uint(entry, "uncorrected_errors");
    read_processes(entry, gpu);
    read_memory(entry, gpu);
    gpu.sensors = parse_sensors(entry);
    inventory.gpus.push_back(std::move(gpu));
  }
  return inventory;
}

Json gpus_json(const Inventory& inventory, const std::function<uint64_t(uint32_t gpu)>& unreserved) {
  Json answer;
  answer["driver_kind"] = inventory.driver_kind;
  answer["driver_version"] = inventory.driver_version;
  answer["gpus"] = Json::array();
  for (uint32_t i = 0; i < inventory.gpus.size(); ++i) {
    const Gpu& gpu = inventory.gpus[i];
    Json entry;
    entry["index"] = i;
    entry["name"] = gpu.name;
    entry["uuid"] = gpu.uuid;
    entry["pci"] = gpu.pci.empty() ? Json(nullptr) : Json(gpu.pci);
    entry["driver_kind"] = inventory.driver_kind;
    entry["state"] = gpu.problem.empty() ? "ok" : gpu.lost ? "lost" : "unavailable";
    if (!gpu.problem.empty()) entry["problem"] = gpu.problem;
    entry["total_bytes"] = gpu.total_bytes;
    entry["used_bytes"] = gpu.problem.empty() ? Json(gpu.used_bytes) : Json(nullptr);
    entry["unreserved_bytes"] = unreserved(i);
    entry["sm_count"] = gpu.sm_count != 0 ? Json(gpu.sm_count) : Json(nullptr);
    entry["utilization_percent"] = gpu.utilization_percent ? Json(*gpu.utilization_percent) : Json(nullptr);
    add_sensors(entry, gpu.sensors);
    answer["gpus"].push_back(std::move(entry));
  }
  return answer;
}

}  // namespace tessera::node
