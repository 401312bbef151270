// .entry and .func: what stands before the body.
#pragma once

#include "softgpu/ptx/ast.h"
#include "softgpu/ptx/cursor.h"
#include "softgpu/ptx/unit.h"

namespace tessera::softgpu::ptx {

// Parses a declaration or definition into `unit`, at .entry or .func.
bool parse_function(Cursor& cursor, Unit& unit, Linkage linkage);

}  // namespace tessera::softgpu::ptx
