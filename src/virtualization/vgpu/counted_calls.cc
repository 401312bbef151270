// Launches: a relaxed addition or two each, after the driver took them.
#include "virtualization/vgpu/gated_copies.h"

namespace tessera::vgpu {
namespace {

using cuda::DriverTable;
using Counter = std::atomic<uint64_t> DeviceCounters::*;
constexpr Counter kCooperative = &DeviceCounters::cooperative_launches;

struct LaunchTarget {
  const void* what = nullptr;
  CUstream stream = nullptr;
};

template <Counter Class, bool PerThread, auto Entry>
struct Launch;
template <Counter Class, bool PerThread, typename... Args, CUresult (*DriverTable::*Entry)(Args...)>
struct Launch<Class, PerThread, Entry> {
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
    launching.done(result, is_captured<PerThread>(args...), Class);
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
  for (const auto& launching : launchings) launching.done(result, false, kCooperative);
  note_fault(result);
  return result;
}

template <Counter Class, bool PerThread, auto... Entries>
void count_launches(DriverTable& upper, const DriverTable& lower) {
  (replace<Entries, &Launch<Class, PerThread, Entries>::call>(upper, lower), ...);
}

}  // namespace

void install_counted_calls(DriverTable& upper, const DriverTable& lower) {
  using T = DriverTable;
  count_launches<nullptr, false, &T::cuLaunchKernel, &T::cuLaunchKernelEx, &T::cuLaunch, &T::cuLaunchGrid,
                 &T::cuLaunchGridAsync>(upper, lower);
  count_launches<nullptr, true, &T::cuLaunchKernel_ptsz, &T::cuLaunchKernelEx_ptsz>(upper, lower);
  count_launches<kCooperative, false, &T::cuLaunchCooperativeKernel>(upper, lower);
  count_launches<kCooperative, true, &T::cuLaunchCooperativeKernel_ptsz>(upper, lower);
  replace<&DriverTable::cuLaunchCooperativeKernelMultiDevice, &launch_on_several>(upper, lower);
}

}  // namespace tessera::vgpu
