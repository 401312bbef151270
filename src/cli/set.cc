// tessera set: changes a slice's limits while its programs run.
#include <cstdio>

#include "cli/commands.h"
#include "common/size.h"
#include "common/strings.h"
#include "node/client.h"
#include "partitioning/residency.h"

namespace tessera::cli {
namespace {

using node::Json;

Result<Json> ask_change(node::ControlClient& client, const SetOptions& options, Json request) {
  request["name"] = options.name;
  if (options.gpu) request["gpu"] = *options.gpu;
  TESSERA_ASSIGN_OR_RETURN(Json answer, client.ask(request));
  answer.erase("ok");
  return answer;
}

// The slice as it is after all changes. Where the second is refused, the first stays.
Result<Json> ask_changes(const SetOptions& options) {
  TESSERA_ASSIGN_OR_RETURN(auto client, node::ControlClient::connect(options.socket));
  Result<Json> slice = Json();
  if (!options.compute.empty()) {
    slice =
        ask_change(client, options, {{"op", "set_compute"}, {"compute", compute_request(options.compute)}});
  }
  if (slice.ok() && options.memory_bytes) {
    slice = ask_change(client, options, {{"op", "set_limit"}, {"memory_bytes", *options.memory_bytes}});
  }
  if (slice.ok() && !options.memory.empty()) {
    slice = ask_change(client, options, {{"op", "set_memory"}, {"memory", memory_request(options.memory)}});
  }
  return slice;
}

// Nothing where nothing of it was ever said.
std::string compute_text(const Json& device) {
  const Json& compute = device["compute"];
  const uint64_t share = node::json_uint(compute, "share_permille").value_or(0);
  const uint64_t weight = node::json_uint(compute, "weight").value_or(0);
  const std::string priority = node::json_string(compute, "priority");
  std::string text;
  if (share != 0) {
    text += str_format(", %s%.1f %% of its time", node::json_bool(compute, "capped") ? "at most " : "",
                       static_cast<double>(share) / 10);
  } else if (weight != scheduling::kDefaultWeight) {
    text += str_format(", weight %llu", static_cast<unsigned long long>(weight));
  }
  return priority == "normal" ? text : text + ", priority " + priority;
}

// As above.
std::string memory_text(const Json& device) {
  const auto memory = device.find("memory");
  if (memory == device.end()) return "";
  const uint64_t min = node::json_uint(*memory, "min_bytes").value_or(0);
  const uint64_t weight = node::json_uint(*memory, "weight").value_or(0);
  std::string text;
  if (min != 0) text += ", " + format_size(min) + " guaranteed";
  if (weight != partitioning::MemoryTerms::kDefaultWeight)
    text += str_format(", memory weight %llu", static_cast<unsigned long long>(weight));
  const auto rate = [&](const char* key, const char* before, const char* after) {
    const uint64_t bytes = node::json_uint(*memory, key).value_or(0);
    if (bytes != 0) text += std::string(", copies of ") + before + format_size(bytes) + " a second" + after;
  };
  rate("copy_min", "", " guaranteed");
  rate("copy_max", "at most ", "");
  return text;
}

void print_device(const std::string& name, const Json& device) {
  auto number = [&](const char* key) { return node::json_uint(device, key).value_or(0); };
  const char* remark = "";
  if (number("used_bytes") > number("limit_bytes")) {
    remark = "; that is more than the limit: new allocations are refused until use falls below it";
  } else if (number("granted_bytes") > number("limit_bytes")) {
    remark = "; what its processes hold above the limit without using it is called back";
  }
  printf("%s: GPU %llu, limit %s, %s in use%s%s%s\n", name.c_str(),
         static_cast<unsigned long long>(number("gpu")), format_size(number("limit_bytes")).c_str(),
         format_size(number("used_bytes")).c_str(), memory_text(device).c_str(), compute_text(device).c_str(),
         remark);
}

}  // namespace

int set_command(const SetOptions& options) {
  auto slice = ask_changes(options);
  if (!slice.ok()) {
    print_error("set", slice.status());
    return kExitFailure;
  }
  if (options.json) {
    puts(node::json_text(*slice, 2).c_str());
    return 0;
  }
  for (const Json& device : node::json_array(*slice, "devices")) {
    if (!options.gpu || node::json_uint(device, "gpu") == *options.gpu) print_device(options.name, device);
  }
  return 0;
}

}  // namespace tessera::cli
