#include "cli/options.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cassert>
#include <cstdio>

#include "cli/profiles.h"
#include "common/command_line.h"
#include "common/size.h"
#include "common/strings.h"
#include "node/ledger.h"
#include "node/runtime_path.h"

namespace tessera::cli {
namespace {

// --mem and --sm go before HAMi's variables: with them they are not even read.
Status take_hami_settings(RunOptions& run) {
  const bool has_memory = !run.memory_bytes.empty();
  const bool has_share = run.compute[0].share_permille.has_value();
  auto environment = [&](const std::string& name) {
    if (has_memory && name.starts_with("CUDA_DEVICE_MEMORY_LIMIT")) return std::string();
    if (has_share && name.starts_with("CUDA_DEVICE_SM_LIMIT")) return std::string();
    return env_or(name.c_str(), "");
  };
  TESSERA_ASSIGN_OR_RETURN(run.hami,
                           read_hami_environment(environment, std::max<size_t>(run.gpus.size(), 1)));
  if (!has_memory) run.memory_bytes = run.hami.memory_bytes;
  run.compute = with_hami_compute(run.compute[0], run.hami);
  return Status();
}

// A slice that exists has its promises: programs in it cannot make others.
Status check_join(const CLI::App& command, RunOptions& run) {
  for (const char* option :
       {"--gpu", "--mem", "--mem-min", "--mem-weight", "--copy-min", "--copy-max", "--sm", "--sm-cap",
        "--sm-mode", "--priority", "--weight", "--slo", "--qos", "--gate-copies", "--name"}) {
    if (command.count(option) > 0) {
      return Status::error(Code::kInvalidArgument,
                           "%s: the slice of --slice has its own; 'tessera slice resize' changes it", option);
    }
  }
  Status status = node::check_slice_name(run.slice);
  return status.ok() ? status : status.with_context("--slice");
}

// The slice is made on the server, as it decides.
Status check_remote(const CLI::App& command, const RunOptions& run) {
  TESSERA_RETURN_IF_ERROR(check_server_options(run.remote));
  if (run.remote.server.empty()) return Status();
  for (const char* option : {"--slice", "--name", "--summary", "--json-summary"}) {
    if (command.count(option) > 0)
      return Status::error(Code::kInvalidArgument, "%s: with --server the slice is the server's", option);
  }
  return Status();
}

Status check_run(const CLI::App& command, const RawSlice& raw, bool has_name, RunOptions& run) {
  TESSERA_RETURN_IF_ERROR(check_remote(command, run));
  if (command.count("--slice") > 0) TESSERA_RETURN_IF_ERROR(check_join(command, run));
  TESSERA_RETURN_IF_ERROR(parse_slice_options(raw, run));
  TESSERA_RETURN_IF_ERROR(take_hami_settings(run));
  if (has_name) {
    Status status = node::check_slice_name(run.name);
    if (!status.ok()) return status.with_context("--name");
  }
  if (run.command.empty()) return Status(Code::kInvalidArgument, "no program is named");
  return Status();
}

// "run ... -- program ..." and "run ... program ...", and the same of "trace record": what follows the
// program is the program's, whatever it looks like.
std::vector<std::string> take_command(std::vector<std::string>& arguments) {
  auto dashes = std::find(arguments.begin(), arguments.end(), "--");
  std::vector<std::string> command;
  const bool run = !arguments.empty() && arguments[0] == "run";
  const bool record = arguments.size() > 1 && arguments[0] == "trace" && arguments[1] == "record";
  if ((run || record) && dashes != arguments.end()) {
    command.assign(dashes + 1, arguments.end());
    arguments.erase(dashes, arguments.end());
  }
  return command;
}

// The command of that name; null where there is none.
const CLI::App* find_command(const CLI::App& app, const std::string& name) {
  std::vector<const CLI::App*> commands = app.get_subcommands({});
  const auto found = std::find_if(commands.begin(), commands.end(),
                                  [&](const CLI::App* command) { return command->get_name() == name; });
  return found == commands.end() ? nullptr : *found;
}

// "run @NAME ...": the name, taken out of the arguments; empty where none is given.
std::string take_profile(std::vector<std::string>& arguments) {
  if (arguments.size() < 2 || arguments[0] != "run" || !arguments[1].starts_with("@")) return "";
  std::string name = arguments[1].substr(1);
  arguments.erase(arguments.begin() + 1);
  return name;
}

// What the command line does not say, the profile does.
Status apply_profile(const std::string& profile_name, const CLI::App& command, RawSlice& raw,
                     RunOptions& run) {
  if (profile_name.empty()) return Status();
  TESSERA_ASSIGN_OR_RETURN(Profile profile, read_profile(profile_files(), profile_name));
  auto given = [&](const char* option) { return command.count(option) > 0; };
  if (!given("--gpu")) raw.gpus = profile.gpus;
  if (!given("--mem")) raw.memory = profile.memory;
  if (!given("--mem-min")) raw.qos.min = profile.qos.min;
  if (!given("--mem-weight")) raw.qos.weight = profile.qos.weight;
  if (!given("--copy-min")) raw.qos.copy_min = profile.qos.copy_min;
  if (!given("--copy-max")) raw.qos.copy_max = profile.qos.copy_max;
  if (!given("--sm")) raw.compute.share = profile.compute.share;
  if (!given("--sm-cap") && !given("--sm")) raw.compute.cap = profile.compute.cap;
  if (!given("--sm-mode")) raw.compute.mode = profile.compute.mode;
  if (!given("--priority")) raw.compute.priority = profile.compute.priority;
  if (!given("--weight")) raw.compute.weight = profile.compute.weight;
  if (!given("--slo")) raw.compute.slo = profile.compute.slo;
  if (!given("--qos")) raw.compute.qos = profile.compute.qos;
  if (!given("--gate-copies")) raw.compute.gate_copies = profile.compute.gate_copies;
  if (!given("--name") && profile.name) run.name = *profile.name;
  if (!given("--summary") && profile.summary) run.summary = *profile.summary;
  if (!given("--json-summary") && profile.json_summary) run.json_summary = *profile.json_summary;
  if (!given("--socket") && profile.socket) run.socket = *profile.socket;
  return Status();
}

// "help COMMAND ..." is "COMMAND ... --help", and "help" alone "--help". An unknown command stays one.
void take_help(const CLI::App& app, std::vector<std::string>& arguments) {
  if (arguments.empty() || arguments[0] != "help") return;
  arguments.erase(arguments.begin());
  const CLI::App* command = &app;
  for (const std::string& name : arguments) {
    command = find_command(*command, name);
    if (command == nullptr) return;
  }
  arguments.emplace_back("--help");
}

// The program and its arguments, from before and after a "--".
Status join_command(std::vector<std::string> before, std::vector<std::string> after, RunOptions& run) {
  if (!before.empty() && before[0].starts_with("-")) {
    return Status::error(Code::kInvalidArgument, "unknown option '%s'", before[0].c_str());
  }
  if (before.empty()) {
    run.command = std::move(after);
    return Status();
  }
  // "run program -- x": the dashes are the program's own.
  run.command = std::move(before);
  if (!after.empty()) {
    run.command.push_back("--");
    run.command.insert(run.command.end(), after.begin(), after.end());
  }
  return Status();
}

// A run with no options of a slice.
Status take_record(const TraceParser& trace, std::vector<std::string> command, RunOptions& run) {
  run.socket = trace.record().socket;
  run.trace = trace.record().output;
  TESSERA_RETURN_IF_ERROR(join_command(trace.remaining(), std::move(command), run));
  TESSERA_RETURN_IF_ERROR(parse_slice_options(RawSlice(), run));
  TESSERA_RETURN_IF_ERROR(take_hami_settings(run));
  return run.command.empty() ? Status(Code::kInvalidArgument, "no program is named") : Status();
}

}  // namespace

std::variant<Options, int> parse_options(int argc, char** argv) {
  CLI::App app("Share this node's GPUs between programs.", "tessera");
  app.require_subcommand(1);
  app.set_version_flag("--version", std::string("tessera ") + TESSERA_VERSION);
  RunOptions run;
  RawSlice raw;
  CLI::App* run_command = app.add_subcommand("run", "run a program in a slice of a GPU");
  run_command->prefix_command();
  run_command->footer(
      "The program and its arguments follow the options: tessera run [@PROFILE] [options] [--] program ...\n"
      "@PROFILE, first, names a set of these options under 'profiles:' in ~/.config/tessera/config.yaml or\n"
      "/etc/tessera/config.yaml; options on the command line go before it.");
  add_common(run_command, run.socket, nullptr);
  add_slice_options(run_command, raw);
  run_command->add_option("--slice", run.slice, "run in this slice that stays ('tessera slice create')")
      ->type_name("NAME");
  add_server_options(run_command, run.remote);
  CLI::Option* name = run_command->add_option("--name", run.name, "name of the slice")->type_name("NAME");
  run_command->add_flag("--summary", run.summary, "print a line of figures at the end");
  run_command->add_option("--json-summary", run.json_summary, "write the figures to FILE at the end")
      ->type_name("FILE");

  PsOptions ps;
  CLI::App* ps_command = app.add_subcommand("ps", "list slices and their processes");
  add_common(ps_command, ps.socket, &ps.json);
  ps_command->add_option("--forgive", ps.forgive, "forget that this program has failed on the GPU")
      ->type_name("NAME");
  SetParser set;
  set.add(&app, "set", "change a slice's limits while its programs run");
  SliceParser slice;
  slice.add(app);
  GpusOptions gpus;
  CLI::App* gpus_command = app.add_subcommand("gpus", "list the GPUs");
  add_common(gpus_command, gpus.socket, &gpus.json);
  gpus_command->add_option("--forgive", gpus.forgive, "let new programs have this quarantined GPU again")
      ->type_name("N");
  DoctorOptions doctor;
  CLI::App* doctor_command =
      app.add_subcommand("doctor", "check what 'tessera run' needs and say what is missing");
  add_common(doctor_command, doctor.socket, &doctor.json);
  MetricsOptions metrics;
  CLI::App* metrics_command = app.add_subcommand("metrics", "print GPUs and slices as Prometheus reads them");
  add_common(metrics_command, metrics.socket, nullptr);
  metrics_command->add_option("--output", metrics.output, "write this file instead, as a whole or not at all")
      ->type_name("FILE");
  TopoOptions topo;
  CLI::App* topo_command =
      app.add_subcommand("topo", "show where the GPUs are among this machine's processors and memory");
  add_common(topo_command, topo.socket, &topo.json);
  topo_command->add_flag("--tree", topo.tree, "packages, NUMA nodes and the GPUs near them alone");
  topo_command->add_flag("--matrix", topo.matrix, "what lies between GPUs, and between NUMA nodes, alone");
  TraceParser trace;
  trace.add(app);
  ServeParser serve;
  serve.add(app);
  LimitParser limit;
  limit.add(app);
  MonitorParser monitor;
  monitor.add(app);
  app.footer("tessera help COMMAND says more about one of them.");
  CLI::App* version_command = app.add_subcommand("version", "print the version");

  std::vector<std::string> arguments(argv + std::min(argc, 1), argv + argc);
  take_help(app, arguments);
  std::string profile = take_profile(arguments);
  std::vector<std::string> command = take_command(arguments);
  // The first word that is not a known option ends the options of run; CLI11 takes its arguments last first.
  std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
  try {
    app.parse(reversed);
  } catch (const CLI::Success& success) {
    return app.exit(success);  // help or version, printed
  } catch (const CLI::ParseError& error) {
    return usage_error(app, error);
  }
  if (*run_command) {
    Status status = join_command(run_command->remaining(), std::move(command), run);
    if (status.ok()) status = apply_profile(profile, *run_command, raw, run);
    if (status.ok()) status = check_run(*run_command, raw, name->count() > 0, run);
    if (!status.ok()) return usage_error(chosen_command(app), status.message());
    return Options(run);
  }
  if (trace.record_chosen()) {
    Status status = take_record(trace, std::move(command), run);
    return status.ok() ? std::variant<Options, int>(Options(run))
                       : usage_error(chosen_command(app), status.message());
  }
  if (trace.replay_chosen()) {
    auto options = trace.replay();
    return options.ok() ? std::variant<Options, int>(Options(*options))
                        : usage_error(chosen_command(app), options.status().message());
  }
  if (*ps_command) return Options(ps);
  if (set.chosen()) {
    auto options = set.parse();
    return options.ok() ? std::variant<Options, int>(Options(*options))
                        : usage_error(chosen_command(app), options.status().message());
  }
  if (slice.chosen()) {
    auto options = slice.parse();
    if (!options.ok()) return usage_error(chosen_command(app), options.status().message());
    return std::visit([](const auto& chosen) { return Options(chosen); }, *options);
  }
  if (serve.chosen()) {
    auto options = serve.parse();
    return options.ok() ? std::variant<Options, int>(Options(*options))
                        : usage_error(chosen_command(app), options.status().message());
  }
  if (limit.chosen()) {
    auto options = limit.parse();
    return options.ok() ? std::variant<Options, int>(Options(*options))
                        : usage_error(chosen_command(app), options.status().message());
  }
  if (monitor.chosen()) {
    auto options = monitor.parse();
    if (!options.ok()) return usage_error(chosen_command(app), options.status().message());
    return std::visit([](const auto& chosen) { return Options(chosen); }, *options);
  }
  if (*gpus_command) return Options(gpus);
  if (*doctor_command) return Options(doctor);
  if (*metrics_command) return Options(metrics);
  if (*topo_command) return Options(topo);
  assert(*version_command);
  return Options(VersionOptions{});
}

}  // namespace tessera::cli
