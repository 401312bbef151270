// Advice about managed memory. Both sides share one memory here: advice is checked and remembered, nothing
// moves.
#include <cstring>
#include <map>
#include <mutex>
#include <span>
#include <vector>

#include "cuda/abi.h"
#include "softgpu/driver/batch.h"
#include "softgpu/driver/entry.h"
#include "softgpu/driver/graph/capture.h"
#include "softgpu/driver/stream.h"
#include "softgpu/memory/allocation_table.h"

using namespace tessera::softgpu;  // NOLINT: the C interface of that namespace

namespace {

// Advice for one allocation as a whole; the id tells a later allocation at the same address apart.
struct Advice {
  uint64_t id = 0;
  bool read_mostly = false;
  CUmemLocation preferred{CU_MEM_LOCATION_TYPE_INVALID, 0};
  CUmemLocation prefetched{CU_MEM_LOCATION_TYPE_INVALID, 0};
  std::vector<int> accessed_by;
};

struct AdviceBook {
  std::mutex mutex;
  std::map<uint64_t, Advice> by_begin;

  Advice& of(const Allocation& allocation) {
    Advice& advice = by_begin[allocation.begin];
    if (advice.id != allocation.id) {
      advice = Advice();
      advice.id = allocation.id;
    }
    return advice;
  }
};

AdviceBook& book() {
  static auto* made = new AdviceBook();
  return *made;
}

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

CUresult managed_range(CUdeviceptr pointer, size_t count, Allocation* out) {
  auto allocation = AllocationTable::instance().find(pointer);
  if (!allocation || allocation->kind != MemoryKind::kManaged || count == 0) return CUDA_ERROR_INVALID_VALUE;
  if (count > allocation->end() - pointer) return CUDA_ERROR_INVALID_VALUE;
  *out = *allocation;
  return CUDA_SUCCESS;
}

CUresult advise(CUdeviceptr pointer, size_t count, CUmem_advise advice, const CUmemLocation& location) {
  return in_context([&](Context&) -> CUresult {
    Allocation allocation;
    SOFTGPU_RETURN_IF_ERROR(managed_range(pointer, count, &allocation));
    const bool takes_location = advice == CU_MEM_ADVISE_SET_PREFERRED_LOCATION ||
                                advice == CU_MEM_ADVISE_SET_ACCESSED_BY ||
                                advice == CU_MEM_ADVISE_UNSET_ACCESSED_BY;
    if (takes_location && !valid_location(location)) return CUDA_ERROR_INVALID_DEVICE;
    const int device = location.type == CU_MEM_LOCATION_TYPE_DEVICE ? location.id : CU_DEVICE_CPU;
    std::lock_guard lock(book().mutex);
    Advice& known = book().of(allocation);
    switch (advice) {
      case CU_MEM_ADVISE_SET_READ_MOSTLY:
      case CU_MEM_ADVISE_UNSET_READ_MOSTLY:
        known.read_mostly = advice == CU_MEM_ADVISE_SET_READ_MOSTLY;
        return CUDA_SUCCESS;
      case CU_MEM_ADVISE_SET_PREFERRED_LOCATION:
        known.preferred = location;
        return CUDA_SUCCESS;
      case CU_MEM_ADVISE_UNSET_PREFERRED_LOCATION:
        known.preferred = {CU_MEM_LOCATION_TYPE_INVALID, 0};
        return CUDA_SUCCESS;
      case CU_MEM_ADVISE_SET_ACCESSED_BY:
        std::erase(known.accessed_by, device);
        known.accessed_by.push_back(device);
        return CUDA_SUCCESS;
      case CU_MEM_ADVISE_UNSET_ACCESSED_BY:
        std::erase(known.accessed_by, device);
        return CUDA_SUCCESS;
    }
    return CUDA_ERROR_INVALID_VALUE;
  });
}

CUresult prefetch(CUdeviceptr pointer, size_t count, const CUmemLocation& location, CUstream hStream) {
  return guarded([&]() -> CUresult {
    std::shared_ptr<Stream> stream;
    SOFTGPU_RETURN_IF_ERROR(stream_of(hStream, &stream));
    SOFTGPU_RETURN_IF_ERROR(forbid_captured(*stream));
    Allocation allocation;
    SOFTGPU_RETURN_IF_ERROR(managed_range(pointer, count, &allocation));
    if (!valid_location(location)) return CUDA_ERROR_INVALID_DEVICE;
    std::lock_guard lock(book().mutex);
    book().of(allocation).prefetched = location;
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
    Allocation unused;
    SOFTGPU_RETURN_IF_ERROR(managed_range(batch.pointers[i], batch.sizes[i], &unused));
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

int device_of(const CUmemLocation& location) {
  if (location.type == CU_MEM_LOCATION_TYPE_DEVICE) return location.id;
  return location.type == CU_MEM_LOCATION_TYPE_INVALID ? CU_DEVICE_INVALID : CU_DEVICE_CPU;
}

// Writes one attribute; all but the list of devices are 32-bit numbers.
CUresult write_attribute(const Advice& advice, CUmem_range_attribute attribute, std::span<int> out) {
  switch (attribute) {
    case CU_MEM_RANGE_ATTRIBUTE_READ_MOSTLY:
      out[0] = advice.read_mostly ? 1 : 0;
      return CUDA_SUCCESS;
    case CU_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION:
      out[0] = device_of(advice.preferred);
      return CUDA_SUCCESS;
    case CU_MEM_RANGE_ATTRIBUTE_ACCESSED_BY:
      for (size_t i = 0; i < out.size(); ++i) {
        out[i] = i < advice.accessed_by.size() ? advice.accessed_by[i] : CU_DEVICE_INVALID;
      }
      return CUDA_SUCCESS;
    case CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION:
      out[0] = device_of(advice.prefetched);
      return CUDA_SUCCESS;
    case CU_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION_TYPE:
      out[0] = static_cast<int>(advice.preferred.type);
      return CUDA_SUCCESS;
    case CU_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION_ID:
      out[0] = advice.preferred.id;
      return CUDA_SUCCESS;
    case CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION_TYPE:
      out[0] = static_cast<int>(advice.prefetched.type);
      return CUDA_SUCCESS;
    case CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION_ID:
      out[0] = advice.prefetched.id;
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
    Allocation allocation;
    SOFTGPU_RETURN_IF_ERROR(managed_range(devPtr, count, &allocation));
    std::lock_guard lock(book().mutex);
    return write_attribute(book().of(allocation), attribute,
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
