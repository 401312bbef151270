// From what a program passes as device code to parsed PTX, with the JIT's options and its error log.
#pragma once

#include <string>

#include "common/status.h"
#include "cuda/abi.h"
#include "softgpu/driver/context.h"
#include "softgpu/ptx/ast.h"

namespace tessera::softgpu {

// The JIT options that mean something here: where the logs go. The others are hints to a compiler that is not
// there; values that make no sense are refused all the same.
class JitLog {
 public:
  // CUDA_ERROR_INVALID_VALUE for options or values that CUDA does not know, or a null list.
  static CUresult from_options(unsigned count, const CUjit_option* options, void** values, JitLog* log);
  // Puts the text into the program's error log buffer, cut to its size, and tells its length where asked for.
  void report(const std::string& error) const;

 private:
  void** values_ = nullptr;
  int info_buffer_index_ = -1;
  int info_size_index_ = -1;
  int error_buffer_index_ = -1;
  int error_size_index_ = -1;
  uint32_t info_bytes_ = 0;
  uint32_t error_bytes_ = 0;
};

// CUDA's error for parsed code that cannot be linked or decoded: bad PTX 218, an instruction that is not
// built 801.
CUresult result_of_load(const Status& status);

// Parses what `image` points to. Failures are logged and reported.
CUresult load_code(const void* image, uint32_t architecture_max, const JitLog& jit, ptx::Module* code);
CUresult load_code_file(const char* path, uint32_t architecture_max, const JitLog& jit, ptx::Module* code);

}  // namespace tessera::softgpu
