// The driver as a whole, in one process. Never destroyed: the runtime's exit handlers call us after
// everything else.
#pragma once

#include <memory>
#include <vector>

#include "cuda/abi.h"

namespace tessera::softgpu {

class Device;

// cuInit. Done once; later calls answer what the first one answered. In a child of a process that had
// initialised, CUDA_ERROR_NOT_INITIALIZED, as everything else there.
CUresult initialise();
// CUDA_SUCCESS after a successful cuInit in this very process, CUDA_ERROR_NOT_INITIALIZED otherwise.
CUresult require_initialised();

// The devices this process sees, by CUdevice. Empty before cuInit.
const std::vector<Device*>& devices();
// CUDA_ERROR_INVALID_DEVICE where there is none; also checks that the driver is initialised.
CUresult find_device(CUdevice ordinal, Device** device);

}  // namespace tessera::softgpu
