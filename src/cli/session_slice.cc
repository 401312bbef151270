#include "cli/session_slice.h"

#include <algorithm>

#include "common/size.h"
#include "common/strings.h"

namespace tessera::cli {
namespace {

using node::Json;

constexpr size_t kMostDevices = 64;
constexpr size_t kMostProgramBytes = 64;

Status no_wish(const char* what) {
  return Status::error(Code::kInvalidArgument, "what the client wishes of its slice makes no sense: %s",
                       what);
}

// A request, as it becomes one.
class Wishes {
 public:
  Wishes(std::string identity, const SessionLimits& limits)
      : identity_(std::move(identity)), limits_(limits) {}

  Result<Json> request(const std::string& text) {
    const auto wishes = node::parse_json_object(text.empty() ? "{}" : text);
    if (!wishes) return no_wish("it is no JSON object");
    name_program(node::json_string(*wishes, "program"));
    TESSERA_RETURN_IF_ERROR(take_gpus(*wishes));
    TESSERA_RETURN_IF_ERROR(take_memory(*wishes));
    TESSERA_RETURN_IF_ERROR(take_compute(*wishes));
    return std::move(request_);
  }

 private:
  Status more_than_allowed(const char* what, const std::string& wished, const std::string& allowed) const {
    return Status::error(Code::kPermissionDenied, "'%s' may have %s %s and wishes for %s", identity_.c_str(),
                         what, allowed.c_str(), wished.c_str());
  }

  // Programs of different identities are never taken for the same, whatever they are called.
  void name_program(std::string program) {
    std::replace_if(
        program.begin(), program.end(), [](char c) { return c < ' ' || c == 0x7f; }, '_');
    program.resize(std::min(program.size(), kMostProgramBytes));
    request_["program"] = identity_ + ":" + (program.empty() ? "remote" : program);
  }

  Status take_gpus(const Json& wishes) {
    std::vector<uint32_t> gpus;
    for (const Json& gpu : node::json_array(wishes, "gpus")) {
      if (!gpu.is_number_unsigned() || gpu.get<uint64_t>() > UINT32_MAX || gpus.size() == kMostDevices)
        return no_wish("gpus are indices as in 'tessera gpus'");
      gpus.push_back(gpu.get<uint32_t>());
      const auto& allowed = limits_.gpus;
      if (!allowed.empty() && std::find(allowed.begin(), allowed.end(), gpus.back()) == allowed.end())
        return more_than_allowed("GPUs of its list only,", "GPU " + std::to_string(gpus.back()),
                                 "not others,");
    }
    if (gpus.empty()) gpus = limits_.gpus;
    if (!gpus.empty()) request_["gpus"] = gpus;
    return Status();
  }

  Status take_memory(const Json& wishes) {
    std::vector<uint64_t> memory;
    for (const Json& bytes : node::json_array(wishes, "memory_bytes")) {
      if (!bytes.is_number_unsigned() || memory.size() == kMostDevices)
        return no_wish("memory_bytes are numbers");
      memory.push_back(bytes.get<uint64_t>());
      if (limits_.memory_bytes && memory.back() > *limits_.memory_bytes)
        return more_than_allowed("of a GPU's memory", format_size(memory.back()),
                                 format_size(*limits_.memory_bytes));
    }
    if (memory.empty() && limits_.memory_bytes) memory = {*limits_.memory_bytes};
    if (!memory.empty()) request_["memory_bytes"] = memory;
    return Status();
  }

  Status take_compute(const Json& wishes) {
    Json all = node::json_array(wishes, "compute");
    if (all.size() > kMostDevices) return no_wish("compute is for more GPUs than there can be");
    if (all.empty() && (limits_.share_permille || limits_.priority || limits_.weight))
      all.push_back(Json::object());
    for (Json& one : all) {
      if (!one.is_object()) return no_wish("compute is a list of objects");
      TESSERA_RETURN_IF_ERROR(bound_number(one, "share_permille", "of a GPU's time, in tenths of a percent,",
                                           limits_.share_permille));
      TESSERA_RETURN_IF_ERROR(bound_number(one, "weight", "a weight of", limits_.weight));
      TESSERA_RETURN_IF_ERROR(bound_priority(one));
      // These raise what a slice gets when it falls short.
      const bool bounded = limits_.share_permille || limits_.priority || limits_.weight;
      if (bounded && (one.contains("slo_p99_ns") || one.contains("qos")))
        return more_than_allowed("bounded GPU time", "a promise of its own (--slo, --qos)", "only,");
    }
    // The daemon checks the rest.
    if (!all.empty()) request_["compute"] = std::move(all);
    return Status();
  }

  Status bound_number(Json& compute, const char* key, const char* what, std::optional<uint32_t> most) const {
    if (!most) return Status();
    if (!compute.contains(key)) {
      compute[key] = *most;
      return Status();
    }
    const auto wished = node::json_uint(compute, key);
    if (!wished) return no_wish("a number is none");
    return *wished <= *most ? Status()
                            : more_than_allowed(what, std::to_string(*wished), std::to_string(*most));
  }

  Status bound_priority(Json& compute) const {
    if (!limits_.priority) return Status();
    const char* const most = scheduling::priority_name(*limits_.priority);
    if (!compute.contains("priority")) {
      compute["priority"] = most;
      return Status();
    }
    const auto wished = scheduling::parse_priority(node::json_string(compute, "priority"));
    if (!wished) return no_wish("an unknown priority");
    // The highest comes first.
    return *wished >= *limits_.priority
               ? Status()
               : more_than_allowed("priority", scheduling::priority_name(*wished), most);
  }

  const std::string identity_;
  const SessionLimits& limits_;
  Json request_ = Json::object();
};

}  // namespace

Result<Json> session_slice_request(const std::string& identity, const SessionLimits& limits,
                                   const std::string& wishes) {
  return Wishes(identity, limits).request(wishes);
}

}  // namespace tessera::cli
