// tessera gpus: the GPUs of this node and what is left of them.
#include <cstdio>
#include <string>
#include <vector>

#include "cli/commands.h"
#include "cli/inventory_probe.h"
#include "cli/table.h"
#include "common/size.h"
#include "common/strings.h"
#include "node/client.h"
#include "node/inventory_json.h"

namespace tessera::cli {
namespace {

using node::Json;

// Without a daemon nothing is reserved, and the driver is asked directly.
Result<Json> gpus_without_daemon() {
  TESSERA_ASSIGN_OR_RETURN(node::Inventory inventory, probe_inventory());
  return node::gpus_json(inventory, [&](uint32_t index) { return inventory.gpus[index].total_bytes; });
}

}  // namespace

Result<Json> ask_gpus(const std::string& socket, std::optional<uint32_t> forgive) {
  auto client = node::ControlClient::connect(socket);
  if (!forgive && !client.ok() && client.status().code() == Code::kUnavailable) return gpus_without_daemon();
  if (!client.ok()) return client.status();
  Json request;
  request["op"] = forgive ? "forgive_gpu" : "gpus";
  if (forgive) request["gpu"] = *forgive;
  TESSERA_ASSIGN_OR_RETURN(Json answer, client->ask(request));
  answer.erase("ok");
  return answer;
}

int gpus_command(const GpusOptions& options) {
  auto answer = ask_gpus(options.socket, options.forgive);
  if (!answer.ok()) {
    print_error("gpus", answer.status());
    return kExitFailure;
  }
  if (options.json) {
    puts(node::json_text(*answer, 2).c_str());
    return 0;
  }
  using enum Table::Align;
  Table table({{"GPU", kRight},
               {"NAME", kLeft},
               {"DRIVER", kLeft},
               {"TOTAL", kRight},
               {"USED", kRight},
               {"UNRESERVED", kRight},
               {"UTIL", kRight},
               {"STATE", kLeft},
               {"UUID", kLeft}});
  std::vector<std::string> problems;
  for (const Json& gpu : node::json_array(*answer, "gpus")) {
    auto number = [&](const char* key) { return node::json_uint(gpu, key).value_or(0); };
    auto percent = node::json_uint(gpu, "utilization_percent");
    table.add({std::to_string(number("index")), node::json_string(gpu, "name"),
               node::json_string(gpu, "driver_kind"), format_size(number("total_bytes")),
               node::json_uint(gpu, "used_bytes") ? format_size(number("used_bytes")) : "-",
               format_size(number("unreserved_bytes")), percent ? std::to_string(*percent) + "%" : "-",
               node::json_string(gpu, "state"), node::json_string(gpu, "uuid")});
    std::string ill = node::json_string(gpu, "problem");
    if (!ill.empty()) {
      problems.push_back("GPU " + std::to_string(number("index")) + " is " + node::json_string(gpu, "state") +
                         ": " + ill);
    }
  }
  table.print();
  for (const std::string& ill : problems) fprintf(stderr, "tessera gpus: %s\n", ill.c_str());
  std::string problem = node::json_string(*answer, "problem");
  if (!problem.empty()) fprintf(stderr, "tessera gpus: figures of use are old: %s\n", problem.c_str());
  return 0;
}

}  // namespace tessera::cli
