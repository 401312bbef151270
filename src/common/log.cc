#include "common/log.h"

#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <climits>
#include <cstdarg>
#include <optional>
#include <string>
#include <string_view>

#include "common/log_levels.h"
#include "common/log_output.h"
#include "common/strings.h"

namespace tessera {
namespace {

constexpr const char* kLevelNames[] = {"error", "warn", "info", "debug"};

// Of all modules the most: what log_enabled() goes by.
std::atomic<int> current_level{static_cast<int>(LogLevel::kWarn)};
std::atomic<int> level_of_others{static_cast<int>(LogLevel::kWarn)};

// Written before threads.
struct ModuleLevel {
  std::array<char, kMostModuleBytes + 1> name;
  int level;
};
std::array<ModuleLevel, kMostModuleLevels> module_levels;
size_t module_level_count = 0;

std::optional<int> level_named(std::string_view name) {
  for (int level = 0; level < 4; ++level) {
    if (name == kLevelNames[level]) return level;
  }
  return std::nullopt;
}

int level_of(std::string_view module) {
  for (size_t i = 0; i < module_level_count; ++i) {
    if (module == module_levels[i].name.data()) return module_levels[i].level;
  }
  return level_of_others.load(std::memory_order_relaxed);
}

std::atomic<const char*> program_name{"tessera"};
std::atomic<bool> as_json{false};
std::atomic<int> output{STDERR_FILENO};

// How many bytes a character of UTF-8 has here; 0 where there is none. Surrogates and overlong forms are let
// pass: they read as some character.
size_t utf8_bytes(std::string_view text) {
  const auto first = static_cast<unsigned char>(text[0]);
  const size_t count = first < 0x80                    ? 1
                       : first >= 0xf0 && first < 0xf5 ? 4
                       : first >= 0xe0                 ? 3
                       : first >= 0xc2                 ? 2
                                                       : 0;
  if (count == 0 || first >= 0xf5 || count > text.size()) return 0;
  for (size_t i = 1; i < count; ++i) {
    if ((static_cast<unsigned char>(text[i]) & 0xc0) != 0x80) return 0;
  }
  return count;
}

// Of a JSON string. The text may name anything: bytes that are no UTF-8 are replaced.
std::string escaped(std::string_view text) {
  std::string safe;
  while (!text.empty()) {
    const size_t count = utf8_bytes(text);
    const char c = text[0];
    if (count == 0) {
      safe += "\\ufffd";
    } else if (c == '"' || c == '\\') {
      safe += std::string("\\") + c;
    } else if (count == 1 && (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)) {
      safe += str_format("\\u%04x", static_cast<unsigned char>(c));
    } else {
      safe += text.substr(0, count);
    }
    text.remove_prefix(count == 0 ? 1 : count);
  }
  return safe;
}

std::string json_line(LogLevel level, const char* module, const std::string& text) {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  tm utc{};
  gmtime_r(&now.tv_sec, &utc);
  char second[32] = "";
  strftime(second, sizeof second, "%Y-%m-%dT%H:%M:%S", &utc);
  return str_format(
      "{\"time\":\"%s.%03ldZ\",\"level\":\"%s\",\"program\":\"%s\",\"pid\":%d,\"module\":\"%s\",\"text\":\"%"
      "s\"}\n",
      second, now.tv_nsec / 1'000'000, kLevelNames[static_cast<int>(level)], program_name.load(),
      static_cast<int>(getpid()), module, escaped(text).c_str());
}

}  // namespace

void log_init(const char* program, const char* level_variable) {
  program_name = program;
  as_json = env_or("TESSERA_LOG_FORMAT", "") == "json";
  if (const auto descriptor = parse_uint(env_or(kLogDescriptorVariable, "")))
    output = static_cast<int>(std::min<uint64_t>(*descriptor, INT_MAX));
  const std::string wanted = env_or(level_variable, "");
  if (!wanted.empty() && !log_set_levels(wanted))
    LOG_WARN("log", "%s is '%s': it is error, warn, info or debug, or such for modules, as warn,gate=debug",
             level_variable, wanted.c_str());
}

void log_to(int descriptor) { output = descriptor; }

void log_set_level(LogLevel level) {
  module_level_count = 0;
  level_of_others = current_level = static_cast<int>(level);
}

bool log_set_levels(std::string_view text) {
  std::array<ModuleLevel, kMostModuleLevels> modules{};
  size_t count = 0;
  int others = level_of_others.load(std::memory_order_relaxed), most = 0;
  for (const std::string_view word : split(text, ',')) {
    const size_t equals = word.find('=');
    const std::string_view module = equals == std::string_view::npos ? "" : word.substr(0, equals);
    const auto level = level_named(word.substr(equals == std::string_view::npos ? 0 : equals + 1));
    if (!level || module.size() > kMostModuleBytes || (equals == 0) || count == modules.size()) return false;
    if (equals == std::string_view::npos) {
      others = *level;
      continue;
    }
    std::copy(module.begin(), module.end(), modules[count].name.begin());
    modules[count++].level = *level;
    most = std::max(most, *level);
  }
  module_levels = modules;
  module_level_count = count;
  level_of_others = others;
  current_level = std::max(most, others);
  return true;
}

bool log_enabled(LogLevel level) {
  return static_cast<int>(level) <= current_level.load(std::memory_order_relaxed);
}

void log_write(LogLevel level, const char* module, const char* format, ...) {
  if (module_level_count != 0 && static_cast<int>(level) > level_of(module)) return;
  va_list arguments;
  va_start(arguments, format);
  std::string text = str_format_list(format, arguments);
  va_end(arguments);
  std::string line = as_json.load(std::memory_order_relaxed)
                         ? json_line(level, module, text)
                         : str_format("%s[%d] %s %s: %s\n", program_name.load(), static_cast<int>(getpid()),
                                      kLevelNames[static_cast<int>(level)], module, text.c_str());
  // One write, so that lines of several processes on one terminal do not mix. A log that cannot be written is
  // lost.
  [[maybe_unused]] ssize_t written = write(output.load(std::memory_order_relaxed), line.data(), line.size());
}

}  // namespace tessera
