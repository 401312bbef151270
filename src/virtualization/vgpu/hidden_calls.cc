// Devices in whose memory something of the process may be kept and that are not its slice's: the driver has
// to know them, and the program is not to. No call may name one; the numbers are behind those of the slice's.
// tests/tidy/check_hidden_calls.py keeps the list complete.
#include <tuple>

#include "virtualization/vgpu/calls.h"

namespace tessera::vgpu {
namespace {

using T = cuda::DriverTable;

bool is_hidden(CUdevice device) { return active_vgpu->is_hidden(device); }
bool is_hidden(const CUmemLocation& location) {
  return location.type == CU_MEM_LOCATION_TYPE_DEVICE && is_hidden(location.id);
}

// Arguments by their positions: a CUdevice is an int to the compiler.
template <size_t... Positions>
struct Places {
  template <typename... Args>
  static bool names_hidden(const Args&... args) {
    const auto all = std::tie(args...);
    return (is_hidden(CUdevice{std::get<Positions>(all)}) || ...);
  }
};

// Arguments that say where memory is, by their types. Of several the number follows.
struct Located {
  template <typename... Args>
  static bool names_hidden(const Args&... args) {
    size_t count = 1;
    ((count = count_of(args, count)), ...);  // the last of them
    return (names(args, count) || ...);
  }

 private:
  static size_t count_of(size_t value, size_t) { return value; }
  template <typename Other>
  static size_t count_of(const Other&, size_t before) {
    return before;
  }
  static bool names(const CUmemLocation& location, size_t) { return is_hidden(location); }
  static bool names(const CUmemLocation* locations, size_t count) {
    return any(locations, count, [](const CUmemLocation& one) { return is_hidden(one); });
  }
  static bool names(CUmemLocation* locations, size_t count) {
    return names(static_cast<const CUmemLocation*>(locations), count);
  }
  static bool names(const CUmemAccessDesc* descriptions, size_t count) {
    return any(descriptions, count, [](const CUmemAccessDesc& one) { return is_hidden(one.location); });
  }
  static bool names(const CUmemPoolProps* properties, size_t) {
    return properties != nullptr && is_hidden(properties->location);
  }
  static bool names(const CUmemAllocationProp* properties, size_t) {
    return properties != nullptr && is_hidden(properties->location);
  }
  template <typename Other>
  static bool names(const Other&, size_t) {
    return false;
  }
  template <typename One, typename Test>
  static bool any(const One* values, size_t count, Test test) {
    for (size_t i = 0; values != nullptr && i < count; ++i) {
      if (test(values[i])) return true;
    }
    return false;
  }
};

template <typename Names, auto Entry>
struct Hide;
template <typename Names, typename... Args, CUresult (*T::*Entry)(Args...)>
struct Hide<Names, Entry> {
  static inline CUresult (*inner)(Args...) = nullptr;  // set once, before the program has the table

