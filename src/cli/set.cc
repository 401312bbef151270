// tessera set: changes a slice's limit while its programs run.
#include <cstdio>

#include "cli/commands.h"
#include "common/size.h"
#include "node/client.h"

namespace tessera::cli {
namespace {

using node::Json;

Result<Json> ask_change(const SetOptions& options) {
  TESSERA_ASSIGN_OR_RETURN(auto client, node::ControlClient::connect(options.socket));
  Json request;
  request["op"] = "set_limit";
  request["name"] = options.name;
  request["memory_bytes"] = options.memory_bytes;
  if (options.gpu) request["gpu"] = *options.gpu;
  TESSERA_ASSIGN_OR_RETURN(Json answer, client.ask(request));
  answer.erase("ok");
  return answer;
}

void print_device(const std::string& name, const Json& device) {
  auto number = [&](const char* key) { return node::json_uint(device, key).value_or(0); };
  const char* remark = "";
  if (number("used_bytes") > number("limit_bytes")) {
    remark = "; that is more than the limit: new allocations are refused until use falls below it";
  } else if (number("granted_bytes") > number("limit_bytes")) {
    remark = "; what its processes hold above the limit without using it is called back";
  }
  printf("%s: GPU %llu, limit %s, %s in use%s\n", name.c_str(),
         static_cast<unsigned long long>(number("gpu")), format_size(number("limit_bytes")).c_str(),
         format_size(number("used_bytes")).c_str(), remark);
}

}  // namespace

int set_command(const SetOptions& options) {
  auto slice = ask_change(options);
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
