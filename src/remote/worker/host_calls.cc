// Memory of the program that the device can use.
#include <vector>

#include "remote/wire/extents.h"
#include "remote/wire/regions.h"
#include "remote/worker/managed_place.h"
#include "remote/worker/own_calls.h"
#include "remote/worker/worker.h"

namespace tessera::remote {
namespace {

CUresult host_add(Serving& s) {
  const auto address = s.in.value<uint64_t>();
  const auto bytes = s.in.value<uint64_t>();
  const auto flags = s.in.value<uint32_t>();
  if (!s.in.whole()) return s.malformed();
  CUdeviceptr device = 0;
  const CUresult result = s.worker.mirrors().add(address, bytes, flags, &device);
  s.out.value(device);
  return result;
}

CUresult host_remove(Serving& s) {
  const auto address = s.in.value<uint64_t>();
  if (!s.in.whole()) return s.malformed();
  s.may_wait();
  s.worker.bring_host_changes();
  return s.worker.mirrors().remove(address);
}

CUresult host_watch(Serving& s) {
  const auto address = s.in.value<uint64_t>();
  if (!s.in.whole()) return s.malformed();
  return s.worker.mirrors().watch(address) ? CUDA_SUCCESS : CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED;
}

CUresult host_changes(Serving& s) {
  const auto address = s.in.value<uint64_t>();
  const auto bytes = s.in.value<uint64_t>();
  const auto encoded_bytes = s.in.value<uint64_t>();
  if (!s.in.whole() || encoded_bytes > 2 * kMostChangedSpan) return s.malformed();
  std::vector<std::byte> encoded(padded(encoded_bytes));
  if (!s.read_payload(encoded).ok()) return s.malformed();
  const Changes changes{address, bytes, ByteSpan(encoded).first(encoded_bytes)};
  if (!are_changes(changes)) return s.malformed();
  (void)s.worker.mirrors().put_changes(changes);  // it may have gone meanwhile
  return CUDA_SUCCESS;
}

CUresult alloc_managed(Serving& s) {
  const auto bytes = s.in.value<uint64_t>();
  const auto flags = s.in.value<uint32_t>();
  uint64_t count = 0;
  const auto* taken = s.in.array<AddressSpan>(&count);
  if (!s.in.whole() || count > kMostTakenSpans) return s.malformed();
  CUdeviceptr address = 0;
  CUresult result = place_managed(s.table, {taken, count}, bytes, flags, &address);
  if (result == CUDA_SUCCESS) {
    result = s.worker.mirrors().add_managed(address, bytes);
    if (result != CUDA_SUCCESS) (void)s.table.cuMemFree_v2(address);
  }
  s.out.value(address);
  return result;
}

// What the driver knows of memory that we place is where its granules are.
void correct_attribute(Serving& s, CUpointer_attribute attribute, CUdeviceptr address, uint64_t* value) {
  PlacedMemory::Block block;
  if (!s.worker.placed().find(address, &block)) return;
  if (attribute == CU_POINTER_ATTRIBUTE_RANGE_START_ADDR) *value = block.address;
  if (attribute == CU_POINTER_ATTRIBUTE_RANGE_SIZE) *value = block.bytes;
  if (attribute == CU_POINTER_ATTRIBUTE_CONTEXT) *value = (uint64_t)block.context;
}

// Handles among the values are named as the client knows them.
void give_attribute(Serving& s, CUpointer_attribute attribute, uint64_t* value) {
  if (attribute == CU_POINTER_ATTRIBUTE_CONTEXT) *value = s.id_of(HandleKind::kCUcontext, *value, 0);
  if (attribute == CU_POINTER_ATTRIBUTE_MEMPOOL_HANDLE)
    *value = s.id_of(HandleKind::kCUmemoryPool, *value, 0);
  s.out.array(reinterpret_cast<const std::byte*>(value), pointer_attribute_bytes(attribute));
}

CUresult pointer_attribute(Serving& s) {
  const auto attribute = s.in.value<CUpointer_attribute>();
  const auto address = s.in.value<CUdeviceptr>();
  if (!s.in.whole()) return s.malformed();
  uint64_t value[2] = {};
  const CUresult result = s.table.cuPointerGetAttribute(value, attribute, address);
  if (result == CUDA_SUCCESS) correct_attribute(s, attribute, address, value);
  if (result == CUDA_SUCCESS) give_attribute(s, attribute, value);
  return result;
}

CUresult pointer_attributes(Serving& s) {
  constexpr uint64_t kMost = 64;
  uint64_t count = 0;
  auto* attributes = s.in.array<CUpointer_attribute>(&count);
  const auto address = s.in.value<CUdeviceptr>();
  if (!s.in.whole() || count > kMost) return s.malformed();
  uint64_t values[kMost][2] = {};
  void* places[kMost] = {};
  for (uint64_t i = 0; i < count; ++i) places[i] = values[i];
  const CUresult result =
      s.table.cuPointerGetAttributes(static_cast<unsigned>(count), attributes, places, address);
  for (uint64_t i = 0; result == CUDA_SUCCESS && i < count; ++i) {
    correct_attribute(s, attributes[i], address, values[i]);
    give_attribute(s, attributes[i], values[i]);
  }
  return result;
}

CUresult mem_free(Serving& s) {
  const auto address = s.in.value<CUdeviceptr>();
  if (!s.in.whole()) return s.malformed();
  s.may_wait();
  s.worker.bring_host_changes();
  PlacedMemory::Block block;
  if (s.worker.placed().find(address, &block)) return s.worker.placed().free(address);
  // Managed memory is looked at by whoever waits: not any more, before it is gone.
  const uint64_t managed_bytes = s.worker.mirrors().forget_managed(address);
  const CUresult result = s.table.cuMemFree_v2(address);
  if (result != CUDA_SUCCESS && managed_bytes != 0)
    (void)s.worker.mirrors().add_managed(address, managed_bytes);
  return result;
}

}  // namespace

std::span<const OwnCall> host_calls() {
  static constexpr OwnCall kCallsHere[] = {
      own(Message::kHostAdd, host_add),
      own(Message::kHostRemove, host_remove),
      own(Message::kHostWatch, host_watch),
      own(Message::kHostChanges, host_changes),
      own(Op::cuMemAllocManaged, alloc_managed),
      own(Op::cuMemFree_v2, mem_free),
      own(Op::cuPointerGetAttribute, pointer_attribute),
      own(Op::cuPointerGetAttributes, pointer_attributes),
  };
  return kCallsHere;
}

}  // namespace tessera::remote
