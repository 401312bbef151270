#include "softgpu/driver/linker.h"

#include <algorithm>

#include "common/fd.h"
#include "common/log.h"
#include "softgpu/driver/handle_registry.h"
#include "softgpu/exec/undefined.h"
#include "softgpu/ptx/parser.h"

namespace tessera::softgpu {
namespace {

constexpr size_t kMaxFileBytes = size_t{1} << 30;

}  // namespace

Linker::Linker(JitLog log, uint32_t architecture)
    : log_(log), device_architecture_(architecture), handle_(next_handle()) {}

CUresult Linker::fail(CUresult result, const std::string& message) {
  LOG_ERROR("linker", "%s", message.c_str());
  errors_ += "error   : " + message + "\n";
  log_.report(errors_);
  return result;
}

Result<ptx::DeviceCode> Linker::extract(CUjitInputType type, std::span<const std::byte> data) const {
  switch (type) {
    case CU_JIT_INPUT_OBJECT:
    case CU_JIT_INPUT_LIBRARY:
      return ptx::extract_embedded(data, device_architecture_);
    default:  // a cubin is one of ours, or machine code, which cannot run
      return ptx::extract_bounded(data, device_architecture_);
  }
}

CUresult Linker::add(CUjitInputType type, std::span<const std::byte> data, const std::string& name) {
  std::lock_guard lock(mutex_);
  return add_locked(type, data, name);
}

CUresult Linker::add_locked(CUjitInputType type, std::span<const std::byte> data, const std::string& name) {
  if (!image_.empty() || type >= CU_JIT_NUM_INPUT_TYPES) return CUDA_ERROR_INVALID_VALUE;
  if (type == CU_JIT_INPUT_NVVM) return fail(CUDA_ERROR_NOT_SUPPORTED, name + ": link-time optimised code");
  auto code = extract(type, data);
  if (!code.ok()) {
    const bool no_ptx = code.status().code() == Code::kUnsupported;
    return fail(no_ptx ? CUDA_ERROR_NO_BINARY_FOR_GPU : CUDA_ERROR_INVALID_IMAGE,
                name + ": " + code.status().message());
  }
  auto alone = ptx::parse(code->text);
  if (!alone.ok()) {
    const bool newer = alone.status().code() == Code::kUnsupported;
    return fail(newer ? CUDA_ERROR_UNSUPPORTED_PTX_VERSION : CUDA_ERROR_INVALID_PTX,
                name + ": " + alone.status().message());
  }
  if (text_.size() + code->text.size() > ptx::kMaxTextBytes) return CUDA_ERROR_OUT_OF_MEMORY;
  std::string together = text_ + code->text + "\n";
  auto linked = ptx::parse(together);
  if (!linked.ok()) return fail(CUDA_ERROR_INVALID_SOURCE, name + ": " + linked.status().message());
  text_ = std::move(together);
  architecture_ = std::max(architecture_, code->architecture);
  return CUDA_SUCCESS;
}

CUresult Linker::add_file(CUjitInputType type, const char* path) {
  std::lock_guard lock(mutex_);
  auto bytes = read_file(path, kMaxFileBytes);
  if (!bytes.ok()) return fail(CUDA_ERROR_FILE_NOT_FOUND, bytes.status().message());
  return add_locked(type, std::as_bytes(std::span(*bytes)), path);
}

CUresult Linker::complete(void** image, size_t* size) {
  std::lock_guard lock(mutex_);
  if (!image_.empty() || text_.empty()) return CUDA_ERROR_INVALID_VALUE;
  auto linked = ptx::parse(text_);
  if (!linked.ok()) return fail(CUDA_ERROR_INVALID_SOURCE, linked.status().message());
  std::string undefined;
  for (const std::string& name : exec::undefined_symbols(*linked)) {
    undefined += (undefined.empty() ? "Undefined reference to '" : "', '") + name;
  }
  if (!undefined.empty()) return fail(CUDA_ERROR_INVALID_SOURCE, undefined + "'");
  image_ = ptx::make_fatbin(text_, architecture_);
  log_.report(errors_);
  *image = image_.data();
  *size = image_.size();
  return CUDA_SUCCESS;
}

}  // namespace tessera::softgpu
