// Which lines of the log are written: "info", or with other levels for some modules,
// "warn,gate=debug,leases=error".
#pragma once

#include <string_view>

namespace tessera {

inline constexpr size_t kMostModuleLevels = 16;
inline constexpr size_t kMostModuleBytes = 31;

// Before threads. False, and nothing is changed, where it is no such text; a module is whatever lines name,
// so that one that nobody names is no error.
bool log_set_levels(std::string_view text);

}  // namespace tessera
