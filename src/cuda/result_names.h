// Names and descriptions of CUresult values, as cuGetErrorName and cuGetErrorString tell them.
#pragma once

#include "common/status.h"
#include "cuda/abi/result.h"

namespace tessera::cuda {

// "CUDA_ERROR_OUT_OF_MEMORY"; nullptr for a value CUDA does not define.
const char* result_name(CUresult result);
// One line about it, in our words; nullptr for a value CUDA does not define.
const char* result_description(CUresult result);

// What a call of the driver came to; `what` failed. kResourceExhausted where memory is short, else kInternal.
Status status_of(CUresult result, const char* what);
// The CUDA error that tells an application of a status of ours.
CUresult result_of(const Status& status);

}  // namespace tessera::cuda
