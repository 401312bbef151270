// What a program asks about an address, where the memory there is of a Residency: to the driver it is a
// mapping like any other, or nothing while it is off the device.
#include "virtualization/vgpu/calls.h"

namespace tessera::vgpu {
namespace {

using cuda::DriverTable;

std::optional<memory::Block> movable_block(CUdeviceptr address) {
  Tenant* tenant = active_vgpu->tenant();
  if (tenant == nullptr) return std::nullopt;
  for (auto& residency : tenant->residencies) {
    if (residency == nullptr) continue;
    if (auto block = residency->find(address)) return block;
  }
  return std::nullopt;
}

template <auto Entry, typename Pointer, typename Size>
CUresult address_range(Pointer* base, Size* size, Pointer address) {
  const auto block = movable_block(address);
  if (!block) return (lower().*Entry)(base, size, address);
  if (base != nullptr) *base = static_cast<Pointer>(block->begin);
  if (size != nullptr) *size = static_cast<Size>(block->bytes);
  return CUDA_SUCCESS;
}

// Where it differs from what the driver says of the mapping.
void correct(CUpointer_attribute attribute, const memory::Block& block, void* data) {
  switch (attribute) {
    case CU_POINTER_ATTRIBUTE_RANGE_START_ADDR:
      *static_cast<CUdeviceptr*>(data) = block.begin;
      break;
    case CU_POINTER_ATTRIBUTE_RANGE_SIZE:
      *static_cast<size_t*>(data) = block.bytes;
      break;
    default:
      break;
  }
}

CUresult attribute(void* data, CUpointer_attribute attribute, CUdeviceptr address) {
  const auto block = movable_block(address);
  const CUresult result = lower().cuPointerGetAttribute(data, attribute, address);
  if (result == CUDA_SUCCESS && block) correct(attribute, *block, data);
  return result;
}

CUresult attributes(unsigned int count, CUpointer_attribute* wanted, void** data, CUdeviceptr address) {
  const auto block = movable_block(address);
  const CUresult result = lower().cuPointerGetAttributes(count, wanted, data, address);
  if (result != CUDA_SUCCESS || !block || wanted == nullptr || data == nullptr) return result;
  for (unsigned int i = 0; i < count; ++i) correct(wanted[i], *block, data[i]);
  return result;
}

// Another process would keep it where it is.
CUresult ipc_handle(CUipcMemHandle* handle, CUdeviceptr address) {
  return movable_block(address) ? CUDA_ERROR_NOT_SUPPORTED : lower().cuIpcGetMemHandle(handle, address);
}

}  // namespace

void install_address_calls(DriverTable& upper, const DriverTable& lower) {
  using T = DriverTable;
  replace<&T::cuMemGetAddressRange_v2, &address_range<&T::cuMemGetAddressRange_v2, CUdeviceptr, size_t>>(
      upper, lower);
  replace<&T::cuPointerGetAttribute, &attribute>(upper, lower);
  replace<&T::cuPointerGetAttributes, &attributes>(upper, lower);
  replace<&T::cuIpcGetMemHandle, &ipc_handle>(upper, lower);
}

}  // namespace tessera::vgpu
