#include "common/log.h"

#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cstdarg>
#include <string>
#include <string_view>

#include "common/strings.h"

namespace tessera {
namespace {

constexpr const char* kLevelNames[] = {"error", "warn", "info", "debug"};

std::atomic<int> current_level{static_cast<int>(LogLevel::kWarn)};
std::atomic<const char*> program_name{"tessera"};
std::atomic<bool> as_json{false};

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
  std::string wanted = env_or(level_variable, "");
  for (int level = 0; level < 4; ++level) {
    if (wanted == kLevelNames[level]) current_level = level;
  }
}

void log_set_level(LogLevel level) { current_level = static_cast<int>(level); }

bool log_enabled(LogLevel level) {
  return static_cast<int>(level) <= current_level.load(std::memory_order_relaxed);
}

void log_write(LogLevel level, const char* module, const char* format, ...) {
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
  [[maybe_unused]] ssize_t written = write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace tessera
