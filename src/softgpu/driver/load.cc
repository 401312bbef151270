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

CUresult JitLog::from_options(unsigned count, const CUjit_option* options, void** values, JitLog* log) {
  if (count != 0 && (options == nullptr || values == nullptr)) return CUDA_ERROR_INVALID_VALUE;
  log->values_ = values;
  for (unsigned i = 0; i < count; ++i) {
    if (options[i] >= CU_JIT_NUM_OPTIONS) return CUDA_ERROR_INVALID_VALUE;
    if (options[i] == CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES) log->info_size_index_ = static_cast<int>(i);
    if (options[i] == CU_JIT_ERROR_LOG_BUFFER) log->error_buffer_index_ = static_cast<int>(i);
    if (options[i] == CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES) log->error_size_index_ = static_cast<int>(i);
  }
  return CUDA_SUCCESS;
}

void JitLog::report(const std::string& error) const {
  size_t written = 0;
  if (error_buffer_index_ >= 0 && error_size_index_ >= 0) {
    auto* buffer = static_cast<char*>(values_[error_buffer_index_]);
    // The size is passed in the place of the pointer itself, and told back there.
    const auto size = static_cast<uint32_t>(reinterpret_cast<uintptr_t>(values_[error_size_index_]));
    if (buffer != nullptr && size != 0) {
      written = std::min<size_t>(error.size(), size - 1);
      memcpy(buffer, error.data(), written);
      buffer[written] = '\0';
    }
  }
  if (error_size_index_ >= 0) values_[error_size_index_] = reinterpret_cast<void*>(uintptr_t{written});
  if (info_size_index_ >= 0) values_[info_size_index_] = nullptr;
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
