// Launches, and copies whose direction their name tells: one relaxed addition each, after the driver took
// them.
#include "virtualization/vgpu/gated_copies.h"

namespace tessera::vgpu {
namespace {

using cuda::DriverTable;
using Counter = std::atomic<uint64_t> DeviceCounters::*;

struct LaunchTarget {
  const void* what = nullptr;
  CUstream stream = nullptr;
};

template <bool PerThread, auto Entry>
struct Launch;
template <bool PerThread, typename... Args, CUresult (*DriverTable::*Entry)(Args...)>
struct Launch<PerThread, Entry> {
  static CUresult call(Args... args) {
    CUresult result = CUDA_SUCCESS;
    ((result = result == CUDA_SUCCESS ? prepare(args) : result), ...);
    if (result != CUDA_SUCCESS) return result;
    LaunchTarget target;
    ((look_for_target(args, target)), ...);
    const Vgpu::Touching touching(*active_vgpu);
    if (touching.refused != CUDA_SUCCESS) return touching.refused;
    const auto launching = active_vgpu->launching(shared_handle(target.stream, PerThread), target.what);
    result = (lower().*Entry)(args...);
    launching.done(result);
    note_fault(result);
    return result;
  }
  static CUresult prepare(CUfunction function) { return charge_function(function); }
  static void look_for_target(CUfunction function, LaunchTarget& target) { target.what = function; }
  static void look_for_target(CUstream stream, LaunchTarget& target) { target.stream = stream; }
  static void look_for_target(const CUlaunchConfig* config, LaunchTarget& target) {
    if (config != nullptr) target.stream = config->hStream;
  }
  template <typename Other>
  static void look_for_target(const Other&, LaunchTarget&) {}
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
  const Vgpu::Touching touching(*active_vgpu);
  if (touching.refused != CUDA_SUCCESS) return touching.refused;
  std::vector<Vgpu::Launching> launchings;
  for (unsigned i = 0; i < known; ++i) {
    (void)in_context_of(launches[i].hStream, [&] {
      launchings.push_back(
          active_vgpu->launching(shared_handle(launches[i].hStream, false), launches[i].function));
      return CUDA_SUCCESS;
    });
  }
  const CUresult result = lower().cuLaunchCooperativeKernelMultiDevice(launches, count, flags);
  for (const auto& launching : launchings) launching.done(result);
  return result;
}

template <Counter Count, bool PerThread, auto Entry>
struct Copy;
template <Counter Count, bool PerThread, typename To, typename From, typename Size, typename... Rest,
          CUresult (*DriverTable::*Entry)(To, From, Size, Rest...)>
struct Copy<Count, PerThread, Entry> {
  static CUresult call(To to, From from, Size bytes, Rest... rest) {
    const Vgpu::Touching touching(*active_vgpu);
    if (touching.refused != CUDA_SUCCESS) return touching.refused;
    wait_to_copy<PerThread>(rest...);
    CUresult result = (lower().*Entry)(to, from, bytes, rest...);
    if (result == CUDA_SUCCESS) {
      (active_vgpu->current_counters().*Count).fetch_add(bytes, std::memory_order_relaxed);
    }
    note_fault(result);
    return result;
  }
};

template <bool PerThread, auto... Entries>
void count_launches(DriverTable& upper, const DriverTable& lower) {
  (replace<Entries, &Launch<PerThread, Entries>::call>(upper, lower), ...);
}

template <Counter Count, bool PerThread, auto... Entries>
void count_copies(DriverTable& upper, const DriverTable& lower) {
  (replace<Entries, &Copy<Count, PerThread, Entries>::call>(upper, lower), ...);
}

}  // namespace

void install_counted_calls(DriverTable& upper, const DriverTable& lower) {
  using T = DriverTable;
  count_launches<false, &T::cuLaunchKernel, &T::cuLaunchKernelEx, &T::cuLaunchCooperativeKernel, &T::cuLaunch,
                 &T::cuLaunchGrid, &T::cuLaunchGridAsync>(upper, lower);
  count_launches<true, &T::cuLaunchKernel_ptsz, &T::cuLaunchKernelEx_ptsz,
                 &T::cuLaunchCooperativeKernel_ptsz>(upper, lower);
  replace<&DriverTable::cuLaunchCooperativeKernelMultiDevice, &launch_on_several>(upper, lower);
  constexpr Counter kTo = &DeviceCounters::bytes_to_device, kFrom = &DeviceCounters::bytes_from_device;
  count_copies<kTo, false, &T::cuMemcpyHtoD_v2, &T::cuMemcpyHtoDAsync_v2, &T::cuMemcpyHtoD,
               &T::cuMemcpyHtoDAsync>(upper, lower);
  count_copies<kTo, true, &T::cuMemcpyHtoD_v2_ptds, &T::cuMemcpyHtoDAsync_v2_ptsz>(upper, lower);
  count_copies<kFrom, false, &T::cuMemcpyDtoH_v2, &T::cuMemcpyDtoHAsync_v2, &T::cuMemcpyDtoH,
               &T::cuMemcpyDtoHAsync>(upper, lower);
  count_copies<kFrom, true, &T::cuMemcpyDtoH_v2_ptds, &T::cuMemcpyDtoHAsync_v2_ptsz>(upper, lower);
}

}  // namespace tessera::vgpu
