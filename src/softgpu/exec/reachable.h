// What a kernel can reach: the functions it may call and the shared memory they name.
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "common/status.h"
#include "softgpu/exec/program_image.h"

namespace tessera::softgpu::exec {

struct SharedLayout {
  std::unordered_map<std::string, uint32_t>
      module_variables;  // by name; arrays without a size begin at dynamic_offset
  std::unordered_map<const ptx::Variable*, uint32_t> function_variables;
  uint32_t static_bytes = 0;
  uint32_t dynamic_offset = 0;
};

struct Reachable {
  std::vector<const ptx::Function*> functions;  // the entry first; defined ones only
  std::unordered_map<const ptx::Function*, int32_t> index;
  SharedLayout shared;
  KernelInfo needs;  // only what calls of the device's runtime need
};

// kInvalidData for calls of functions that nothing defines.
Result<Reachable> find_reachable(const ProgramImage& image, const ptx::Function& entry);

}  // namespace tessera::softgpu::exec
