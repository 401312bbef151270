#include "softgpu/driver/load.h"

#include <algorithm>
#include <cstring>

#include "common/fd.h"
#include "common/log.h"
#include "softgpu/ptx/fatbin.h"
#include "softgpu/ptx/parser.h"

namespace tessera::softgpu {
namespace {

constexpr size_t kMaxFileBytes = size_t{1} << 30;

CUresult refuse(CUresult result, const Status& status, const JitLog& jit) {
  LOG_ERROR("module", "%s", status.message().c_str());
  jit.report(status.message());
  return result;
}

CUresult parse_code(Result<ptx::DeviceCode> found, const JitLog& jit, ptx::Module* code) {
  if (!found.ok()) {
    const bool no_ptx = found.status().code() == Code::kUnsupported;
    return refuse(no_ptx ? CUDA_ERROR_NO_BINARY_FOR_GPU : CUDA_ERROR_INVALID_IMAGE, found.status(), jit);
  }
  if (!found->left_out.empty()) LOG_INFO("module", "%s", found->left_out.c_str());
  auto parsed = ptx::parse(found->text);
  if (!parsed.ok()) {
    const bool newer = parsed.status().code() == Code::kUnsupported;
    return refuse(newer ? CUDA_ERROR_UNSUPPORTED_PTX_VERSION : CUDA_ERROR_INVALID_PTX, parsed.status(), jit);
  }
  *code = std::move(parsed).value();
  return CUDA_SUCCESS;
}

}  // namespace

namespace {

// What is passed in the place of a pointer.
uint32_t number_in(void* value) { return static_cast<uint32_t>(reinterpret_cast<uintptr_t>(value)); }

bool sensible(CUjit_option option, uint32_t value) {
  switch (option) {
    case CU_JIT_OPTIMIZATION_LEVEL:
      return value <= 4;
    case CU_JIT_FALLBACK_STRATEGY:
      return value <= CU_PREFER_BINARY;
    case CU_JIT_CACHE_MODE:
      return value <= CU_JIT_CACHE_OPTION_CA;
    default:
      return option < CU_JIT_NUM_OPTIONS;
  }
}

// Fills one of the program's log buffers, cut to its size and with a NUL at its end; how much was written is
// told in the place of the size (the linker reports more than once: the size is remembered).
void write_log(void** values, int buffer_index, int size_index, uint32_t size, const std::string& text) {
  size_t written = 0;
  if (buffer_index >= 0 && size_index >= 0) {
    auto* buffer = static_cast<char*>(values[buffer_index]);
    if (buffer != nullptr && size != 0) {
      written = std::min<size_t>(text.size(), size - 1);
      memcpy(buffer, text.data(), written);
      buffer[written] = '\0';
    }
  }
  if (size_index >= 0) values[size_index] = reinterpret_cast<void*>(uintptr_t{written});
}

}  // namespace

CUresult JitLog::from_options(unsigned count, const CUjit_option* options, void** values, JitLog* log) {
  if (count != 0 && (options == nullptr || values == nullptr)) return CUDA_ERROR_INVALID_VALUE;
  log->values_ = values;
  for (unsigned i = 0; i < count; ++i) {
    if (!sensible(options[i], number_in(values[i]))) return CUDA_ERROR_INVALID_VALUE;
    if (options[i] == CU_JIT_INFO_LOG_BUFFER) log->info_buffer_index_ = static_cast<int>(i);
    if (options[i] == CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES) {
      log->info_size_index_ = static_cast<int>(i);
      log->info_bytes_ = number_in(values[i]);
    }
    if (options[i] == CU_JIT_ERROR_LOG_BUFFER) log->error_buffer_index_ = static_cast<int>(i);
    if (options[i] == CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES) {
      log->error_size_index_ = static_cast<int>(i);
      log->error_bytes_ = number_in(values[i]);
    }
  }
  return CUDA_SUCCESS;
}

void JitLog::report(const std::string& error) const {
  write_log(values_, error_buffer_index_, error_size_index_, error_bytes_, error);
  write_log(values_, info_buffer_index_, info_size_index_, info_bytes_, "");
}

CUresult result_of_load(const Status& status) {
  switch (status.code()) {
    case Code::kUnsupported:
      return CUDA_ERROR_NOT_SUPPORTED;
    case Code::kInvalidData:
      return CUDA_ERROR_INVALID_PTX;
    case Code::kResourceExhausted:
      return CUDA_ERROR_OUT_OF_MEMORY;
    case Code::kNotFound:
      return CUDA_ERROR_NOT_FOUND;
    default:
      return CUDA_ERROR_UNKNOWN;
  }
}

CUresult load_code(const void* image, uint32_t architecture_max, const JitLog& jit, ptx::Module* code) {
  return parse_code(ptx::extract(image, architecture_max), jit, code);
}

CUresult load_code_file(const char* path, uint32_t architecture_max, const JitLog& jit, ptx::Module* code) {
  auto bytes = read_file(path, kMaxFileBytes);
  if (!bytes.ok()) return refuse(CUDA_ERROR_FILE_NOT_FOUND, bytes.status(), jit);
  return parse_code(ptx::extract_bounded(std::as_bytes(std::span(*bytes)), architecture_max), jit, code);
}

}  // namespace tessera::softgpu
