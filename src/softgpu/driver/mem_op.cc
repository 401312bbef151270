#include "softgpu/driver/mem_op.h"

#include <atomic>
#include <utility>

#include "softgpu/driver/memory_use.h"
#include "softgpu/driver/watched_op.h"
#include "softgpu/memory/allocation_table.h"

namespace tessera::softgpu {
namespace {

template <typename T>
bool satisfied(uint64_t address, T value, unsigned flags) {
  const T now = std::atomic_ref(*reinterpret_cast<T*>(address)).load(std::memory_order_acquire);
  switch (flags) {
    case CU_STREAM_WAIT_VALUE_GEQ:  // cyclic, as counters wrap
      return static_cast<std::make_signed_t<T>>(now - value) >= 0;
    case CU_STREAM_WAIT_VALUE_EQ:
      return now == value;
    case CU_STREAM_WAIT_VALUE_AND:
      return (now & value) != 0;
    default:
      return static_cast<T>(~(now | value)) != 0;
  }
}

template <typename T>
void write(uint64_t address, T value) {
  std::atomic_ref(*reinterpret_cast<T*>(address)).store(value, std::memory_order_release);
}

class MemOps : public WatchedOp {
 public:
  MemOps(std::shared_ptr<Context> context, std::vector<CUstreamBatchMemOpParams> ops)
      : context_(std::move(context)), ops_(std::move(ops)) {}

  // Goes on up to a wait that is not over; whether all is done.
  bool advance() override {
    while (next_ < ops_.size() && context_->status() == CUDA_SUCCESS) {
      const MemoryUse use(*context_, 0, memory_of(ops_[next_]));
      if (use.allowed() && !run(ops_[next_])) return false;
      ++next_;
    }
    return true;
  }

 private:
  static UsedMemory memory_of(const CUstreamBatchMemOpParams& op) {
    switch (op.operation) {
      case CU_STREAM_MEM_OP_WAIT_VALUE_32:
      case CU_STREAM_MEM_OP_WRITE_VALUE_32:
        return {op.waitValue.address, sizeof(uint32_t)};
      case CU_STREAM_MEM_OP_WAIT_VALUE_64:
      case CU_STREAM_MEM_OP_WRITE_VALUE_64:
        return {op.waitValue.address, sizeof(uint64_t)};
      default:
        return {};
    }
  }

  static bool run(const CUstreamBatchMemOpParams& op) {
    const auto& wait = op.waitValue;
    const auto& store = op.writeValue;
    switch (op.operation) {
      case CU_STREAM_MEM_OP_WAIT_VALUE_32:
        return satisfied<uint32_t>(wait.address, wait.value, wait.flags);
      case CU_STREAM_MEM_OP_WAIT_VALUE_64:
        return satisfied<uint64_t>(wait.address, wait.value64, wait.flags);
      case CU_STREAM_MEM_OP_WRITE_VALUE_32:
        write<uint32_t>(store.address, store.value);
        return true;
      case CU_STREAM_MEM_OP_WRITE_VALUE_64:
        write<uint64_t>(store.address, store.value64);
        return true;
      case CU_STREAM_MEM_OP_BARRIER:
      case CU_STREAM_MEM_OP_FLUSH_REMOTE_WRITES:
        std::atomic_thread_fence(std::memory_order_seq_cst);
        return true;
    }
    return true;
  }

  const std::shared_ptr<Context> context_;
  const std::vector<CUstreamBatchMemOpParams> ops_;
  size_t next_ = 0;
};

CUresult check_address(uint64_t address, uint64_t size) {
  const bool known = AllocationTable::instance().covers(address, size);
  return known && address % size == 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult check_wait(const CUstreamBatchMemOpParams& op, uint64_t size) {
  // CU_DEVICE_ATTRIBUTE_CAN_FLUSH_REMOTE_WRITES is 0.
  if ((op.waitValue.flags & CU_STREAM_WAIT_VALUE_FLUSH) != 0) return CUDA_ERROR_NOT_SUPPORTED;
  if (op.waitValue.flags > CU_STREAM_WAIT_VALUE_NOR) return CUDA_ERROR_INVALID_VALUE;
  return check_address(op.waitValue.address, size);
}

CUresult check_write(const CUstreamBatchMemOpParams& op, uint64_t size) {
  if (op.writeValue.flags > CU_STREAM_WRITE_VALUE_NO_MEMORY_BARRIER) return CUDA_ERROR_INVALID_VALUE;
  return check_address(op.writeValue.address, size);
}

CUresult check_one(const CUstreamBatchMemOpParams& op) {
  switch (op.operation) {
    case CU_STREAM_MEM_OP_WAIT_VALUE_32:
      return check_wait(op, 4);
    case CU_STREAM_MEM_OP_WAIT_VALUE_64:
      return check_wait(op, 8);
    case CU_STREAM_MEM_OP_WRITE_VALUE_32:
      return check_write(op, 4);
    case CU_STREAM_MEM_OP_WRITE_VALUE_64:
      return check_write(op, 8);
    case CU_STREAM_MEM_OP_BARRIER:
      return op.memoryBarrier.flags <= CU_STREAM_MEMORY_BARRIER_TYPE_GPU ? CUDA_SUCCESS
                                                                         : CUDA_ERROR_INVALID_VALUE;
    case CU_STREAM_MEM_OP_FLUSH_REMOTE_WRITES:
      return CUDA_ERROR_NOT_SUPPORTED;
  }
  return CUDA_ERROR_INVALID_VALUE;
}

}  // namespace

CUresult check_mem_ops(std::span<const CUstreamBatchMemOpParams> ops) {
  if (ops.size() > kMaxMemOps) return CUDA_ERROR_INVALID_VALUE;
  for (const CUstreamBatchMemOpParams& op : ops) {
    const CUresult result = check_one(op);
    if (result != CUDA_SUCCESS) return result;
  }
  return CUDA_SUCCESS;
}

OpRef make_mem_ops(std::shared_ptr<Context> context, std::vector<CUstreamBatchMemOpParams> ops) {
  return std::make_shared<MemOps>(std::move(context), std::move(ops));
}

}  // namespace tessera::softgpu
