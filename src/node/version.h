#pragma once

namespace tessera::node {

inline constexpr const char* kVersion = TESSERA_VERSION;  // of the project, from CMake

}  // namespace tessera::node
