// The JIT linker: cuLinkCreate to cuLinkDestroy. Its output is a fat binary with the PTX of all inputs, which
// is linked where it is loaded; what cannot be linked is told here already.
#pragma once

#include <mutex>
#include <span>
#include <string>

#include "cuda/abi.h"
#include "softgpu/driver/load.h"
#include "softgpu/ptx/fatbin.h"

namespace tessera::softgpu {

class Linker {
 public:
  // `log` and what it points to live as long as this does, as CUDA asks for.
  Linker(JitLog log, uint32_t architecture);
  Linker(const Linker&) = delete;
  Linker& operator=(const Linker&) = delete;

  CUlinkState handle() const { return reinterpret_cast<CUlinkState>(handle_); }

  // CUDA_ERROR_INVALID_PTX and its kin for what cannot be read, CUDA_ERROR_INVALID_SOURCE for a symbol that
  // is defined already, CUDA_ERROR_NO_BINARY_FOR_GPU for machine code without PTX. Nothing is added then.
  CUresult add(CUjitInputType type, std::span<const std::byte> data, const std::string& name);
  CUresult add_file(CUjitInputType type, const char* path);
  // The image stays until the linker ends. CUDA_ERROR_INVALID_SOURCE for symbols that nothing defines. Once;
  // CUDA_ERROR_INVALID_VALUE then.
  CUresult complete(void** image, size_t* size);

 private:
  CUresult add_locked(CUjitInputType type, std::span<const std::byte> data, const std::string& name);
  CUresult fail(CUresult result, const std::string& message);
  Result<ptx::DeviceCode> extract(CUjitInputType type, std::span<const std::byte> data) const;

  const JitLog log_;
  const uint32_t device_architecture_;
  const uintptr_t handle_;
  std::mutex mutex_;
  std::string text_;           // of all inputs
  uint32_t architecture_ = 0;  // the newest of them
  std::string errors_;
  std::string image_;
};

}  // namespace tessera::softgpu
