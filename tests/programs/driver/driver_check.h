// The CUDA driver API's side of check.h: checked calls, the primary context, modules, launches, owned device
// memory.
#pragma once

#include "../check.h"
#include "cuda/abi.h"

inline const char* cu_name(CUresult result) {
  const char* name = nullptr;
  return cuGetErrorName(result, &name) == CUDA_SUCCESS && name ? name : "an unknown error";
}

#define CU_CHECK(call)                                                                               \
  do {                                                                                               \
    const CUresult result_ = (call);                                                                 \
    if (result_ == CUDA_ERROR_NOT_SUPPORTED) check::skip("%s: not supported by this driver", #call); \
    if (result_ != CUDA_SUCCESS) {                                                                   \
      check::fail("%s:%d: %s: %s (%d)", __FILE__, __LINE__, #call, cu_name(result_),                 \
                  static_cast<int>(result_));                                                        \
    }                                                                                                \
  } while (0)

// The call must answer exactly this error.
#define CU_EXPECT(expected, call)                                                            \
  do {                                                                                       \
    const CUresult result_ = (call);                                                         \
    if (result_ != (expected)) {                                                             \
      check::fail("%s:%d: %s: %s (%d), not %s", __FILE__, __LINE__, #call, cu_name(result_), \
                  static_cast<int>(result_), #expected);                                     \
    }                                                                                        \
  } while (0)

namespace check {

// Device 0's primary context, current in this thread.
class Context {
 public:
  Context() {
    CU_CHECK(cuInit(0));
    CU_CHECK(cuDeviceGet(&device_, 0));
    CU_CHECK(cuDevicePrimaryCtxRetain(&context_, device_));
    CU_CHECK(cuCtxSetCurrent(context_));
  }
  // Without a check: a context with a sticky error is released too.
  ~Context() { (void)cuDevicePrimaryCtxRelease_v2(device_); }
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;
  CUdevice device() const { return device_; }
  CUcontext get() const { return context_; }

 private:
  CUdevice device_ = 0;
  CUcontext context_ = nullptr;
};

class Module {
 public:
  explicit Module(const char* ptx) { CU_CHECK(cuModuleLoadData(&module_, ptx)); }
  ~Module() { (void)cuModuleUnload(module_); }
  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;
  CUmodule get() const { return module_; }
  CUfunction function(const char* name) const {
    CUfunction function = nullptr;
    CU_CHECK(cuModuleGetFunction(&function, module_, name));
    return function;
  }
  // The address of a variable, which must have this size.
  CUdeviceptr variable(const char* name, size_t size) const {
    CUdeviceptr address = 0;
    size_t bytes = 0;
    CU_CHECK(cuModuleGetGlobal_v2(&address, &bytes, module_, name));
    REQUIRE(bytes == size, "variable %s has %zu bytes, not %zu", name, bytes, size);
    return address;
  }

 private:
  CUmodule module_ = nullptr;
};

template <typename T>
class DeviceArray {
 public:
  explicit DeviceArray(size_t count) : count_(count) {
    CU_CHECK(cuMemAlloc_v2(&address_, count * sizeof(T)));
  }
  explicit DeviceArray(const std::vector<T>& values) : DeviceArray(values.size()) { upload(values); }
  ~DeviceArray() { (void)cuMemFree_v2(address_); }
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;

  CUdeviceptr get() const { return address_; }
  size_t bytes() const { return count_ * sizeof(T); }
  void upload(const std::vector<T>& values) {
    REQUIRE(values.size() == count_, "upload of %zu elements into %zu", values.size(), count_);
    CU_CHECK(cuMemcpyHtoD_v2(address_, values.data(), bytes()));
  }
  std::vector<T> download() const {
    std::vector<T> values(count_);
    CU_CHECK(cuMemcpyDtoH_v2(values.data(), address_, bytes()));
    return values;
  }
  void fill(unsigned char byte) { CU_CHECK(cuMemsetD8_v2(address_, byte, bytes())); }

 private:
  CUdeviceptr address_ = 0;
  size_t count_;
};

struct Grid {
  unsigned x = 1, y = 1;
};
using Block = Grid;

// Arguments must have the very types of the kernel's parameters.
template <typename... Arguments>
void launch(CUfunction function, Grid grid, Block block, CUstream stream, Arguments... arguments) {
  void* parameters[] = {&arguments...};
  CU_CHECK(cuLaunchKernel(function, grid.x, grid.y, 1, block.x, block.y, 1, 0, stream, parameters, nullptr));
}

inline unsigned blocks_for(size_t items, unsigned block) {
  return static_cast<unsigned>((items + block - 1) / block);
}

}  // namespace check
