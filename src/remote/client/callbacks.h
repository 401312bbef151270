// Functions of the program that the server tells us to call.
#pragma once

#include <cstdint>

#include "cuda/abi.h"

namespace tessera::remote {

// A number for the function and its argument; the same for the same.
uint64_t number_host_function(CUhostFn function, void* argument);
// For a stream's callback, called once.
uint64_t number_stream_callback(CUstreamCallback callback, CUstream stream, void* argument);
// What a number stands for; false where it is none.
bool host_function_of(uint64_t number, CUhostFn* function, void** argument);
void run_callback(uint64_t number, CUresult status);

}  // namespace tessera::remote
