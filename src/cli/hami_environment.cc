#include "cli/hami_environment.h"

#include <algorithm>
#include <array>

#include "common/size.h"
#include "common/strings.h"

namespace tessera::cli {
namespace {

struct Setting {
  std::string name;  // of the variable that says it
  std::string value;
};

// What is said of GPU `index`, if anything.
std::optional<Setting> setting_of(const Environment& environment, const std::string& name, size_t index) {
  std::string own = name + "_" + std::to_string(index);
  for (const std::string& variable : {own, name}) {
    std::string value = environment(variable);
    if (!value.empty()) return Setting{variable, value};
  }
  return std::nullopt;
}

// The limits of all GPUs, or of none: a GPU without one beside others with one is a variable forgotten.
Status read_memory(const Environment& environment, size_t gpu_count, HamiSettings& settings) {
  constexpr const char* kName = "CUDA_DEVICE_MEMORY_LIMIT";
  std::optional<size_t> without;
  for (size_t i = 0; i < gpu_count; ++i) {
    auto setting = setting_of(environment, kName, i);
    if (!setting) {
      without = i;
      continue;
    }
    auto bytes = parse_size(setting->value);
    if (!bytes.ok()) return bytes.status().with_context(setting->name);
    settings.memory_bytes.push_back(*bytes);
  }
  if (!without || settings.memory_bytes.empty()) return Status();
  return Status::error(Code::kInvalidArgument, "%s_%zu is not set, though the limits of other GPUs are",
                       kName, *without);
}

Result<uint64_t> number_up_to(const Setting& setting, uint64_t most) {
  auto number = parse_uint(setting.value);
  if (number && *number <= most) return *number;
  return Status::error(Code::kInvalidArgument, "%s: a number from 0 to %llu, not '%s'", setting.name.c_str(),
                       static_cast<unsigned long long>(most), setting.value.c_str());
}

// 0 and 100 mean no limit.
Status read_share(const Environment& environment, size_t gpu_count, HamiSettings& settings) {
  std::vector<uint32_t> shares(gpu_count, 0);
  for (size_t i = 0; i < gpu_count; ++i) {
    auto setting = setting_of(environment, "CUDA_DEVICE_SM_LIMIT", i);
    if (!setting) continue;
    TESSERA_ASSIGN_OR_RETURN(uint64_t percent, number_up_to(*setting, 100));
    shares[i] = percent == 100 ? 0 : static_cast<uint32_t>(percent);
  }
  const bool any = std::any_of(shares.begin(), shares.end(), [](uint32_t share) { return share != 0; });
  if (any) settings.share_percent = std::move(shares);
  return Status();
}

Status read_log_level(const Environment& environment, HamiSettings& settings) {
  constexpr std::array<const char*, 5> kLevels = {"error", "warn", "warn", "info", "debug"};
  Setting setting{"LIBCUDA_LOG_LEVEL", environment("LIBCUDA_LOG_LEVEL")};
  if (setting.value.empty()) return Status();
  TESSERA_ASSIGN_OR_RETURN(uint64_t level, number_up_to(setting, kLevels.size() - 1));
  settings.log_level = kLevels[level];
  return Status();
}

// By default a limit binds where others want the GPU, with "force" always, with "disable" never. Of the two
// task priorities 0 is the higher.
Status read_scheduling(const Environment& environment, HamiSettings& settings) {
  std::string policy = environment("GPU_CORE_UTILIZATION_POLICY");
  if (!policy.empty() && policy != "default" && policy != "force" && policy != "disable") {
    return Status::error(Code::kInvalidArgument,
                         "GPU_CORE_UTILIZATION_POLICY: default, force or disable, not '%s'", policy.c_str());
  }
  settings.share_is_ceiling = policy == "force";
  if (policy == "disable") settings.share_percent.clear();
  Setting priority{"CUDA_TASK_PRIORITY", environment("CUDA_TASK_PRIORITY")};
  if (priority.value.empty()) return Status();
  TESSERA_ASSIGN_OR_RETURN(uint64_t number, number_up_to(priority, 1));
  settings.priority = number == 0 ? scheduling::PriorityClass::kHigh : scheduling::PriorityClass::kLow;
  return Status();
}

}  // namespace

Result<HamiSettings> read_hami_environment(const Environment& environment, size_t gpu_count) {
  HamiSettings settings;
  TESSERA_RETURN_IF_ERROR(read_memory(environment, gpu_count, settings));
  TESSERA_RETURN_IF_ERROR(read_share(environment, gpu_count, settings));
  TESSERA_RETURN_IF_ERROR(read_log_level(environment, settings));
  TESSERA_RETURN_IF_ERROR(read_scheduling(environment, settings));
  return settings;
}

std::vector<ComputeOptions> with_hami_compute(const ComputeOptions& own, const HamiSettings& settings) {
  ComputeOptions general = own;
  if (!general.priority) general.priority = settings.priority;
  if (own.share_permille || settings.share_percent.empty()) return {general};
  std::vector<ComputeOptions> each;
  for (uint32_t percent : settings.share_percent) {
    ComputeOptions& options = each.emplace_back(general);
    if (percent == 0) continue;
    options.share_permille = percent * 10;
    if (!options.capped) options.capped = settings.share_is_ceiling;
  }
  return each;
}

}  // namespace tessera::cli
