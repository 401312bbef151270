// Advice about managed memory, and pages that move ahead of their use (memory/managed_pages.h).
#include <cstring>
#include <span>
#include <vector>

#include "cuda/abi.h"
#include "softgpu/driver/batch.h"
#include "softgpu/driver/device.h"
#include "softgpu/driver/entry.h"
#include "softgpu/driver/graph/capture.h"
#include "softgpu/driver/managed_memory.h"
#include "softgpu/driver/stream.h"
#include "softgpu/driver/work_thread.h"
#include "softgpu/memory/allocation_table.h"

using namespace tessera::softgpu;  // NOLINT: the C interface of that namespace

namespace {

ManagedMemory& managed() { return ManagedMemory::instance(); }

bool valid_location(const CUmemLocation& location) {
  switch (location.type) {
    case CU_MEM_LOCATION_TYPE_DEVICE:
      return location.id >= 0 && static_cast<size_t>(location.id) < devices().size();
    case CU_MEM_LOCATION_TYPE_HOST:
    case CU_MEM_LOCATION_TYPE_HOST_NUMA_CURRENT:
      return true;
    case CU_MEM_LOCATION_TYPE_HOST_NUMA:
      return location.id >= 0;
    default:
      return false;
  }
}

CUmemLocation location_of(CUdevice device) {
  return device == CU_DEVICE_CPU ? CUmemLocation{CU_MEM_LOCATION_TYPE_HOST, 0}
                                 : CUmemLocation{CU_MEM_LOCATION_TYPE_DEVICE, device};
}

CUresult managed_range(CUdeviceptr pointer, size_t count) {
  auto allocation = AllocationTable::instance().find(pointer);
  if (!allocation || allocation->kind != MemoryKind::kManaged || count == 0) return CUDA_ERROR_INVALID_VALUE;
  return count > allocation->end() - pointer ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

// Of the same numbers.
PageLocation page_location(const CUmemLocation& location) {
  return {static_cast<PageLocation::Kind>(location.type), static_cast<int16_t>(location.id)};
}

CUresult advise(CUdeviceptr pointer, size_t count, CUmem_advise advice, const CUmemLocation& location) {
  return in_context([&](Context&) -> CUresult {
    SOFTGPU_RETURN_IF_ERROR(managed_range(pointer, count));
    const bool takes_location = advice == CU_MEM_ADVISE_SET_PREFERRED_LOCATION ||
                                advice == CU_MEM_ADVISE_SET_ACCESSED_BY ||
                                advice == CU_MEM_ADVISE_UNSET_ACCESSED_BY;
    if (takes_location && !valid_location(location)) return CUDA_ERROR_INVALID_DEVICE;
    const uint32_t who = location.type == CU_MEM_LOCATION_TYPE_DEVICE ? static_cast<uint32_t>(location.id)
                                                                      : ManagedPages::kHostBit;
    switch (advice) {
      case CU_MEM_ADVISE_SET_READ_MOSTLY:
      case CU_MEM_ADVISE_UNSET_READ_MOSTLY:
        managed().set_read_mostly(pointer, count, advice == CU_MEM_ADVISE_SET_READ_MOSTLY);
        return CUDA_SUCCESS;
      case CU_MEM_ADVISE_SET_PREFERRED_LOCATION:
        managed().set_preferred(pointer, count, page_location(location));
        return CUDA_SUCCESS;
      case CU_MEM_ADVISE_UNSET_PREFERRED_LOCATION:
        managed().set_preferred(pointer, count, PageLocation());
        return CUDA_SUCCESS;
      case CU_MEM_ADVISE_SET_ACCESSED_BY:
      case CU_MEM_ADVISE_UNSET_ACCESSED_BY:
        managed().set_accessed_by(pointer, count, who, advice == CU_MEM_ADVISE_SET_ACCESSED_BY);
        return CUDA_SUCCESS;
    }
    return CUDA_ERROR_INVALID_VALUE;
  });
}

// In the stream's order, on a copy thread, as a card's pages move by its copy engines.
class PrefetchOp : public ThreadOp {
 public:
  PrefetchOp(std::shared_ptr<Context> context, CUdeviceptr begin, size_t size, PageLocation to)
      : ThreadOp(context->device().copies()),
        context_(std::move(context)),
        begin_(begin),
        size_(size),
        to_(to) {}
  void run() override {
    // The program may have freed it meanwhile, wrongly.
    if (context_->status() == CUDA_SUCCESS && managed_range(begin_, size_) == CUDA_SUCCESS)
      managed().prefetch(begin_, size_, to_);
  }

 private:
  const std::shared_ptr<Context> context_;
  const CUdeviceptr begin_;
  const size_t size_;
  const PageLocation to_;
};

CUresult prefetch(CUdeviceptr pointer, size_t count, const CUmemLocation& location, CUstream hStream) {
  return guarded([&]() -> CUresult {
    std::shared_ptr<Stream> stream;
    SOFTGPU_RETURN_IF_ERROR(stream_of(hStream, &stream));
    SOFTGPU_RETURN_IF_ERROR(forbid_captured(*stream));
    SOFTGPU_RETURN_IF_ERROR(managed_range(pointer, count));
    if (!valid_location(location)) return CUDA_ERROR_INVALID_DEVICE;
    stream->submit(
        std::make_shared<PrefetchOp>(stream->context_ref(), pointer, count, page_location(location)));
    return CUDA_SUCCESS;
  });
}

// A batch of ranges, each of them whole in managed memory; locations where the call has any. Checked as a
// whole before anything is done.
struct RangeBatch {
  CUdeviceptr* pointers;
  size_t* sizes;
  size_t count;
  CUmemLocation* locations = nullptr;
  size_t* starts = nullptr;
  size_t entries = 0;
};

CUresult check_ranges(const RangeBatch& batch) {
  if (batch.count == 0 || batch.pointers == nullptr || batch.sizes == nullptr)
    return CUDA_ERROR_INVALID_VALUE;
  for (size_t i = 0; i < batch.count; ++i) {
    SOFTGPU_RETURN_IF_ERROR(managed_range(batch.pointers[i], batch.sizes[i]));
  }
  return CUDA_SUCCESS;
}

CUresult check_locations(const RangeBatch& batch) {
  if (batch.locations == nullptr || !valid_runs(batch.starts, batch.entries, batch.count))
    return CUDA_ERROR_INVALID_VALUE;
  for (size_t i = 0; i < batch.entries; ++i) {
    if (!valid_location(batch.locations[i])) return CUDA_ERROR_INVALID_DEVICE;
  }
  return CUDA_SUCCESS;
}

template <typename Body>
CUresult on_ranges(const RangeBatch& batch, unsigned long long flags, CUstream hStream, Body&& body) {
  return guarded([&]() -> CUresult {
    std::shared_ptr<Stream> stream;
    SOFTGPU_RETURN_IF_ERROR(stream_of(hStream, &stream));
    if (flags != 0 || stream->legacy()) return CUDA_ERROR_INVALID_VALUE;
    SOFTGPU_RETURN_IF_ERROR(forbid_captured(*stream));
    SOFTGPU_RETURN_IF_ERROR(check_ranges(batch));
    return body();
  });
}

CUresult prefetch_batch(const RangeBatch& batch, unsigned long long flags, CUstream hStream) {
  return on_ranges(batch, flags, hStream, [&]() -> CUresult {
    SOFTGPU_RETURN_IF_ERROR(check_locations(batch));
    Runs runs(batch.starts, batch.entries);
    for (size_t i = 0; i < batch.count; ++i) {
      SOFTGPU_RETURN_IF_ERROR(
          prefetch(batch.pointers[i], batch.sizes[i], batch.locations[runs.entry_of(i)], hStream));
    }
    return CUDA_SUCCESS;
  });
}

// Where the pages of a range differ there is no such place.
int device_of(const std::optional<PageLocation>& location) {
  if (!location || location->kind == PageLocation::Kind::kNone) return CU_DEVICE_INVALID;
  return location->kind == PageLocation::Kind::kDevice ? location->id : CU_DEVICE_CPU;
}

int type_of(const std::optional<PageLocation>& location) {
  return static_cast<int>(location ? location->kind : PageLocation::Kind::kNone);
}

void write_devices(uint64_t bits, std::span<int> out) {
  std::vector<int> found;
  for (int device = 0; static_cast<size_t>(device) < devices().size(); ++device)
    if ((bits >> device & 1) != 0) found.push_back(device);
  if ((bits >> ManagedPages::kHostBit & 1) != 0) found.push_back(CU_DEVICE_CPU);
  for (size_t i = 0; i < out.size(); ++i) out[i] = i < found.size() ? found[i] : CU_DEVICE_INVALID;
}

// Writes one attribute; all but the list of devices are 32-bit numbers.
CUresult write_attribute(const ManagedPages::Advice& advice, CUmem_range_attribute attribute,
                         std::span<int> out) {
  switch (attribute) {
    case CU_MEM_RANGE_ATTRIBUTE_READ_MOSTLY:
      out[0] = advice.read_mostly ? 1 : 0;
      return CUDA_SUCCESS;
    case CU_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION:
      out[0] = device_of(advice.preferred);
      return CUDA_SUCCESS;
    case CU_MEM_RANGE_ATTRIBUTE_ACCESSED_BY:
      write_devices(advice.accessed_by, out);
      return CUDA_SUCCESS;
    case CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION:
      out[0] = device_of(advice.prefetched);
      return CUDA_SUCCESS;
    case CU_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION_TYPE:
      out[0] = type_of(advice.preferred);
      return CUDA_SUCCESS;
    case CU_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION_ID:
      out[0] = advice.preferred ? advice.preferred->id : 0;
      return CUDA_SUCCESS;
    case CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION_TYPE:
      out[0] = type_of(advice.prefetched);
      return CUDA_SUCCESS;
    case CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION_ID:
      out[0] = advice.prefetched ? advice.prefetched->id : 0;
      return CUDA_SUCCESS;
  }
  return CUDA_ERROR_INVALID_VALUE;
}

}  // namespace

extern "C" {

CUresult cuMemAdvise_v2(CUdeviceptr devPtr, size_t count, CUmem_advise advice, CUmemLocation location) {
  return advise(devPtr, count, advice, location);
}
CUresult cuMemAdvise(CUdeviceptr devPtr, size_t count, CUmem_advise advice, CUdevice device) {
  return advise(devPtr, count, advice, location_of(device));
}

CUresult cuMemPrefetchAsync(CUdeviceptr devPtr, size_t count, CUdevice dstDevice, CUstream hStream) {
  return prefetch(devPtr, count, location_of(dstDevice), hStream);
}
CUresult cuMemPrefetchAsync_v2(CUdeviceptr devPtr, size_t count, CUmemLocation location, unsigned int flags,
                               CUstream hStream) {
  return flags != 0 ? CUDA_ERROR_INVALID_VALUE : prefetch(devPtr, count, location, hStream);
}

CUresult cuMemPrefetchBatchAsync(CUdeviceptr* dptrs, size_t* sizes, size_t count, CUmemLocation* prefetchLocs,
                                 size_t* prefetchLocIdxs, size_t numPrefetchLocs, unsigned long long flags,
                                 CUstream hStream) {
  return prefetch_batch({dptrs, sizes, count, prefetchLocs, prefetchLocIdxs, numPrefetchLocs}, flags,
                        hStream);
}
// What is in a discarded range is anything: what was there will do.
CUresult cuMemDiscardBatchAsync(CUdeviceptr* dptrs, size_t* sizes, size_t count, unsigned long long flags,
                                CUstream hStream) {
  return on_ranges({dptrs, sizes, count}, flags, hStream, [] { return CUDA_SUCCESS; });
}
CUresult cuMemDiscardAndPrefetchBatchAsync(CUdeviceptr* dptrs, size_t* sizes, size_t count,
                                           CUmemLocation* prefetchLocs, size_t* prefetchLocIdxs,
                                           size_t numPrefetchLocs, unsigned long long flags,
                                           CUstream hStream) {
  return prefetch_batch({dptrs, sizes, count, prefetchLocs, prefetchLocIdxs, numPrefetchLocs}, flags,
                        hStream);
}

CUresult cuMemRangeGetAttribute(void* data, size_t dataSize, CUmem_range_attribute attribute,
                                CUdeviceptr devPtr, size_t count) {
  return in_context([&](Context&) -> CUresult {
    const bool list = attribute == CU_MEM_RANGE_ATTRIBUTE_ACCESSED_BY;
    if (data == nullptr || dataSize % sizeof(int) != 0 || dataSize == 0) return CUDA_ERROR_INVALID_VALUE;
    if (!list && dataSize != sizeof(int)) return CUDA_ERROR_INVALID_VALUE;
    SOFTGPU_RETURN_IF_ERROR(managed_range(devPtr, count));
    return write_attribute(managed().advice(devPtr, count), attribute,
                           {static_cast<int*>(data), dataSize / sizeof(int)});
  });
}

CUresult cuMemRangeGetAttributes(void** data, size_t* dataSizes, CUmem_range_attribute* attributes,
                                 size_t numAttributes, CUdeviceptr devPtr, size_t count) {
  if (data == nullptr || dataSizes == nullptr || attributes == nullptr || numAttributes == 0) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  for (size_t i = 0; i < numAttributes; ++i) {
    SOFTGPU_RETURN_IF_ERROR(cuMemRangeGetAttribute(data[i], dataSizes[i], attributes[i], devPtr, count));
  }
  return CUDA_SUCCESS;
}

}  // extern "C"
