// What a linked module lacks.
#pragma once

#include <string>
#include <vector>

#include "softgpu/ptx/ast.h"

namespace tessera::softgpu::exec {

// Names of functions and variables that are referred to and neither defined nor provided by the device's
// runtime, each once.
std::vector<std::string> undefined_symbols(const ptx::Module& module);

}  // namespace tessera::softgpu::exec
