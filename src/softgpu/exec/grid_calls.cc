// The CUDA device runtime (cuda_device_runtime_api.h): what kernels that launch kernels call. nvcc declares
// these functions and leaves their code to the device runtime's library, whose PTX is for newer devices than
// ours.
#include "softgpu/exec/grid_calls.h"

#include <iterator>

#include "softgpu/exec/call_site.h"
#include "softgpu/exec/faults.h"

namespace tessera::softgpu::exec {
namespace {

// Values of cudaError_t.
constexpr uint32_t kSuccess = 0, kInvalidValue = 1, kMemoryAllocation = 2;

struct Call {
  WarpState& warp;
  const CallSite& site;
  std::byte* frame;
  uint32_t lane;

  uint64_t value(size_t index) const { return argument(site, frame, index, lane); }
  Dim3 dimensions(size_t index) const {
    return {argument_word(site, frame, index, 0, lane), argument_word(site, frame, index, 1, lane),
            argument_word(site, frame, index, 2, lane)};
  }
  GridRuntime* runtime() const { return warp.block->launch->runtime; }
  uint64_t thread_block() const {
    const Dim3 &block = warp.block->block, &grid = warp.block->launch->grid;
    return block.x + uint64_t{grid.x} * (block.y + uint64_t{grid.y} * block.z);
  }
  uint32_t& last_error() const { return warp.launch_errors[lane]; }
  // An error is also kept for cudaGetLastError, as that of this thread.
  uint32_t done(uint32_t error) const {
    if (error != kSuccess) last_error() = error;
    return error;
  }
  template <typename T>
  uint32_t give(size_t index, const T& result) const {
    return done(write_to(warp, lane, value(index), &result, sizeof(result)) ? kSuccess : kInvalidValue);
  }
};

uint64_t get_parameter_buffer(const Call& call) {
  uint64_t buffer = 0;
  call.done(call.runtime()->parameter_buffer(call.value(0), call.dimensions(1), call.dimensions(2),
                                             static_cast<uint32_t>(call.value(3)), &buffer));
  return buffer;
}

uint64_t launch(const Call& call) {
  return call.done(call.runtime()->launch(call.value(0), call.value(1), call.thread_block()));
}

uint64_t get_last_error(const Call& call) {
  const uint32_t error = call.last_error();
  call.last_error() = kSuccess;
  return error;
}

uint64_t peek_at_last_error(const Call& call) { return call.last_error(); }

uint64_t stream_create(const Call& call) {
  uint64_t stream = 0;
  const uint32_t error = call.runtime()->create_stream(static_cast<uint32_t>(call.value(1)), &stream);
  return error != kSuccess ? call.done(error) : call.give(0, stream);
}

uint64_t stream_destroy(const Call& call) { return call.done(call.runtime()->destroy_stream(call.value(0))); }

uint64_t device_get_attribute(const Call& call) {
  int32_t value = 0;
  const uint32_t error = call.runtime()->attribute(static_cast<int32_t>(call.value(1)),
                                                   static_cast<int32_t>(call.value(2)), &value);
  return error != kSuccess ? call.done(error) : call.give(0, value);
}

uint64_t get_device(const Call& call) { return call.give(0, call.runtime()->device()); }

uint64_t runtime_get_version(const Call& call) { return call.give(0, call.runtime()->runtime_version()); }

uint64_t allocate(const Call& call) {
  const DeviceServices* services = call.warp.block->launch->services;
  const uint64_t piece = services->heap_allocate(call.value(1));
  return piece == 0 ? call.done(kMemoryAllocation) : call.give(0, piece);
}

uint64_t release(const Call& call) {
  const uint64_t piece = call.value(0);
  const bool given = piece == 0 || call.warp.block->launch->services->heap_free(piece);
  return call.done(given ? kSuccess : kInvalidValue);
}

uint64_t copy(const Call& call) {
  return call.done(
      call.runtime()->copy(call.value(0), call.value(1), call.value(2), call.value(4), call.thread_block()));
}

uint64_t fill(const Call& call) {
  return call.done(call.runtime()->fill(call.value(0), static_cast<uint8_t>(call.value(1)), call.value(2),
                                        call.value(3), call.thread_block()));
}

// A call of each lane on its own, in the order of lanes.
template <uint64_t (*Body)(const Call&), bool kNeedsRuntime = true>
const Op* each_lane(Warp& core, const Op* op, const CallSite& site, std::byte* frame, uint32_t mask) {
  WarpState& warp = *core.state;
  const Launch& launch = *warp.block->launch;
  if (launch.services == nullptr || (kNeedsRuntime && launch.runtime == nullptr)) {
    const auto first = static_cast<uint32_t>(__builtin_ctz(mask));
    return fault(core, op, FaultKind::kTrap, first, "the device runtime is not there");
  }
  for (uint32_t lane = 0; lane < kWarpSize; ++lane) {
    if ((mask >> lane & 1) == 0) continue;
    write_result(site, frame, lane, Body({warp, site, frame, lane}));
  }
  return op + 1;
}

constexpr bool KernelInfo::*kLaunches = &KernelInfo::launches_grids;
constexpr bool KernelInfo::*kHeap = &KernelInfo::uses_heap;

// "_ptsz": the same where the default stream is per thread; a kernel's is per block in any case.
constexpr DeviceBuiltin kBuiltins[] = {
    {"__cudaCDP2GetParameterBufferV2", 4, kLaunches, each_lane<get_parameter_buffer>},
    {"__cudaCDP2LaunchDeviceV2", 2, kLaunches, each_lane<launch>},
    {"__cudaCDP2LaunchDeviceV2_ptsz", 2, kLaunches, each_lane<launch>},
    {"__cudaCDP2GetLastError", 0, kLaunches, each_lane<get_last_error>},
    {"__cudaCDP2PeekAtLastError", 0, kLaunches, each_lane<peek_at_last_error>},
    {"__cudaCDP2StreamCreateWithFlags", 2, kLaunches, each_lane<stream_create>},
    {"__cudaCDP2StreamDestroy", 1, kLaunches, each_lane<stream_destroy>},
    {"__cudaCDP2DeviceGetAttribute", 3, kLaunches, each_lane<device_get_attribute>},
    {"__cudaCDP2GetDevice", 1, kLaunches, each_lane<get_device>},
    {"__cudaCDP2RuntimeGetVersion", 1, kLaunches, each_lane<runtime_get_version>},
    {"__cudaCDP2Malloc", 2, kHeap, each_lane<allocate, false>},
    {"__cudaCDP2Free", 1, kHeap, each_lane<release, false>},
    {"__cudaCDP2MemcpyAsync", 5, kLaunches, each_lane<copy>},
    {"__cudaCDP2MemcpyAsync_ptsz", 5, kLaunches, each_lane<copy>},
    {"__cudaCDP2MemsetAsync", 4, kLaunches, each_lane<fill>},
    {"__cudaCDP2MemsetAsync_ptsz", 4, kLaunches, each_lane<fill>},
};

}  // namespace

std::span<const DeviceBuiltin> grid_builtins() { return kBuiltins; }

}  // namespace tessera::softgpu::exec
