// tessera slice: plans, makes, lists and deletes slices that stay whether programs run in them or not.
#include <algorithm>
#include <cstdio>

#include "cli/commands.h"
#include "cli/daemon_start.h"
#include "cli/held_signals.h"
#include "cli/table.h"
#include "common/size.h"
#include "common/strings.h"

namespace tessera::cli {
namespace {

using node::ControlClient;
using node::Json;

struct NamedSlice {
  std::string name;
  SliceOptions options;
};

Result<std::vector<NamedSlice>> slices_of(const std::string& file, const std::string& name,
                                          const SliceOptions& options) {
  if (file.empty()) return std::vector<NamedSlice>{{name, options}};
  std::vector<NamedSlice> slices;
  TESSERA_ASSIGN_OR_RETURN(NamedProfiles profiles, read_slices(file));
  for (const auto& [key, profile] : profiles) {
    NamedSlice& slice = slices.emplace_back(NamedSlice{key, {}});
    Status parsed = parse_slice_options(raw_slice(profile), slice.options);
    if (!parsed.ok()) return parsed.with_context(file + ": '" + key + "'");
  }
  return slices;
}

// One entry for each GPU of each slice; `owners` says whose it is.
Json plan_request(const std::vector<NamedSlice>& slices, std::vector<size_t>& owners) {
  Json request;
  request["op"] = "plan_slices";
  request["slices"] = Json::array();
  for (size_t i = 0; i < slices.size(); ++i) {
    const SliceOptions& options = slices[i].options;
    for (size_t part = 0; part < std::max<size_t>(options.gpus.size(), 1); ++part) {
      auto of_part = [&](const auto& all) { return all[all.size() == 1 ? 0 : part]; };
      Json entry = Json::object();
      if (!options.gpus.empty()) entry["gpu"] = options.gpus[part];
      if (!options.memory_bytes.empty()) entry["memory_bytes"] = of_part(options.memory_bytes);
      if (!options.memory.empty()) entry["memory"] = memory_request(options.memory);
      if (!options.compute.empty()) entry["compute"] = compute_request(of_part(options.compute));
      request["slices"].push_back(std::move(entry));
      owners.push_back(i);
    }
  }
  return request;
}

std::string place_text(const Json& entry) {
  return entry.contains("sms") ? "space, SMs " + node::json_string(entry, "sms") : "time";
}

void print_plan(const SlicePlanOptions& options, const Json& plan) {
  using enum Table::Align;
  Table table({{"SLICE", kLeft}, {"GPU", kRight}, {"MODE", kLeft}});
  for (const Json& entry : node::json_array(plan, "placements")) {
    const bool placed = node::json_bool(entry, "ok");
    table.add({node::json_string(entry, "name"), placed ? std::to_string(entry["gpu"].get<uint64_t>()) : "-",
               placed ? place_text(entry) : "refused: " + node::json_string(entry, "message")});
  }
  table.print();
  if (!options.explain) return;
  printf("\ntaken: %s, %s\n", node::json_string(plan, "order").c_str(),
         node::json_string(plan, "packing") == "spread" ? "each on the emptiest GPU that takes it"
                                                        : "each on the fullest GPU that takes it");
  for (const Json& entry : node::json_array(plan, "placements")) {
    for (const Json& reason : node::json_array(entry, "reasons")) {
      printf("%s: %s\n", node::json_string(entry, "name").c_str(), reason.get<std::string>().c_str());
    }
  }
}

Result<Json> make_slice(ControlClient& client, const NamedSlice& slice, const std::string& packing) {
  Json request = slice_request(slice.options);
  request["op"] = "create_slice";
  request["kept"] = true;
  request["name"] = slice.name;
  if (!packing.empty()) request["packing"] = packing;
  return client.ask(request);
}

// A batch goes where the plan says, so that what was planned to fit does.
Status follow_plan(ControlClient& client, std::vector<NamedSlice>& slices) {
  std::vector<size_t> owners;
  TESSERA_ASSIGN_OR_RETURN(Json plan, client.ask(plan_request(slices, owners)));
  const Json placements = node::json_array(plan, "placements");
  for (size_t i = 0; i < placements.size(); ++i) {
    NamedSlice& slice = slices[owners[i]];
    if (!node::json_bool(placements[i], "ok")) {
      return Status(
          Code::kResourceExhausted,
          "'" + slice.name + "': " + node::json_string(placements[i], "message") + "; nothing was made");
    }
    if (slice.options.gpus.empty()) slice.options.gpus = {placements[i]["gpu"].get<uint32_t>()};
  }
  return Status();
}

Status delete_slice(ControlClient& client, const std::string& name, bool when_unused, bool* ended) {
  Json request;
  request["op"] = "delete_slice";
  request["name"] = name;
  request["when_unused"] = when_unused;
  TESSERA_ASSIGN_OR_RETURN(Json answer, client.ask(request));
  *ended = node::json_bool(answer, "ended");
  return Status();
}

// All or none, also where Ctrl-C comes in between.
Result<Json> make_slices(const SliceCreateOptions& options) {
  TESSERA_ASSIGN_OR_RETURN(auto slices, slices_of(options.file, options.name, options.slice));
  TESSERA_ASSIGN_OR_RETURN(ControlClient client, connect_or_start(options.socket));
  if (!options.file.empty()) TESSERA_RETURN_IF_ERROR(follow_plan(client, slices));
  Json made = Json::array();
  const HeldSignals signals;
  for (const NamedSlice& slice : slices) {
    auto answer = signals.asked_to_end() ? Result<Json>(Status(Code::kUnavailable, "asked to end"))
                                         : make_slice(client, slice, options.packing);
    if (answer.ok()) {
      answer->erase("ok");
      answer->erase("token");  // programs get it; nobody else needs it
      made.push_back(std::move(*answer));
      continue;
    }
    bool ended = false;
    for (const Json& done : made) (void)delete_slice(client, node::json_string(done, "name"), true, &ended);
    return answer.status().with_context("'" + slice.name + "'");
  }
  return made;
}

void add_rows(Table& table, const Json& slice) {
  bool first = true;
  for (const Json& device : node::json_array(slice, "devices")) {
    auto number = [&](const char* key) { return node::json_uint(device, key).value_or(0); };
    const uint64_t share = node::json_uint(device["compute"], "share_permille").value_or(0);
    const std::string memory = node::json_bool(device, "reserved") ? format_size(number("limit_bytes")) : "-";
    const std::string promised = share == 0 ? "-" : str_format("%.1f%%", static_cast<double>(share) / 10);
    table.add({first ? node::json_string(slice, "name") : "", std::to_string(number("gpu")), memory, promised,
               place_text(device), first ? (node::json_bool(slice, "kept") ? "yes" : "no") : "",
               first ? std::to_string(node::json_array(slice, "processes").size()) : ""});
    first = false;
  }
}

void print_slices(const Json& slices) {
  using enum Table::Align;
  Table table({{"NAME", kLeft},
               {"GPU", kRight},
               {"MEMORY", kRight},
               {"COMPUTE", kRight},
               {"MODE", kLeft},
               {"STAYS", kLeft},
               {"PROCESSES", kRight}});
  for (const Json& slice : slices) add_rows(table, slice);
  table.print();
}

void print_balance(const Json& balance) {
  using enum Table::Align;
  const Json moves = node::json_array(balance, "moves");
  Table table({{"SLICE", kLeft},
               {"FROM", kRight},
               {"TO", kRight},
               {"MODE", kLeft},
               {"GAIN s", kRight},
               {"COST s", kRight}});
  for (const Json& move : moves) {
    table.add({node::json_string(move, "name"), std::to_string(node::json_uint(move, "from").value_or(0)),
               std::to_string(node::json_uint(move, "to").value_or(0)), place_text(move),
               str_format("%.1f", move["gain_seconds"].get<double>()),
               str_format("%.1f", move["cost_seconds"].get<double>())});
  }
  if (!moves.empty()) table.print();
  for (const Json& move : moves) {
    printf("%s: %s\n", node::json_string(move, "name").c_str(), node::json_string(move, "reason").c_str());
  }
  for (const Json& part : node::json_array(balance, "stays")) {
    printf("%s stays on GPU %llu: %s\n", node::json_string(part, "name").c_str(),
           static_cast<unsigned long long>(node::json_uint(part, "gpu").value_or(0)),
           node::json_string(part, "reason").c_str());
  }
}

int fail(const char* command, const Status& status) {
  print_error(command, status);
  return kExitFailure;
}

}  // namespace

int slice_plan_command(const SlicePlanOptions& options) {
  auto slices = slices_of(options.file, "slice", options.slice);
  if (!slices.ok()) return fail("slice plan", slices.status());
  auto client = connect_or_start(options.socket);
  if (!client.ok()) return fail("slice plan", client.status());
  std::vector<size_t> owners;
  auto plan = client->ask(plan_request(*slices, owners));
  if (!plan.ok()) return fail("slice plan", plan.status());
  bool all = true;
  for (size_t i = 0; i < owners.size(); ++i) {
    Json& entry = (*plan)["placements"][i];
    entry["name"] = (*slices)[owners[i]].name;
    all &= node::json_bool(entry, "ok");
  }
  if (options.json) {
    plan->erase("ok");
    puts(node::json_text(*plan, 2).c_str());
  } else {
    print_plan(options, *plan);
  }
  return all ? 0 : kExitFailure;
}

int slice_create_command(const SliceCreateOptions& options) {
  auto made = make_slices(options);
  if (!made.ok()) return fail("slice create", made.status());
  if (options.json) {
    puts(node::json_text(*made, 2).c_str());
  } else {
    print_slices(*made);
  }
  return 0;
}

int slice_list_command(const SliceListOptions& options) {
  auto answer = ask_slices(options.socket);
  if (!answer.ok()) return fail("slice list", answer.status());
  if (options.json) {
    puts(node::json_text(*answer, 2).c_str());
  } else {
    print_slices(node::json_array(*answer, "slices"));
  }
  return 0;
}

int slice_balance_command(const SliceBalanceOptions& options) {
  auto client = ControlClient::connect(options.socket);
  if (!client.ok()) return fail("slice balance", client.status());
  Json request;
  request["op"] = "balance_slices";
  request["apply"] = options.apply;
  auto answer = client->ask(request);
  if (!answer.ok()) return fail("slice balance", answer.status());
  answer->erase("ok");
  if (options.json) {
    puts(node::json_text(*answer, 2).c_str());
  } else {
    print_balance(*answer);
  }
  return 0;
}

int slice_delete_command(const SliceDeleteOptions& options) {
  auto client = ControlClient::connect(options.socket);
  if (!client.ok()) return fail("slice delete", client.status());
  bool ended = false;
  Status status = delete_slice(*client, options.name, options.when_unused, &ended);
  if (!status.ok()) return fail("slice delete", status);
  if (options.json) {
    Json answer;
    answer["name"] = options.name;
    answer["ended"] = ended;
    puts(node::json_text(answer, 2).c_str());
  } else if (!ended) {
    printf("%s ends with the last program in it\n", options.name.c_str());
  }
  return 0;
}

}  // namespace tessera::cli
