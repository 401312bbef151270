// Handlers by name, for the best instruction set this processor has.
#pragma once

#include <string>

#include "softgpu/exec/op.h"

namespace tessera::softgpu::exec {

// Null where no handler has that name. TESSERA_SOFTGPU_ISA=base|v3|v4 in the environment asks for a lesser
// one.
const Entry* find_handler(const std::string& name);

// "base", "v3" or "v4".
const char* instruction_set();

}  // namespace tessera::softgpu::exec
