// Copies and sets: checking what a program asks for, and the operations that do it.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "cuda/abi.h"
#include "softgpu/driver/context.h"
#include "softgpu/driver/work_thread.h"

namespace tessera::softgpu {

class Stream;

// A box of bytes from one place to another; every copy becomes one.
struct CopyBox {
  uint64_t dst = 0, src = 0;
  size_t width = 0, height = 1, depth = 1;  // bytes, rows, slices
  size_t dst_pitch = 0, src_pitch = 0;      // bytes from row to row
  size_t dst_slice = 0, src_slice = 0;      // bytes from slice to slice
  bool empty() const { return width == 0 || height == 0 || depth == 0; }
};

// What a pointer must be: a host pointer may be anything, a device pointer must lie in memory the driver
// knows, a unified one is looked up.
enum class Side : uint8_t { kHost, kDevice, kUnified };

struct CopyRequest {
  CopyBox box;
  Side dst_side = Side::kUnified, src_side = Side::kUnified;
};

// Turns CUDA's descriptions into requests. CUDA_ERROR_INVALID_VALUE where they contradict themselves.
CUresult request_of(const CUDA_MEMCPY2D& copy, CopyRequest* request);
CUresult request_of(const CUDA_MEMCPY3D& copy, CopyRequest* request);
CUresult request_of(const CUDA_MEMCPY3D_PEER& copy, CopyRequest* request);
// Where `bytes` bytes from byte `offset` of an array are, counted row by row.
CUresult array_range(CUarray handle, size_t offset, size_t bytes, uint64_t* address);
CopyRequest linear_request(uint64_t dst, Side dst_side, uint64_t src, Side src_side, size_t bytes);

// Checks the request against the memory there is and does it in the order of `stream`. `wait`: a synchronous
// call, which returns when the program may use both sides again (CUDA's rules: "API synchronization
// behavior").
CUresult copy(Stream& stream, const CopyRequest& request, bool wait);

// `value` of 1, 2 or 4 bytes, `width` elements a row.
struct SetBox {
  uint64_t dst = 0;
  uint32_t value = 0;
  size_t element = 1;
  size_t width = 0, height = 1;
  size_t pitch = 0;  // bytes
};
CUresult fill(Stream& stream, const SetBox& box, bool wait);

// For graphs, whose work is checked when they are made and again when they are launched: memory that a graph
// allocates need not be there before. `*op` is null where there is nothing to do.
CUresult check_copy(const Context& context, const CopyRequest& request);
CUresult check_fill(const Context& context, const SetBox& box);
CUresult make_copy(const std::shared_ptr<Context>& context, const CopyRequest& request, OpRef* op);
CUresult make_fill(const std::shared_ptr<Context>& context, const SetBox& box, OpRef* op);

}  // namespace tessera::softgpu
