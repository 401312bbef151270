// PTX text to ptx::Module.
#pragma once

#include <string_view>

#include "common/status.h"
#include "softgpu/ptx/ast.h"

namespace tessera::softgpu::ptx {

// Bounds on hostile input; beyond them parsing fails with kInvalidData.
constexpr size_t kMaxTextBytes = 256u << 20;
constexpr size_t kMaxNesting = 64;

// Parses one PTX translation unit (or several concatenated ones, as fatbins with relocatable device code
// hold). Errors are kInvalidData with "ptx:LINE: what"; a PTX version newer than ours is kUnsupported.
Result<Module> parse(std::string_view text);

}  // namespace tessera::softgpu::ptx
