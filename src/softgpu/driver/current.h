// The calling thread's stack of contexts.
#pragma once

#include <memory>

#include "cuda/abi.h"

namespace tessera::softgpu {

class Context;
class Stream;

// The context on top of the calling thread's stack, null where there is none. Looks at nothing else.
std::shared_ptr<Context> current_context();
// Replaces the top (cuCtxSetCurrent); null pops it.
void set_current(std::shared_ptr<Context> context);
void push_current(std::shared_ptr<Context> context);
// Null where the stack is empty.
std::shared_ptr<Context> pop_current();

// The current context where the driver is initialised and the context usable: else
// CUDA_ERROR_NOT_INITIALIZED, CUDA_ERROR_INVALID_CONTEXT, CUDA_ERROR_CONTEXT_IS_DESTROYED or the context's
// sticky error.
CUresult usable_context(std::shared_ptr<Context>* context);
// A context by handle; 0 is the current one.
CUresult context_of(CUcontext handle, std::shared_ptr<Context>* context);
// CUDA_ERROR_NOT_INITIALIZED before cuInit; CUDA_ERROR_NOT_PERMITTED inside a host function: those must not
// call CUDA, and the call could wait for the very work that waits for the host function.
CUresult require_initialised_outside_callback();
// While one lives, the calling thread runs a host function.
class CallbackScope {
 public:
  CallbackScope();
  ~CallbackScope();
  CallbackScope(const CallbackScope&) = delete;
  CallbackScope& operator=(const CallbackScope&) = delete;
};
// A number of the calling thread that no other thread of this process ever has.
uint64_t thread_number();

}  // namespace tessera::softgpu
