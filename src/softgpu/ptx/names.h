// The words of PTX that are data: types, state spaces, special registers.
#pragma once

#include <string_view>

#include "softgpu/ptx/ast.h"

namespace tessera::softgpu::ptx {

// For ".f32" and the like; kNone where the directive is no fundamental type.
Type type_of_directive(std::string_view directive);
// For ".global" and the like; kGeneric where the directive is no state space that holds variables.
Space space_of_directive(std::string_view directive);
// Whether `name` ("%tid", "%clock64") is a special register; `*vector` says whether it has components .x .y
// .z .w.
bool is_special_register(std::string_view name, bool* vector);
// 0..3 for ".x" (".r") to ".w" (".a"), -1 otherwise.
int component_of_directive(std::string_view directive);

}  // namespace tessera::softgpu::ptx
