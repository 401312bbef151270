// Functions of the program that the server tells us to call.
#pragma once

#include <cstdint>

#include "cuda/abi.h"
#include "remote/wire/message.h"

namespace tessera::remote {

// Functions of graphs, each with its argument, that a program may have.
inline constexpr size_t kMostGraphFunctions = 1'000'000;

// A number for the function and its argument, of a graph or of what may become one: the same for the same, as
// long as the program lives. 0 where there is no room for more.
uint64_t number_graph_function(CUhostFn function, void* argument);
// For a function that is called once, and so is its number.
uint64_t number_host_function(CUhostFn function, void* argument);
uint64_t number_stream_callback(CUstreamCallback callback, CUstream stream, void* argument);
// The call that named it has failed: it is never called.
void forget_number(uint64_t number);
// What a number stands for; false where it is none.
bool host_function_of(uint64_t number, CUhostFn* function, void** argument);
void run_callback(const CallbackTurn& turn);
// How many there are.
size_t numbered_functions();

}  // namespace tessera::remote
