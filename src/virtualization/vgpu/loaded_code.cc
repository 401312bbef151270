#include "virtualization/vgpu/loaded_code.h"

namespace tessera::vgpu {

bool LoadedCode::loaded(CUfunction function, CUcontext context) {
  std::lock_guard lock(mutex_);
  return loads_.contains({function, context});
}

void LoadedCode::set_loaded(CUfunction function, CUcontext context) {
  std::lock_guard lock(mutex_);
  loads_.emplace(function, context);
}

void LoadedCode::forget_loads() {
  std::lock_guard lock(mutex_);
  loads_.clear();
  epoch_.fetch_add(1, std::memory_order_release);
}

void LoadedCode::add_kernel(CUkernel kernel, CUlibrary library) {
  std::lock_guard lock(mutex_);
  kernels_[kernel] = library;
}

CUlibrary LoadedCode::library_of(CUfunction function) {
  std::lock_guard lock(mutex_);
  const auto found = kernels_.find(reinterpret_cast<CUkernel>(function));
  return found == kernels_.end() ? nullptr : found->second;
}

void LoadedCode::forget_library(CUlibrary library) {
  {
    std::lock_guard lock(mutex_);
    std::erase_if(kernels_, [library](const auto& entry) { return entry.second == library; });
  }
  forget_loads();
}

}  // namespace tessera::vgpu
