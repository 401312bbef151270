// Stream memory operations: a stream that waits for a value in memory, or writes one.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "cuda/abi.h"
#include "softgpu/driver/context.h"
#include "softgpu/driver/op.h"

namespace tessera::softgpu {

// CUDA's limit for one batch.
constexpr unsigned kMaxMemOps = 256;

// Checks flags, alignment, and that each address lies in memory the driver knows.
CUresult check_mem_ops(std::span<const CUstreamBatchMemOpParams> ops);
// One operation that does all of them, one after the other.
OpRef make_mem_ops(std::shared_ptr<Context> context, std::vector<CUstreamBatchMemOpParams> ops);

}  // namespace tessera::softgpu
