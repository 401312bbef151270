// Launches, and copies whose direction their name tells: one relaxed addition each, after the driver took
// them.
#include "virtualization/vgpu/calls.h"

namespace tessera::vgpu {
namespace {

using cuda::DriverTable;
using Counter = std::atomic<uint64_t> DeviceCounters::*;

template <auto Entry>
struct Launch;
template <typename... Args, CUresult (*DriverTable::*Entry)(Args...)>
struct Launch<Entry> {
  static CUresult call(Args... args) {
    CUresult result = CUDA_SUCCESS;
    ((result = result == CUDA_SUCCESS ? prepare(args) : result), ...);
    if (result != CUDA_SUCCESS) return result;
    result = (lower().*Entry)(args...);
    if (result == CUDA_SUCCESS) active_vgpu->launched();
    note_fault(result);
    return result;
  }
  static CUresult prepare(CUfunction function) { return charge_function(function); }
  template <typename Other>
  static CUresult prepare(const Other&) {
    return CUDA_SUCCESS;
  }
};

// Runs `body` in the context of a stream, where its kernel is loaded and launched.
template <typename Body>
CUresult in_context_of(CUstream stream, Body body) {
  CUcontext context = nullptr;
  CUresult result = lower().cuStreamGetCtx(stream, &context);
  if (result == CUDA_SUCCESS) result = lower().cuCtxPushCurrent_v2(context);
  if (result != CUDA_SUCCESS) return result;
  result = body();
  (void)lower().cuCtxPopCurrent_v2(&context);
  return result;
}

CUresult launch_on_several(CUDA_LAUNCH_PARAMS* launches, unsigned int count, unsigned int flags) {
  Tenant* tenant = active_vgpu->tenant();
  const bool plausible =
      tenant != nullptr && launches != nullptr && count <= tenant->device_of_ordinal.size();
  const unsigned known = plausible ? count : 0;  // the rest is the driver's to refuse
  for (unsigned i = 0; i < known; ++i) {
    const CUresult result =
        in_context_of(launches[i].hStream, [&] { return charge_function(launches[i].function); });
    if (result == CUDA_ERROR_OUT_OF_MEMORY) return result;
  }
  const CUresult result = lower().cuLaunchCooperativeKernelMultiDevice(launches, count, flags);
  for (unsigned i = 0; result == CUDA_SUCCESS && i < known; ++i) {
    (void)in_context_of(launches[i].hStream, [] {
      active_vgpu->current_counters().launches.fetch_add(1, std::memory_order_relaxed);
      return CUDA_SUCCESS;
    });
  }
  return result;
}

template <Counter Count, auto Entry>
struct Copy;
template <Counter Count, typename To, typename From, typename Size, typename... Rest,
          CUresult (*DriverTable::*Entry)(To, From, Size, Rest...)>
struct Copy<Count, Entry> {
  static CUresult call(To to, From from, Size bytes, Rest... rest) {
    CUresult result = (lower().*Entry)(to, from, bytes, rest...);
    if (result == CUDA_SUCCESS) {
      (active_vgpu->current_counters().*Count).fetch_add(bytes, std::memory_order_relaxed);
    }
    note_fault(result);
    return result;
  }
};

template <auto... Entries>
void count_launches(DriverTable& upper, const DriverTable& lower) {
  (replace<Entries, &Launch<Entries>::call>(upper, lower), ...);
}

template <Counter Count, auto... Entries>
void count_copies(DriverTable& upper, const DriverTable& lower) {
  (replace<Entries, &Copy<Count, Entries>::call>(upper, lower), ...);
}

}  // namespace

void install_counted_calls(DriverTable& upper, const DriverTable& lower) {
  count_launches<&DriverTable::cuLaunchKernel, &DriverTable::cuLaunchKernel_ptsz,
                 &DriverTable::cuLaunchKernelEx, &DriverTable::cuLaunchKernelEx_ptsz,
                 &DriverTable::cuLaunchCooperativeKernel, &DriverTable::cuLaunchCooperativeKernel_ptsz,
                 &DriverTable::cuLaunch, &DriverTable::cuLaunchGrid, &DriverTable::cuLaunchGridAsync>(upper,
                                                                                                      lower);
  replace<&DriverTable::cuLaunchCooperativeKernelMultiDevice, &launch_on_several>(upper, lower);
  count_copies<&DeviceCounters::bytes_to_device, &DriverTable::cuMemcpyHtoD_v2,
               &DriverTable::cuMemcpyHtoD_v2_ptds, &DriverTable::cuMemcpyHtoDAsync_v2,
               &DriverTable::cuMemcpyHtoDAsync_v2_ptsz, &DriverTable::cuMemcpyHtoD,
               &DriverTable::cuMemcpyHtoDAsync>(upper, lower);
  count_copies<&DeviceCounters::bytes_from_device, &DriverTable::cuMemcpyDtoH_v2,
               &DriverTable::cuMemcpyDtoH_v2_ptds, &DriverTable::cuMemcpyDtoHAsync_v2,
               &DriverTable::cuMemcpyDtoHAsync_v2_ptsz, &DriverTable::cuMemcpyDtoH,
               &DriverTable::cuMemcpyDtoHAsync>(upper, lower);
}

}  // namespace tessera::vgpu
