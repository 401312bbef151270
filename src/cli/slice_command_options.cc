#include "cli/slice_command_options.h"

#include <CLI/CLI.hpp>
#include <cassert>

#include "node/ledger.h"
#include "node/runtime_path.h"
#include "partitioning/planner.h"

namespace tessera::cli {

void add_common(CLI::App* command, std::string& socket, bool* json) {
  socket = node::default_socket_path();
  command->add_option("--socket", socket, "tesserad's socket (default: $TESSERA_SOCKET or the user's own)")
      ->type_name("PATH");
  if (json != nullptr) command->add_flag("--json", *json, "print JSON");
}

// --- set

void SetParser::add(CLI::App* parent, const char* name, const char* description) {
  command_ = parent->add_subcommand(name, description);
  add_common(command_, options_.socket, &options_.json);
  command_->add_option("NAME", options_.name, "name of the slice, as in 'tessera ps'")->required();
  command_->add_option("--mem", memory_, "the new memory limit per GPU, e.g. 3GiB")->type_name("SIZE");
  add_memory_options(command_, qos_);
  add_compute_options(command_, compute_, true);
  command_->add_option("--gpu", options_.gpu, "on this GPU only (default: on each GPU of the slice)")
      ->type_name("N");
}

bool SetParser::chosen() const { return static_cast<bool>(*command_); }

Result<SetOptions> SetParser::parse() const {
  SetOptions set = options_;
  if (!memory_.empty()) {
    TESSERA_ASSIGN_OR_RETURN(set.memory_bytes, parse_memory(memory_));
  }
  TESSERA_ASSIGN_OR_RETURN(set.memory, parse_memory_options(qos_));
  TESSERA_ASSIGN_OR_RETURN(set.compute, parse_compute_options(compute_));
  if (!set.memory_bytes && set.memory.empty() && set.compute.empty()) {
    return Status(Code::kInvalidArgument,
                  "nothing to change: give --mem, --mem-min, --mem-weight, --copy-min, --copy-max, --sm, "
                  "--sm-mode, --priority, --weight, --slo, --qos or --gate-copies");
  }
  Status status = node::check_slice_name(set.name);
  if (!status.ok()) return status.with_context("NAME");
  return set;
}

// --- slice

void SliceParser::add(CLI::App& app) {
  command_ = app.add_subcommand("slice", "plan, create, list, resize, balance and delete slices that stay");
  command_->require_subcommand(1);
  command_->footer("Programs run in a slice that stays with 'tessera run --slice NAME'.");

  plan_command_ = command_->add_subcommand("plan", "say where slices would go, and why; make nothing");
  add_common(plan_command_, plan_.socket, &plan_.json);
  plan_command_->add_option("--file", plan_.file, "YAML with a map 'slices:' of names to these options")
      ->type_name("FILE");
  plan_command_->add_flag("--explain", plan_.explain, "also what each GPU had to offer");
  add_slice_options(plan_command_, plan_slice_);

  create_command_ = command_->add_subcommand("create", "make a slice that stays until it is deleted");
  add_common(create_command_, create_.socket, &create_.json);
  create_command_->add_option("NAME", create_.name, "name of the slice");
  create_command_
      ->add_option(
          "--file", create_.file,
          "YAML with a map 'slices:' of names to these options: all of them, as planned together, or none")
      ->type_name("FILE");
  create_command_
      ->add_option("--packing", create_.packing,
                   "spread (the emptiest GPU) or binpack (the fullest); default: tesserad's")
      ->type_name("POLICY");
  add_slice_options(create_command_, create_slice_);

  list_command_ = command_->add_subcommand("list", "list slices: what they were promised, and where");
  add_common(list_command_, list_.socket, &list_.json);

  resize_.add(command_, "resize", "change what a slice has while its programs run (as 'tessera set')");

  balance_command_ =
      command_->add_subcommand("balance", "say which slices would fare better on another GPU, and why");
  add_common(balance_command_, balance_.socket, &balance_.json);
  balance_command_->add_flag("--apply", balance_.apply, "and take them there: all of them, or none");

  delete_command_ = command_->add_subcommand("delete", "end a slice that stays");
  add_common(delete_command_, delete_.socket, &delete_.json);
  delete_command_->add_option("NAME", delete_.name, "name of the slice")->required();
  delete_command_->add_flag("--when-unused", delete_.when_unused, "where programs run in it, after the last");
}

bool SliceParser::chosen() const { return static_cast<bool>(*command_); }

// A file has the options of its slices: none of the command line's would have an effect.
Status check_file_alone(const CLI::App& command) {
  for (const char* option :
       {"--gpu", "--mem", "--mem-min", "--mem-weight", "--copy-min", "--copy-max", "--sm", "--sm-cap",
        "--sm-mode", "--priority", "--weight", "--slo", "--qos", "--gate-copies"}) {
    if (command.count(option) > 0) {
      return Status::error(Code::kInvalidArgument, "%s: the file says it, with --file", option);
    }
  }
  return Status();
}

Result<SliceCommand> SliceParser::parse_plan() const {
  SlicePlanOptions plan = plan_;
  if (!plan.file.empty()) {
    TESSERA_RETURN_IF_ERROR(check_file_alone(*plan_command_));
    return SliceCommand(plan);
  }
  TESSERA_RETURN_IF_ERROR(parse_slice_options(plan_slice_, plan.slice));
  return SliceCommand(plan);
}

Result<SliceCommand> SliceParser::parse_create() const {
  SliceCreateOptions create = create_;
  if (create.file.empty() == create.name.empty()) {
    return Status(Code::kInvalidArgument, "a slice needs a NAME, or a --file with several");
  }
  if (!create.file.empty()) TESSERA_RETURN_IF_ERROR(check_file_alone(*create_command_));
  if (!create.packing.empty() && !partitioning::parse_packing(create.packing)) {
    return Status::error(Code::kInvalidArgument, "--packing: spread or binpack, not '%s'",
                         create.packing.c_str());
  }
  if (!create.name.empty()) {
    Status status = node::check_slice_name(create.name);
    if (!status.ok()) return status.with_context("NAME");
  }
  TESSERA_RETURN_IF_ERROR(parse_slice_options(create_slice_, create.slice));
  return SliceCommand(create);
}

Result<SliceCommand> SliceParser::parse() const {
  if (*plan_command_) return parse_plan();
  if (*create_command_) return parse_create();
  if (*list_command_) return SliceCommand(list_);
  if (*balance_command_) return SliceCommand(balance_);
  if (*delete_command_) return SliceCommand(delete_);
  assert(resize_.chosen());
  TESSERA_ASSIGN_OR_RETURN(SetOptions set, resize_.parse());
  return SliceCommand(set);
}

}  // namespace tessera::cli
