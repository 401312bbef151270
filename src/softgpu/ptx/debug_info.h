// Debug directives carry nothing that execution needs; they are passed over.
#pragma once

#include "softgpu/ptx/cursor.h"

namespace tessera::softgpu::ptx {

// .file, .loc or .section, at its directive.
bool skip_debug_directive(Cursor& cursor);
// "@@DWARF …", the oldest form: a whole line.
bool at_debug_line(const Cursor& cursor);

}  // namespace tessera::softgpu::ptx
