// Directives that carry nothing execution needs: debug information and advice to compilers. They are passed
// over, but only where they are well formed.
#pragma once

#include <string_view>

#include "softgpu/ptx/cursor.h"

namespace tessera::softgpu::ptx {

bool is_ignored_directive(std::string_view directive);
// Passes over such a directive, the current token.
bool skip_ignored_directive(Cursor& cursor);
// "@@DWARF …", the oldest form of debug information: a whole line.
bool at_debug_line(const Cursor& cursor);

}  // namespace tessera::softgpu::ptx
