// The version of CUDA whose driver this is.
#pragma once

namespace tessera::softgpu {

// CUDA 13.0, as cuDriverGetVersion tells it. The runtime refuses drivers older than itself.
constexpr int kDriverVersion = 13000;
// As NVML tells the version of the driver package: the branch of CUDA 13.0, and a minor version that NVIDIA
// never released. Tools take it apart at the dots and compare numbers, so it holds nothing else.
constexpr const char* kDriverPackageVersion = "580.00";

}  // namespace tessera::softgpu
