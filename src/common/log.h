// Levelled log lines on standard error: "tessera[1234] warn guest: text". Safe from any thread; one write(2)
// a line.
#pragma once

namespace tessera {

enum class LogLevel { kError = 0, kWarn = 1, kInfo = 2, kDebug = 3 };

// `program` is the tag of every line; `level_variable` names the environment variable that holds
// error|warn|info|debug (default warn), or as log_levels.h. Call once, before threads.
void log_init(const char* program, const char* level_variable);
void log_set_level(LogLevel level);
bool log_enabled(LogLevel level);
void log_write(LogLevel level, const char* module, const char* format, ...)
    __attribute__((format(printf, 3, 4)));

}  // namespace tessera

#define TESSERA_LOG(level, module, ...)                                                  \
  do {                                                                                   \
    if (::tessera::log_enabled(level)) ::tessera::log_write(level, module, __VA_ARGS__); \
  } while (false)
#define LOG_ERROR(module, ...) TESSERA_LOG(::tessera::LogLevel::kError, module, __VA_ARGS__)
#define LOG_WARN(module, ...) TESSERA_LOG(::tessera::LogLevel::kWarn, module, __VA_ARGS__)
#define LOG_INFO(module, ...) TESSERA_LOG(::tessera::LogLevel::kInfo, module, __VA_ARGS__)
#define LOG_DEBUG(module, ...) TESSERA_LOG(::tessera::LogLevel::kDebug, module, __VA_ARGS__)
