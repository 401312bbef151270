// tessera run: makes a slice, runs a program in it, reports what it used.
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "cli/child.h"
#include "cli/commands.h"
#include "cli/daemon_start.h"
#include "cli/installation.h"
#include "common/clock.h"
#include "common/size.h"
#include "common/strings.h"

namespace tessera::cli {
namespace {

using node::ControlClient;
using node::Json;

constexpr int kExitOwnFailure = 125;  // of tessera itself, told apart from the program's own codes

std::string file_name(const std::string& path) {
  size_t slash = path.rfind('/');
  return slash == std::string::npos ? path : path.substr(slash + 1);
}

// The program may go to another folder before it allocates.
std::string absolute(const std::string& path) {
  std::error_code error;
  const std::filesystem::path whole = std::filesystem::absolute(path, error);
  return error ? path : whole.string();
}

struct HeldSlice {
  ControlClient
      client;  // the slice lives as long as this connection, a process in it, or until it is deleted
  Json slice;
};

Json join_request(const RunOptions& options) {
  Json request;
  request["op"] = "join_slice";
  request["name"] = options.slice;
  return request;
}

Result<HeldSlice> open_slice(const RunOptions& options) {
  Json request = slice_request(options);
  request["op"] = "create_slice";
  request["program"] = file_name(options.command[0]);
  if (!options.name.empty()) request["name"] = options.name;
  if (!options.slice.empty()) request = join_request(options);
  // A daemon may end for idleness between our connecting and our asking: then the next one is asked.
  constexpr int kAttempts = 3;
  for (int attempt = 1;; ++attempt) {
    TESSERA_ASSIGN_OR_RETURN(ControlClient client, connect_or_start(options.socket));
    auto slice = client.ask(request);
    if (slice.ok()) return HeldSlice{std::move(client), std::move(*slice)};
    if (slice.status().code() != Code::kUnavailable || attempt == kAttempts) return slice.status();
  }
}

// The guest's folder before others.
std::string with_guest(const std::string& guest_folder) {
  const std::string libraries = env_or("LD_LIBRARY_PATH", "");
  return libraries.empty() ? guest_folder : guest_folder + ":" + libraries;
}

std::vector<std::pair<std::string, std::string>> child_environment(const RunOptions& options,
                                                                   const std::string& token,
                                                                   const std::string& guest_folder) {
  std::string socket = options.socket;
  if (char* resolved = realpath(socket.c_str(), nullptr)) {
    socket = resolved;
    free(resolved);
  }
  std::vector<std::pair<std::string, std::string>> environment = {
      {"TESSERA_SLICE", token}, {"TESSERA_SOCKET", socket}, {"LD_LIBRARY_PATH", with_guest(guest_folder)}};
  if (!options.trace.empty()) environment.emplace_back("TESSERA_TRACE", absolute(options.trace));
  if (!options.hami.log_level.empty() && env_or("TESSERA_LOG", "").empty()) {
    environment.emplace_back("TESSERA_LOG", options.hami.log_level);
  }
  return environment;
}

Json summary_json(const Json& figures, const ChildResult& result, double seconds) {
  Json summary;
  summary["name"] = figures["name"];
  summary["exit_code"] = result.exit_code;
  summary["signal"] = result.signal;
  summary["seconds"] = seconds;
  for (const char* key : {"processes_ever", "processes_left", "devices"}) {
    summary[key] = figures.contains(key) ? figures[key] : Json(nullptr);
  }
  return summary;
}

void print_summary(const Json& summary) {
  double seconds = summary["seconds"].get<double>();
  for (const Json& device : node::json_array(summary, "devices")) {
    auto bytes = [&](const char* key) { return format_size(node::json_uint(device, key).value_or(0)); };
    fprintf(stderr, "tessera: %s: GPU %llu, limit %s, peak %s, refusals %llu, %.1f s, exit code %d\n",
            node::json_string(summary, "name").c_str(),
            static_cast<unsigned long long>(node::json_uint(device, "gpu").value_or(0)),
            node::json_bool(device, "reserved") ? bytes("limit_bytes").c_str() : "-",
            bytes("peak_bytes").c_str(),
            static_cast<unsigned long long>(node::json_uint(device, "refusals").value_or(0)), seconds,
            summary["exit_code"].get<int>());
  }
}

Status write_summary(int file, const Json& summary) {
  std::string text = node::json_text(summary, 2) + "\n";
  if (write(file, text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    return Status::from_errno(errno, "cannot write the summary");
  }
  return Status();
}

void warn_daemon_gone() {
  fprintf(stderr,
          "tessera run: tesserad has ended; the program goes on with the GPU memory it was granted, and gets "
          "more once "
          "tesserad is there again\n");
}

// The slice is held again on a new connection, where there is a daemon that knows of it.
bool hold_again(const RunOptions& options, HeldSlice& held) {
  auto client = ControlClient::connect(options.socket);
  if (!client.ok()) return false;
  Json request;
  request["op"] = "hold_slice";
  request["token"] = held.slice["token"];
  if (!options.slice.empty()) request = join_request(options);
  auto answer = client->ask(request);
  if (!answer.ok()) return false;
  held.client = std::move(*client);
  return true;
}

DaemonWatch watch_daemon(const RunOptions& options, HeldSlice& held) {
  DaemonWatch watch;
  watch.connection = held.client.descriptor();
  watch.gone = warn_daemon_gone;
  watch.regain = [&options, &held] {
    if (!hold_again(options, held)) return -1;
    fprintf(stderr, "tessera run: tesserad is there again, and the slice is as it was\n");
    return held.client.descriptor();
  };
  return watch;
}

// The figures of the ended slice, where wanted.
Status report(const RunOptions& options, HeldSlice& held, const ChildResult& result, double seconds,
              int file) {
  Json request;
  request["op"] = "finish_slice";
  if (!options.slice.empty()) request = join_request(options);
  auto figures = held.client.ask(request);
  if (!figures.ok() && hold_again(options, held)) figures = held.client.ask(request);
  if (!figures.ok()) return figures.status();
  Json summary = summary_json(*figures, result, seconds);
  if (options.summary) print_summary(summary);
  return file >= 0 ? write_summary(file, summary) : Status();
}

bool is_users_mistake(Code code) {
  return code == Code::kInvalidArgument || code == Code::kNotFound || code == Code::kAlreadyExists;
}

int fail(const Status& status, int code) {
  print_error("run", status);
  return code;
}

// The slice is made on the server, by what the program's first call asks for.
int run_remotely(const RunOptions& options, const std::string& path, const std::string& guest_folder) {
  Json wishes = slice_request(options);
  wishes["program"] = file_name(options.command[0]);
  auto environment = server_environment(options.remote, node::json_text(wishes));
  environment.emplace_back("LD_LIBRARY_PATH", with_guest(guest_folder));
  unsetenv("TESSERA_SLICE");
  auto result = run_child({path, options.command}, environment, DaemonWatch());
  return result.ok() ? result->exit_code : fail(result.status(), kExitNotExecutable);
}

}  // namespace

int run_command(const RunOptions& options) {
  auto [path, code] = find_program(options.command[0]);
  if (!path.ok()) return fail(path.status(), code);
  auto guest_folder = find_guest_folder();
  if (!guest_folder.ok()) return fail(guest_folder.status(), kExitOwnFailure);
  if (!options.remote.server.empty()) return run_remotely(options, *path, *guest_folder);
  UniqueFd summary_file;
  if (!options.json_summary.empty()) {
    summary_file.reset(open(options.json_summary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
    if (!summary_file) {
      return fail(Status::from_errno(errno, "cannot write %s", options.json_summary.c_str()), kExitUsage);
    }
  }
  auto held = open_slice(options);
  if (!held.ok()) {
    return fail(held.status(), is_users_mistake(held.status().code()) ? kExitUsage : kExitOwnFailure);
  }
  uint64_t started_ns = monotonic_ns();
  auto result = run_child({*path, options.command},
                          child_environment(options, node::json_string(held->slice, "token"), *guest_folder),
                          watch_daemon(options, *held));
  if (!result.ok()) return fail(result.status(), kExitNotExecutable);
  double seconds = static_cast<double>(monotonic_ns() - started_ns) / 1e9;
  if (options.summary || summary_file) {
    Status status = report(options, *held, *result, seconds, summary_file.get());
    if (!status.ok()) print_error("run", status.with_context("no summary"));
  }
  return result->exit_code;
}

}  // namespace tessera::cli
