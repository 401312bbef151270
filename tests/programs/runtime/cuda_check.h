// The CUDA runtime's side of check.h: checked calls and owned device memory.
#pragma once

#include <cuda_runtime.h>

#include <vector>

#include "../check.h"

#define CUDA_CHECK(call)                                                                                \
  do {                                                                                                  \
    const cudaError_t status_ = (call);                                                                 \
    if (status_ == cudaErrorNotSupported) check::skip("%s: not supported by this driver", #call);       \
    if (status_ != cudaSuccess) {                                                                       \
      check::fail("%s:%d: %s: %s (%d)", __FILE__, __LINE__, #call, cudaGetErrorName(status_), status_); \
    }                                                                                                   \
  } while (0)

// The call must answer exactly this error.
#define CUDA_EXPECT(expected, call)                                                                   \
  do {                                                                                                \
    const cudaError_t status_ = (call);                                                               \
    if (status_ != (expected)) {                                                                      \
      check::fail("%s:%d: %s: %s (%d), not %s", __FILE__, __LINE__, #call, cudaGetErrorName(status_), \
                  status_, #expected);                                                                \
    }                                                                                                 \
  } while (0)

// After a launch: the launch itself, then what the kernel did.
#define CUDA_CHECK_KERNEL()              \
  do {                                   \
    CUDA_CHECK(cudaGetLastError());      \
    CUDA_CHECK(cudaDeviceSynchronize()); \
  } while (0)

namespace check {

template <typename T>
class DeviceArray {
 public:
  explicit DeviceArray(size_t count) : count_(count) { CUDA_CHECK(cudaMalloc(&data_, count * sizeof(T))); }
  explicit DeviceArray(const std::vector<T>& values) : DeviceArray(values.size()) { upload(values); }
  // Frees without a check: it also runs after a test of sticky errors, where every call fails.
  ~DeviceArray() { (void)cudaFree(data_); }
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;

  T* get() const { return data_; }
  size_t count() const { return count_; }
  size_t bytes() const { return count_ * sizeof(T); }
  void upload(const std::vector<T>& values) {
    REQUIRE(values.size() == count_, "upload of %zu elements into %zu", values.size(), count_);
    CUDA_CHECK(cudaMemcpy(data_, values.data(), bytes(), cudaMemcpyHostToDevice));
  }
  std::vector<T> download() const {
    std::vector<T> values(count_);
    CUDA_CHECK(cudaMemcpy(values.data(), data_, bytes(), cudaMemcpyDeviceToHost));
    return values;
  }
  void fill(int byte) { CUDA_CHECK(cudaMemset(data_, byte, bytes())); }

 private:
  T* data_ = nullptr;
  size_t count_;
};

inline unsigned blocks_for(size_t items, unsigned block) {
  return static_cast<unsigned>((items + block - 1) / block);
}

}  // namespace check
