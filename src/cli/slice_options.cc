#include "cli/slice_options.h"

#include <CLI/CLI.hpp>

#include "common/strings.h"

namespace tessera::cli {
namespace {

Status parse_gpus(const std::string& text, std::vector<uint32_t>& gpus) {
  for (std::string_view part : split(text, ',')) {
    auto index = parse_uint(part);
    if (!index || *index > UINT32_MAX) {
      return Status::error(Code::kInvalidArgument, "--gpu takes indices as in 'tessera gpus', not '%s'",
                           text.c_str());
    }
    gpus.push_back(static_cast<uint32_t>(*index));
  }
  return Status();
}

// One --mem holds for every GPU; of several, each holds for the GPUs of the --gpu at its place.
Status parse_devices(const RawSlice& raw, SliceOptions& options) {
  if (raw.memory.size() > 1 && raw.memory.size() != raw.gpus.size()) {
    return Status::error(
        Code::kInvalidArgument,
        "--mem is given %zu times and --gpu %zu times: give --mem once, or once for each --gpu",
        raw.memory.size(), raw.gpus.size());
  }
  for (size_t i = 0; i < raw.gpus.size(); ++i) {
    TESSERA_RETURN_IF_ERROR(parse_gpus(raw.gpus[i], options.gpus));
    if (raw.memory.size() < 2) continue;
    TESSERA_ASSIGN_OR_RETURN(uint64_t bytes, parse_memory(raw.memory[i]));
    options.memory_bytes.resize(options.gpus.size(), bytes);
  }
  if (raw.memory.size() != 1) return Status();
  TESSERA_ASSIGN_OR_RETURN(uint64_t bytes, parse_memory(raw.memory[0]));
  options.memory_bytes = {bytes};
  return Status();
}

}  // namespace

void add_slice_options(CLI::App* command, RawSlice& raw) {
  command->add_option("--gpu", raw.gpus, "index of the GPU, or several: 0,1 (default: where it fits best)")
      ->type_name("N")
      ->allow_extra_args(false);
  command
      ->add_option(
          "--mem", raw.memory,
          "memory limit per GPU, reserved, e.g. 2GiB (default: all); given again for each further --gpu")
      ->type_name("SIZE")
      ->allow_extra_args(false);
  add_memory_options(command, raw.qos);
  add_compute_options(command, raw.compute, false);
}

Status parse_slice_options(const RawSlice& raw, SliceOptions& options) {
  TESSERA_RETURN_IF_ERROR(parse_devices(raw, options));
  TESSERA_ASSIGN_OR_RETURN(ComputeOptions compute, parse_compute_options(raw.compute));
  options.compute = {compute};
  TESSERA_ASSIGN_OR_RETURN(options.memory, parse_memory_options(raw.qos));
  return Status();
}

RawSlice raw_slice(const Profile& profile) {
  return {profile.gpus, profile.memory, profile.compute, profile.qos};
}

node::Json slice_request(const SliceOptions& options) {
  node::Json request = node::Json::object();
  if (!options.gpus.empty()) request["gpus"] = options.gpus;
  if (!options.memory_bytes.empty()) request["memory_bytes"] = options.memory_bytes;
  if (!options.memory.empty()) request["memory"] = memory_request(options.memory);
  for (const ComputeOptions& compute : options.compute) {
    request["compute"].push_back(compute_request(compute));
  }
  return request;
}

}  // namespace tessera::cli
