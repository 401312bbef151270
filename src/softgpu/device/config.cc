#include "softgpu/device/config.h"

#include <sys/sysinfo.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <memory>

#include "common/fd.h"
#include "common/index_set.h"
#include "common/size.h"
#include "common/strings.h"
#include "cuda/multi_process_service.h"
#include "softgpu/device/model.h"

namespace tessera::softgpu {
namespace {

constexpr size_t kMaxConfigFileBytes = 64u << 10;

uint64_t machine_memory() {
  struct sysinfo info {};
  if (sysinfo(&info) != 0) return kGiB;
  return uint64_t{info.totalram} * info.mem_unit;
}

Result<int> parse_count(const SettingSource& setting, const char* name, int fallback, int limit) {
  std::string text = setting(name);
  if (text.empty()) return fallback;
  auto value = parse_uint(text);
  if (!value || *value == 0 || *value > static_cast<uint64_t>(limit)) {
    return Status::error(Code::kInvalidArgument, "%s is \"%s\": a number from 1 to %d is needed", name,
                         text.c_str(), limit);
  }
  return static_cast<int>(*value);
}

Result<std::vector<int>> parse_processors(const std::string& text) {
  if (text.empty()) return std::vector<int>();
  auto set = IndexSet::parse(text);
  if (!set.ok()) return set.status().with_context("SOFTGPU_CPUS");
  const std::vector<uint32_t> members = set->members();
  return std::vector<int>(members.begin(), members.end());
}

// All where it is none, as NVIDIA's driver takes it.
double parse_portion(const std::string& text) {
  constexpr double kAll = 100;
  const double percent = strtod(text.c_str(), nullptr);
  return percent > 0 && percent <= kAll ? percent : kAll;
}

// "on" where it is not set.
Result<bool> parse_switch(const SettingSource& setting, const char* name) {
  const std::string text = setting(name);
  if (!text.empty() && text != "on" && text != "off") {
    return Status::error(Code::kInvalidArgument, "%s is \"%s\": on or off is needed", name, text.c_str());
  }
  return text != "off";
}

}  // namespace

Result<Config> parse_config(const SettingSource& setting) {
  Config config;
  TESSERA_ASSIGN_OR_RETURN(config.devices, parse_count(setting, "SOFTGPU_DEVICES", 1, kMaxDevices));
  const long cores = std::clamp<long>(sysconf(_SC_NPROCESSORS_ONLN), 1, kMaxSms);
  TESSERA_ASSIGN_OR_RETURN(config.sm_count,
                           parse_count(setting, "SOFTGPU_SMS", static_cast<int>(cores), kMaxSms));
  TESSERA_ASSIGN_OR_RETURN(config.processors, parse_processors(setting("SOFTGPU_CPUS")));
  std::string memory = setting("SOFTGPU_MEMORY");
  if (memory.empty()) {
    config.memory_bytes = std::min(8 * kGiB, machine_memory() / 2 / kMiB * kMiB);
  } else {
    auto bytes = parse_size(memory);
    if (!bytes.ok()) return bytes.status().with_context("SOFTGPU_MEMORY");
    config.memory_bytes = *bytes;
  }
  if (config.memory_bytes < kMinDeviceMemory || config.memory_bytes > kMaxDeviceMemory) {
    return Status::error(Code::kInvalidArgument, "SOFTGPU_MEMORY is %s: %s to %s are possible",
                         format_size(config.memory_bytes).c_str(), format_size(kMinDeviceMemory).c_str(),
                         format_size(kMaxDeviceMemory).c_str());
  }
  TESSERA_ASSIGN_OR_RETURN(config.own_tables, parse_switch(setting, "SOFTGPU_OWN_TABLES"));
  TESSERA_ASSIGN_OR_RETURN(config.zeroing, parse_switch(setting, "SOFTGPU_ZEROING"));
  config.model = setting("SOFTGPU_MODEL");
  if (find_model(config.model) == nullptr) {
    std::string known;
    for (const DeviceModel& model : device_models())
      known += str_format("%s%s", known.empty() ? "" : ", ", model.key);
    return Status::error(Code::kInvalidArgument, "SOFTGPU_MODEL is \"%s\": known are %s",
                         config.model.c_str(), known.c_str());
  }
  config.state_dir = setting("SOFTGPU_STATE_DIR");
  if (config.state_dir.empty())
    config.state_dir = str_format("/dev/shm/softgpu-%u", static_cast<unsigned>(geteuid()));
  return config;
}

Result<SettingSource> parse_config_file(std::string_view text) {
  auto settings = std::make_shared<std::map<std::string, std::string>>();
  int number = 0;
  for (std::string_view line : split(text, '\n')) {
    ++number;
    line = trim(line);
    if (line.empty() || line.front() == '#') continue;
    size_t equals = line.find('=');
    if (equals == std::string_view::npos) {
      return Status::error(Code::kInvalidArgument, "line %d is not NAME = value", number);
    }
    (*settings)[std::string(trim(line.substr(0, equals)))] = std::string(trim(line.substr(equals + 1)));
  }
  return SettingSource([settings](const char* name) {
    auto found = settings->find(name);
    return found == settings->end() ? std::string() : found->second;
  });
}

Result<Config> load_config() {
  SettingSource file = [](const char*) { return std::string(); };
  if (std::string path = env_or("SOFTGPU_CONFIG", ""); !path.empty()) {
    TESSERA_ASSIGN_OR_RETURN(std::string text, read_file(path, kMaxConfigFileBytes));
    auto parsed = parse_config_file(text);
    if (!parsed.ok()) return parsed.status().with_context(path);
    file = std::move(parsed).value();
  }
  TESSERA_ASSIGN_OR_RETURN(Config config, parse_config([&file](const char* name) {
                             std::string value = env_or(name, "");
                             return value.empty() ? file(name) : value;
                           }));
  config.mps = cuda::mps_is_offered();
  if (config.mps) config.mps_percent = parse_portion(env_or(cuda::kMpsActiveThreadPercentage, ""));
  return config;
}

}  // namespace tessera::softgpu
