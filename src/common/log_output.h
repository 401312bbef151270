// Where log lines go that are not for whoever reads the process's standard error.
#pragma once

namespace tessera {

// Names a descriptor, for libraries that the process loads later: log_init() reads it.
inline constexpr const char* kLogDescriptorVariable = "TESSERA_LOG_DESCRIPTOR";

// From here on; standard error before. Call before threads.
void log_to(int descriptor);

}  // namespace tessera
