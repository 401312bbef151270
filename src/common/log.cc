#include "common/log.h"

#include <unistd.h>

#include <atomic>
#include <cstdarg>
#include <string>

#include "common/strings.h"

namespace tessera {
namespace {

constexpr const char* kLevelNames[] = {"error", "warn", "info", "debug"};

std::atomic<int> current_level{static_cast<int>(LogLevel::kWarn)};
std::atomic<const char*> program_name{"tessera"};

}  // namespace

void log_init(const char* program, const char* level_variable) {
  program_name = program;
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
  std::string line = str_format("%s[%d] %s %s: %s\n", program_name.load(), static_cast<int>(getpid()),
                                kLevelNames[static_cast<int>(level)], module, text.c_str());
  // One write, so that lines of several processes on one terminal do not mix. A log that cannot be written is
  // lost.
  [[maybe_unused]] ssize_t written = write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace tessera
