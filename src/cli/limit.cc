// tessera limit: what a running `tessera serve` lets its clients have.
#include <cstdio>

#include "cli/commands.h"
#include "cli/table.h"
#include "common/clock.h"
#include "common/size.h"
#include "remote/bandwidth/rate.h"
#include "remote/front/admin_connection.h"

namespace tessera::cli {
namespace {

using node::Json;

constexpr uint64_t kPatienceNs = 10'000'000'000;

Result<Json> ask(const LimitOptions& options) {
  Json question = Json::object();
  if (!options.changes.empty()) {
    if (!options.identity.empty()) question["identity"] = options.identity;
    for (const auto& [name, text] : options.changes) question["set"][name] = text;
  }
  TESSERA_ASSIGN_OR_RETURN(
      const std::string text,
      remote::ask_admin(options.control, node::json_text(question), monotonic_ns() + kPatienceNs));
  auto answer = node::parse_json_object(text);
  if (!answer) return Status(Code::kInvalidData, "the server's answer is no JSON object");
  if (!node::json_bool(*answer, "ok"))
    return Status(Code::kInvalidArgument, node::json_string(*answer, "message"));
  answer->erase("ok");
  return std::move(*answer);
}

// Only what is of one identity.
Status keep_identity(Json& answer, const std::string& name) {
  if (name.empty()) return Status();
  for (const auto& [list, key] : {std::pair("identities", "name"), std::pair("sessions", "identity")}) {
    Json kept = Json::array();
    for (const Json& one : node::json_array(answer, list))
      if (node::json_string(one, key) == name) kept.push_back(one);
    answer[list] = std::move(kept);
  }
  return answer["identities"].empty()
             ? Status::error(Code::kNotFound, "nobody is called '%s' there", name.c_str())
             : Status();
}

std::string rate(const Json& object, const char* key) {
  const auto value = node::json_uint(object, key);
  return value ? remote::format_rate(*value) : "-";
}

std::string number(const Json& object, const char* key) {
  const auto value = node::json_uint(object, key);
  return value ? std::to_string(*value) : "-";
}

std::string of(const Json& object) {
  return number(object, "sessions") + "/" + number(object, "max_sessions");
}

void print_limits(const Json& answer, bool with_server) {
  using enum Table::Align;
  Table table({{"WHO", kLeft},
               {"SESSIONS", kRight},
               {"DOWNLOAD", kRight},
               {"GUARANTEED", kRight},
               {"UPLOAD", kRight},
               {"GUARANTEED", kRight},
               {"WEIGHT", kRight},
               {"MEM", kRight},
               {"SM", kRight}});
  const Json& server = answer["server"];
  if (with_server)
    table.add(
        {"(server)", of(server), rate(server, "download"), "-", rate(server, "upload"), "-", "-", "-", "-"});
  for (const Json& one : node::json_array(answer, "identities")) {
    const auto memory = node::json_uint(one, "memory_bytes"), share = node::json_uint(one, "share_permille");
    table.add({node::json_string(one, "name"), of(one), rate(one["download"], "most"),
               rate(one["download"], "guaranteed"), rate(one["upload"], "most"),
               rate(one["upload"], "guaranteed"), number(one["download"], "weight"),
               memory ? format_size(*memory) : "-",
               share ? std::to_string(*share / 10) + "." + std::to_string(*share % 10) + "%" : "-"});
  }
  table.print();
}

void print_sessions(const Json& answer) {
  using enum Table::Align;
  const Json sessions = node::json_array(answer, "sessions");
  if (sessions.empty()) return;
  puts("");
  Table table({{"PID", kRight},
               {"IDENTITY", kLeft},
               {"FROM", kLeft},
               {"DOWNLOAD", kRight},
               {"BYTES", kRight},
               {"UPLOAD", kRight},
               {"BYTES", kRight},
               {"AGE", kRight}});
  for (const Json& one : sessions) {
    const auto bytes = [&](const char* way) {
      return format_size(node::json_uint(one[way], "bytes").value_or(0));
    };
    table.add({number(one, "pid"), node::json_string(one, "identity"), node::json_string(one, "peer"),
               rate(one["download"], "rate"), bytes("download"), rate(one["upload"], "rate"), bytes("upload"),
               format_age(one["seconds"].get<double>())});
  }
  table.print();
}

}  // namespace

int limit_command(const LimitOptions& options) {
  auto answer = ask(options);
  Status status = answer.ok() ? keep_identity(*answer, options.identity) : answer.status();
  if (!status.ok()) {
    print_error("limit", status);
    return kExitFailure;
  }
  if (options.json) {
    puts(node::json_text(*answer, 2).c_str());
    return 0;
  }
  print_limits(*answer, options.identity.empty());
  print_sessions(*answer);
  return 0;
}

}  // namespace tessera::cli
