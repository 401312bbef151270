// An export table (cuGetExportTable) of the software GPU: a process's work on a device, measured, and ways
// to hold it up and to keep it to some of the SMs. NVIDIA's driver has no such table and answers
// CUDA_ERROR_INVALID_VALUE; users must do without.
#pragma once

#include "cuda/abi.h"
#include "cuda/run_times.h"

namespace tessera::cuda {

struct DeviceWork {
  uint64_t busy_ns;   // time with at least one kernel of this process on an SM, since it attached
  uint64_t finished;  // kernels, since it attached
  uint32_t ready;     // kernels that could run now, or do
  uint32_t pending;   // kernels launched and not finished: also those that wait for something
  // How wide the work is: in `ready_ns`, the time with a kernel ready other than while suspended, ready
  // kernels could have filled `ready_sm_ns` of SM-time. At each moment that is the sum of their blocks, at
  // most the SMs of the device; a kernel counts until its last block ends. So ready_sm_ns / ready_ns SMs are
  // enough on the average, and that holds however few the process was given: what waits for an SM counts as
  // what has one.
  uint64_t ready_ns;
  uint64_t ready_sm_ns;
};

struct DeviceSchedulingTable {
  size_t bytes;  // of this table; a later version may be longer
  CUresult (*work)(CUdevice device, DeviceWork* work);
  // Takes this process's kernels off the SMs, at block ends, barriers and loop back-edges, and keeps further
  // ones from them; nothing is lost, and launches go on being taken. Returns once none runs, or
  // CUDA_ERROR_NOT_READY after `timeout_ms`: then they still stop as they get there.
  CUresult (*suspend)(CUdevice device, unsigned int timeout_ms);
  CUresult (*resume)(CUdevice device);
  // `drained(argument)` is called whenever `pending` falls to 0, before anybody who waits for that kernel
  // goes on; from any thread, and it must be quick. One at a time; it stays.
  CUresult (*watch)(CUdevice device, void (*drained)(void* argument), void* argument);
  // The SMs that this process's kernels may use from now on; at first all. SM i is bit i % 64 of word i / 64.
  // Kernels leave others at block ends, barriers and loop back-edges. CUDA_ERROR_INVALID_VALUE where none of
  // them is the device's.
  CUresult (*confine)(CUdevice device, const uint64_t* sms, size_t words);
  // Of the process's kernels that have ended: from the first block's start to the last one's end, without the
  // time for which they were suspended.
  CUresult (*run_times)(CUdevice device, DeviceRunTimes* times);
};

// 2b7d1e90-4c35-4f0a-b6d8-91e3a75c0f43
inline constexpr CUuuid kDeviceSchedulingTable = {
    {0x2b, 0x7d, 0x1e, static_cast<char>(0x90), 0x4c, 0x35, 0x4f, 0x0a, static_cast<char>(0xb6),
     static_cast<char>(0xd8), static_cast<char>(0x91), static_cast<char>(0xe3), static_cast<char>(0xa7), 0x5c,
     0x0f, 0x43}};

}  // namespace tessera::cuda
