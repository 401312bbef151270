#include "virtualization/vgpu/copied_bytes.h"

#include "virtualization/vgpu/array_size.h"

namespace tessera::vgpu {
namespace {

// Of an element of what is copied: a texel where one side is an array, a byte otherwise.
uint64_t element_bits(const CUDA_MEMCPY3D_BATCH_OP& copy) {
  constexpr uint64_t kByte = 8;
  for (const CUmemcpy3DOperand* operand : {&copy.src, &copy.dst}) {
    CUDA_ARRAY3D_DESCRIPTOR array{};
    if (operand->type == CU_MEMCPY_OPERAND_TYPE_ARRAY && lower().cuArray3DGetDescriptor_v2 != nullptr &&
        lower().cuArray3DGetDescriptor_v2(&array, operand->op.array.array) == CUDA_SUCCESS)
      return texel_bits(array);
  }
  return kByte;
}

bool is_on_device(const CUmemcpy3DOperand& operand) {
  return operand.type == CU_MEMCPY_OPERAND_TYPE_ARRAY || is_device_address(operand.op.ptr.ptr);
}

}  // namespace

CopiedBytes CopiedInShapedBatch::told(const CUDA_MEMCPY3D_BATCH_OP& copy) {
  constexpr uint64_t kByte = 8;
  const uint64_t elements = uint64_t{copy.extent.width} * copy.extent.height * copy.extent.depth;
  return {way_between(is_on_device(copy.src), is_on_device(copy.dst)), elements * element_bits(copy) / kByte};
}

void count_copied(CopiedBytes copied) {
  const auto [way, bytes] = copied;
  if (way == CopyWay::kOnHost) return;
  constexpr std::atomic<uint64_t> DeviceCounters::*kCounters[] = {
      &DeviceCounters::bytes_to_device, &DeviceCounters::bytes_from_device, &DeviceCounters::bytes_on_device};
  (active_vgpu->current_counters().*kCounters[static_cast<size_t>(way)])
      .fetch_add(bytes, std::memory_order_relaxed);
}

// The driver does not know memory of the host that nobody registered.
bool is_device_address(CUdeviceptr address) {
  unsigned int type = 0;
  return lower().cuPointerGetAttribute != nullptr &&
         lower().cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, address) == CUDA_SUCCESS &&
         type != CU_MEMORYTYPE_HOST;
}

}  // namespace tessera::vgpu
