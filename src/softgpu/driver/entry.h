// What every exported function begins with. Nothing may be thrown across the C interface.
#pragma once

#include <exception>
#include <memory>
#include <new>

#include "common/log.h"
#include "softgpu/driver/context.h"
#include "softgpu/driver/current.h"
#include "softgpu/driver/state.h"

namespace tessera::softgpu {

// Runs `body`, for calls that need neither cuInit nor a context.
template <typename Body>
CUresult guarded(Body&& body) noexcept {
  try {
    return body();
  } catch (const std::bad_alloc&) {
    return CUDA_ERROR_OUT_OF_MEMORY;
  } catch (const std::exception& error) {
    LOG_ERROR("driver", "internal error: %s", error.what());
    return CUDA_ERROR_UNKNOWN;
  }
}

// Runs `body` where the driver is initialised.
template <typename Body>
CUresult initialised(Body&& body) noexcept {
  return guarded([&] {
    CUresult result = require_initialised();
    return result == CUDA_SUCCESS ? body() : result;
  });
}

// Runs `body(Context&)` in the current context, where it is usable.
template <typename Body>
CUresult in_context(Body&& body) noexcept {
  return guarded([&]() -> CUresult {
    std::shared_ptr<Context> context;
    CUresult result = usable_context(&context);
    return result == CUDA_SUCCESS ? body(*context) : result;
  });
}

}  // namespace tessera::softgpu

#define SOFTGPU_RETURN_IF_ERROR(expression)      \
  do {                                           \
    const CUresult result_ = (expression);       \
    if (result_ != CUDA_SUCCESS) return result_; \
  } while (false)