  static CUresult call(Args... args) {
    return Names::names_hidden(args...) ? CUDA_ERROR_INVALID_DEVICE : inner(args...);
  }
};

template <typename Names, auto... Entries>
void hide_at(T& upper) {
  const auto one = []<auto Entry>(T & table) {
    if (table.*Entry == nullptr) return;
    Hide<Names, Entry>::inner = table.*Entry;
    table.*Entry = &Hide<Names, Entry>::call;
  };
  (one.template operator()<Entries>(upper), ...);
}

// As the driver's own numbers end where the program's do.
CUresult count(int* devices) {
  const CUresult result = lower().cuDeviceGetCount(devices);
  const Tenant* tenant = active_vgpu->tenant();
  if (result == CUDA_SUCCESS && tenant != nullptr && devices != nullptr)
    *devices = static_cast<int>(tenant->device_of_ordinal.size());
  return result;
}

CUresult get(CUdevice* device, int ordinal) {
  return is_hidden(ordinal) ? CUDA_ERROR_INVALID_DEVICE : lower().cuDeviceGet(device, ordinal);
}

CUresult get_by_bus(CUdevice* device, const char* bus) {
  CUdevice found = 0;
  const CUresult result = lower().cuDeviceGetByPCIBusId(device != nullptr ? &found : nullptr, bus);
  if (result != CUDA_SUCCESS || device == nullptr) return result;
  if (is_hidden(found)) return CUDA_ERROR_INVALID_DEVICE;
  *device = found;
  return result;
}

}  // namespace

void install_hidden_calls(T& upper) {
  const T& below = lower();
  replace<&T::cuDeviceGetCount, &count>(upper, below);
  replace<&T::cuDeviceGet, &get>(upper, below);
  replace<&T::cuDeviceGetByPCIBusId, &get_by_bus>(upper, below);
  hide_at<Places<0>, &T::cuDeviceRegisterAsyncNotification, &T::cuDeviceUnregisterAsyncNotification,
          &T::cuDevicePrimaryCtxRelease_v2, &T::cuDevicePrimaryCtxSetFlags_v2, &T::cuDevicePrimaryCtxGetState,
          &T::cuDevicePrimaryCtxReset_v2, &T::cuDevicePrimaryCtxRelease, &T::cuDevicePrimaryCtxReset,
          &T::cuDevicePrimaryCtxSetFlags, &T::cuDeviceGetDevResource, &T::cuDeviceGraphMemTrim,
          &T::cuDeviceGetGraphMemAttribute, &T::cuDeviceSetGraphMemAttribute, &T::cuDeviceSetMemPool>(upper);
  hide_at<Places<1>, &T::cuDeviceGetUuid_v2, &T::cuDeviceTotalMem_v2, &T::cuDeviceGetNvSciSyncAttributes,
          &T::cuDeviceGetProperties, &T::cuDeviceTotalMem, &T::cuDeviceGetUuid, &T::cuDevicePrimaryCtxRetain,
          &T::cuDeviceGetMemPool, &T::cuDeviceGetDefaultMemPool, &T::cuMulticastAddDevice,
          &T::cuMulticastUnbind>(upper);
  hide_at<Places<1, 2>, &T::cuDeviceCanAccessPeer>(upper);
  hide_at<Places<2>, &T::cuDeviceGetName, &T::cuDeviceGetLuid, &T::cuDeviceGetAttribute,
          &T::cuDeviceGetExecAffinitySupport, &T::cuDeviceComputeCapability, &T::cuDeviceGetPCIBusId,
          &T::cuGreenCtxCreate, &T::cuCtxCreate, &T::cuCtxCreate_v2, &T::cuKernelSetCacheConfig,
          &T::cuMemPrefetchAsync, &T::cuMemPrefetchAsync_ptsz, &T::cuArrayGetMemoryRequirements,
          &T::cuMipmappedArrayGetMemoryRequirements>(upper);
  hide_at<Places<2, 3>, &T::cuDeviceGetP2PAttribute>(upper);
  hide_at<Places<3>, &T::cuDeviceGetTexture1DLinearMaxWidth, &T::cuDeviceGetHostAtomicCapabilities,
          &T::cuCtxCreate_v4, &T::cuKernelGetAttribute, &T::cuKernelSetAttribute, &T::cuMemAdvise>(upper);
  hide_at<Places<3, 4>, &T::cuDeviceGetP2PAtomicCapabilities>(upper);
  hide_at<Places<4>, &T::cuCtxCreate_v3>(upper);
  hide_at<Located, &T::cuMemPoolSetAccess, &T::cuMemPoolCreate, &T::cuMemCreate, &T::cuMemSetAccess,
          &T::cuMemGetAccess, &T::cuMemGetAllocationGranularity, &T::cuMemGetDefaultMemPool,
          &T::cuMemGetMemPool, &T::cuMemSetMemPool, &T::cuMemAdvise_v2, &T::cuMemPrefetchAsync_v2,
          &T::cuMemPrefetchAsync_v2_ptsz, &T::cuMemPrefetchBatchAsync, &T::cuMemPrefetchBatchAsync_ptsz,
          &T::cuMemDiscardAndPrefetchBatchAsync, &T::cuMemDiscardAndPrefetchBatchAsync_ptsz,
          &T::cuMemPoolGetAccess>(upper);
}

}  // namespace tessera::vgpu
