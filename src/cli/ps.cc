// tessera ps: the slices and their processes.
#include <cstdio>
#include <set>

#include "cli/commands.h"
#include "cli/table.h"
#include "common/size.h"
#include "common/strings.h"
#include "cuda/result_names.h"
#include "node/client.h"

namespace tessera::cli {
namespace {

using node::Json;

constexpr int kResidentColumn = 4;  // beside USED, where there is one

std::string pids_of(const Json& slice) {
  constexpr size_t kMost = 6;
  std::string text;
  Json processes = node::json_array(slice, "processes");
  for (size_t i = 0; i < processes.size() && i < kMost; ++i) {
    if (i > 0) text += ",";
    text += std::to_string(node::json_uint(processes[i], "pid").value_or(0));
    if (node::json_bool(processes[i], "round_the_gate")) text += "!";
  }
  if (processes.size() > kMost) text += str_format(",+%zu", processes.size() - kMost);
  return text.empty() ? "-" : text;
}

// Of the GPU's time; below 0 where it was borrowed.
std::string percent(const Json& device, const char* permille) {
  auto found = device.find(permille);
  if (found == device.end() || !found->is_number()) return "-";
  return str_format("%.1f%%", found->get<double>() / 10);
}

// What of what is used is on the GPU, where more may be promised than that has.
std::string resident(const Json& device) {
  const auto bytes = node::json_uint(device, "resident_bytes");
  return bytes ? format_size(*bytes) : "-";
}

bool any_overcommitted(const Json& answer) {
  for (const Json& slice : node::json_array(answer, "slices")) {
    for (const Json& device : node::json_array(slice, "devices")) {
      if (device.contains("resident_bytes")) return true;
    }
  }
  return false;
}

void add_slice(Table& table, const Json& slice, bool with_resident) {
  bool first = true;
  for (const Json& device : node::json_array(slice, "devices")) {
    auto number = [&](const char* key) { return node::json_uint(device, key).value_or(0); };
    double age = slice.contains("age_seconds") ? slice["age_seconds"].get<double>() : 0;
    std::vector<std::string> row = {
        first ? node::json_string(slice, "name") : "",
        std::to_string(number("gpu")),
        node::json_bool(device, "reserved") ? format_size(number("limit_bytes")) : "-",
        format_size(number("used_bytes")),
        format_size(number("peak_bytes")),
        std::to_string(number("refusals")),
        percent(device, "entitled_permille"),
        percent(device, "achieved_permille"),
        percent(device, "lent_permille"),
        first ? pids_of(slice) : "",
        first ? format_age(age) : ""};
    if (with_resident) row.insert(row.begin() + kResidentColumn, resident(device));
    table.add(std::move(row));
    first = false;
  }
}

void add_outside(Table& table, const Json& process, bool with_resident) {
  auto number = [&](const char* key) { return std::to_string(node::json_uint(process, key).value_or(0)); };
  std::vector<std::string> row = {"(outside)", number("gpu"), "-", "-",
                                  "-",         "-",           "-", number("utilization_percent") + ".0%",
                                  "-",         number("pid"), "-"};
  if (with_resident) row.insert(row.begin() + kResidentColumn, "-");
  table.add(std::move(row));
}

// On standard error: the table is for programs, too.
void tell_round(const Json& slice) {
  const std::string name = node::json_string(slice, "name");
  const uint64_t times = node::json_uint(slice, "round_the_gate").value_or(0);
  if (times > 0) {
    fprintf(stderr, "'%s' has gone round the gate: %llu process(es) worked beside their turns%s\n",
            name.c_str(), static_cast<unsigned long long>(times),
            node::json_bool(slice, "confined") ? "; it is confined" : "");
  }
}

// Once for each GPU.
void tell_thrashing(const Json& slices) {
  std::set<uint64_t> told;
  for (const Json& slice : slices) {
    for (const Json& device : node::json_array(slice, "devices")) {
      const uint64_t gpu = node::json_uint(device, "gpu").value_or(0);
      if (!node::json_bool(device, "thrashing") || !told.insert(gpu).second) continue;
      fprintf(stderr,
              "GPU %llu thrashes: %llu %% of its time goes into moving memory; turns on it are %.1f s now\n",
              static_cast<unsigned long long>(gpu),
              static_cast<unsigned long long>(node::json_uint(device, "moving_percent").value_or(0)),
              device.value("turn_seconds", 0.0));
    }
  }
}

void tell_failing(const Json& tenant) {
  const auto faults = static_cast<unsigned long long>(node::json_uint(tenant, "faults").value_or(0));
  const auto error = static_cast<int>(node::json_uint(tenant, "latest_error").value_or(0));
  const char* error_name = cuda::result_name(static_cast<CUresult>(error));
  const std::string name = node::json_string(tenant, "name");
  fprintf(
      stderr, "'%s' has failed on the GPU %llu time(s) in a row, last with %s%s\n", name.c_str(), faults,
      error_name == nullptr ? "an error" : error_name,
      node::json_bool(tenant, "isolated") ? "; it runs beside nobody until it is quiet, or forgiven" : "");
}

Result<Json> forgive(const PsOptions& options) {
  TESSERA_ASSIGN_OR_RETURN(auto client, node::ControlClient::connect(options.socket));
  Json request;
  request["op"] = "forgive_tenant";
  request["name"] = options.forgive;
  TESSERA_ASSIGN_OR_RETURN(Json answer, client.ask(request));
  answer.erase("ok");
  return answer;
}

}  // namespace

Result<Json> ask_slices(const std::string& socket) {
  auto client = node::ControlClient::connect(socket);
  if (!client.ok() && client.status().code() == Code::kUnavailable) {
    Json none;
    none["slices"] = Json::array();
    none["outside"] = Json::array();
    none["failing"] = Json::array();
    return none;
  }
  if (!client.ok()) return client.status();
  Json request;
  request["op"] = "slices";
  TESSERA_ASSIGN_OR_RETURN(Json answer, client->ask(request));
  answer.erase("ok");
  return answer;
}

int ps_command(const PsOptions& options) {
  auto answer = options.forgive.empty() ? ask_slices(options.socket) : forgive(options);
  if (!answer.ok()) {
    print_error("ps", answer.status());
    return kExitFailure;
  }
  if (options.json) {
    puts(node::json_text(*answer, 2).c_str());
    return 0;
  }
  using enum Table::Align;
  std::vector<Table::Column> columns = {{"NAME", kLeft},      {"GPU", kRight},      {"LIMIT", kRight},
                                        {"USED", kRight},     {"PEAK", kRight},     {"REFUSALS", kRight},
                                        {"ENTITLED", kRight}, {"ACHIEVED", kRight}, {"LENT", kRight},
                                        {"PIDS", kLeft},      {"AGE", kRight}};
  const bool with_resident = any_overcommitted(*answer);
  if (with_resident) columns.insert(columns.begin() + kResidentColumn, {"RESIDENT", kRight});
  Table table(std::move(columns));
  for (const Json& slice : node::json_array(*answer, "slices")) add_slice(table, slice, with_resident);
  for (const Json& process : node::json_array(*answer, "outside")) add_outside(table, process, with_resident);
  table.print();
  for (const Json& slice : node::json_array(*answer, "slices")) tell_round(slice);
  tell_thrashing(node::json_array(*answer, "slices"));
  for (const Json& tenant : node::json_array(*answer, "failing")) tell_failing(tenant);
  return 0;
}

}  // namespace tessera::cli
