#include "softgpu/driver/current.h"

#include <pthread.h>

#include <atomic>
#include <vector>

#include "softgpu/driver/context.h"
#include "softgpu/driver/handle_registry.h"
#include "softgpu/driver/state.h"

namespace tessera::softgpu {
namespace {

using Stack = std::vector<std::shared_ptr<Context>>;

// A plain pointer: the runtime's exit handlers still call us on the main thread, after thread-local objects
// are gone. Other threads' stacks are freed by the key's destructor.
thread_local Stack* thread_stack = nullptr;
thread_local uint64_t number = 0;
thread_local bool in_callback = false;

pthread_key_t stack_key() {
  static const pthread_key_t key = [] {
    pthread_key_t made;
    pthread_key_create(&made, [](void* stack) {
      thread_stack = nullptr;
      delete static_cast<Stack*>(stack);
    });
    return made;
  }();
  return key;
}

Stack& stack() {
  if (thread_stack == nullptr) {
    thread_stack = new Stack();
    pthread_setspecific(stack_key(), thread_stack);
  }
  return *thread_stack;
}

}  // namespace

std::shared_ptr<Context> current_context() {
  return thread_stack == nullptr || thread_stack->empty() ? nullptr : thread_stack->back();
}

void set_current(std::shared_ptr<Context> context) {
  Stack& contexts = stack();
  if (!contexts.empty()) contexts.pop_back();
  if (context) contexts.push_back(std::move(context));
}

void push_current(std::shared_ptr<Context> context) { stack().push_back(std::move(context)); }

std::shared_ptr<Context> pop_current() {
  if (thread_stack == nullptr || thread_stack->empty()) return nullptr;
  std::shared_ptr<Context> top = std::move(thread_stack->back());
  thread_stack->pop_back();
  return top;
}

CallbackScope::CallbackScope() { in_callback = true; }
CallbackScope::~CallbackScope() { in_callback = false; }

CUresult require_initialised_outside_callback() {
  const CUresult result = require_initialised();
  if (result != CUDA_SUCCESS) return result;
  return in_callback ? CUDA_ERROR_NOT_PERMITTED : CUDA_SUCCESS;
}

CUresult usable_context(std::shared_ptr<Context>* context) {
  const CUresult result = require_initialised_outside_callback();
  if (result != CUDA_SUCCESS) return result;
  *context = current_context();
  return *context ? (*context)->status() : CUDA_ERROR_INVALID_CONTEXT;
}

CUresult context_of(CUcontext handle, std::shared_ptr<Context>* context) {
  if (handle == nullptr) return usable_context(context);
  const CUresult result = require_initialised_outside_callback();
  if (result != CUDA_SUCCESS) return result;
  *context = live<Context>().find(handle);
  return *context ? (*context)->status() : CUDA_ERROR_INVALID_CONTEXT;
}

uint64_t thread_number() {
  static std::atomic<uint64_t> next{1};
  if (number == 0) number = next.fetch_add(1, std::memory_order_relaxed);
  return number;
}

}  // namespace tessera::softgpu
