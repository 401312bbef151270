// Contexts: which is current to which thread is known here, and the server is told with the next message that
// needs it.
#include <algorithm>
#include <mutex>
#include <shared_mutex>
#include <unordered_map>

#include "cuda/context_values.h"
#include "remote/client/connection.h"
#include "remote/client/contexts.h"
#include "remote/client/functions.h"
#include "remote/client/installs.h"
#include "remote/client/launch.h"
#include "remote/client/managed_variables.h"
#include "remote/client/request.h"
#include "remote/client/servers.h"
#include "remote/rpc.h"

namespace tessera::remote {
namespace {

struct Contexts {
  struct Context {
    CUdevice device;
    uint64_t number;
    int users = 1;  // of cuCtxAttach
  };
  std::shared_mutex lock;
  std::unordered_map<CUcontext, Context> known;
  uint64_t next = 1;
};

Contexts& contexts() {
  static auto* found = new Contexts;
  return *found;
}

bool is_known(CUcontext context) {
  CUdevice device = 0;
  uint64_t number = 0;
  return find_context(context, &device, &number);
}

CUresult set_current(CUcontext context) {
  if (!is_initialised()) return CUDA_ERROR_NOT_INITIALIZED;
  if (context != nullptr && !is_known(context)) return CUDA_ERROR_INVALID_CONTEXT;
  auto& stack = this_thread().contexts;
  if (context == nullptr) {
    if (!stack.empty()) stack.pop_back();
  } else if (stack.empty()) {
    stack.push_back(context);
  } else {
    stack.back() = context;
  }
  return CUDA_SUCCESS;
}

CUresult get_current(CUcontext* context) {
  if (!is_initialised()) return CUDA_ERROR_NOT_INITIALIZED;
  if (context == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *context = this_thread().current();
  return CUDA_SUCCESS;
}

CUresult push_current(CUcontext context) {
  if (!is_initialised()) return CUDA_ERROR_NOT_INITIALIZED;
  if (!is_known(context)) return CUDA_ERROR_INVALID_CONTEXT;
  this_thread().contexts.push_back(context);
  return CUDA_SUCCESS;
}

CUresult pop_current(CUcontext* context) {
  if (!is_initialised()) return CUDA_ERROR_NOT_INITIALIZED;
  auto& stack = this_thread().contexts;
  if (stack.empty()) return CUDA_ERROR_INVALID_CONTEXT;
  if (context != nullptr) *context = stack.back();
  stack.pop_back();
  return CUDA_SUCCESS;
}

CUresult get_device(CUdevice* device) {
  if (!is_initialised()) return CUDA_ERROR_NOT_INITIALIZED;
  if (device == nullptr) return CUDA_ERROR_INVALID_VALUE;
  return current_device(device);
}

CUresult get_device_of(CUdevice* device, CUcontext context) {
  if (context == nullptr) return get_device(device);
  if (!is_initialised()) return CUDA_ERROR_NOT_INITIALIZED;
  if (device == nullptr) return CUDA_ERROR_INVALID_VALUE;
  uint64_t number = 0;
  return find_context(context, device, &number) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_CONTEXT;
}

CUresult create(CUcontext* context, unsigned int flags, CUdevice device) {
  const CUresult result = rpc::cuCtxCreate_v2(false, context, flags, device);
  if (result != CUDA_SUCCESS) return result;
  learn_context(*context, device);
  this_thread().contexts.push_back(*context);
  return result;
}

CUresult create_v2(CUcontext* context, unsigned int flags, CUdevice device) {
  if (!is_initialised()) return CUDA_ERROR_NOT_INITIALIZED;
  return context == nullptr ? CUDA_ERROR_INVALID_VALUE : create(context, flags, device);
}

CUresult create_v3(CUcontext* context, CUexecAffinityParam* parameters, int count, unsigned int flags,
                   CUdevice device) {
  if (parameters != nullptr && count != 0) return not_over_the_wire("cuCtxCreate_v3 with execution affinity");
  return create_v2(context, flags, device);
}

CUresult create_v4(CUcontext* context, CUctxCreateParams* parameters, unsigned int flags, CUdevice device) {
  const bool is_plain =
      parameters == nullptr || (parameters->numExecAffinityParams == 0 && parameters->cigParams == nullptr);
  if (!is_plain) return not_over_the_wire("cuCtxCreate_v4 with parameters");
  return create_v2(context, flags, device);
}

void context_ended(CUcontext context) {
  CUdevice device = 0;
  uint64_t number = 0;
  if (find_context(context, &device, &number)) cuda::destroy_context_values(number, context);
}

CUresult destroy(CUcontext context) {
  if (!is_initialised()) return CUDA_ERROR_NOT_INITIALIZED;
  if (!is_known(context)) return CUDA_ERROR_INVALID_CONTEXT;
  context_ended(context);
  const CUresult result = rpc::cuCtxDestroy_v2(false, context);
  if (result != CUDA_SUCCESS) return result;
  forget_context(context);
  ThreadState& thread = this_thread();
  if (thread.current() == context) thread.contexts.pop_back();
  thread.told[server_of_handle(context)] = nullptr;
  Known::contexts_were_reset();
  forget_gone_managed(server_of_handle(context));
  return result;
}

// Users are counted here; the server has one.
CUresult attach(CUcontext* context, unsigned int flags) {
  if (!is_initialised()) return CUDA_ERROR_NOT_INITIALIZED;
  if (context == nullptr || flags != 0) return CUDA_ERROR_INVALID_VALUE;
  CUcontext current = this_thread().current();
  std::unique_lock lock(contexts().lock);
  auto found = contexts().known.find(current);
  if (found == contexts().known.end()) return CUDA_ERROR_INVALID_CONTEXT;
  ++found->second.users;
  *context = current;
  return CUDA_SUCCESS;
}

CUresult detach(CUcontext context) {
  if (!is_initialised()) return CUDA_ERROR_NOT_INITIALIZED;
  {
    std::unique_lock lock(contexts().lock);
    auto found = contexts().known.find(context);
    if (found == contexts().known.end() || context != this_thread().current())
      return CUDA_ERROR_INVALID_CONTEXT;
    if (--found->second.users > 0) return CUDA_SUCCESS;
  }
  return destroy(context);
}

CUresult primary_retain(CUcontext* context, CUdevice device) {
  const CUresult result = rpc::cuDevicePrimaryCtxRetain(false, context, device);
  if (result == CUDA_SUCCESS) learn_context(*context, device);
  return result;
}

CUresult primary_reset(CUdevice device) {
  if (!is_initialised()) return CUDA_ERROR_NOT_INITIALIZED;
  CUcontext context = nullptr;
  if (primary_context_of(device, &context) == CUDA_SUCCESS) context_ended(context);
  const CUresult result = rpc::cuDevicePrimaryCtxReset_v2(false, device);
  if (result != CUDA_SUCCESS) return result;
  Known::contexts_were_reset();
  forget_gone_managed(server_of_device(device));
  return result;
}

// The last release is the context's end.
CUresult primary_release(CUdevice device) {
  if (!is_initialised()) return CUDA_ERROR_NOT_INITIALIZED;
  const CUresult result = rpc::cuDevicePrimaryCtxRelease_v2(false, device);
  if (result == CUDA_SUCCESS) forget_gone_managed(server_of_device(device));
  return result;
}

// Memory of another server is no peer's.
CUresult enable_peer_access(CUcontext peer, unsigned int flags) {
  if (!is_initialised()) return CUDA_ERROR_NOT_INITIALIZED;
  if (has_several_servers() && is_known(peer) && server_of_handle(peer) != current_server())
    return CUDA_ERROR_PEER_ACCESS_UNSUPPORTED;
  return rpc::cuCtxEnablePeerAccess(false, peer, flags);
}

CUresult disable_peer_access(CUcontext peer) {
  if (!is_initialised()) return CUDA_ERROR_NOT_INITIALIZED;
  if (has_several_servers() && is_known(peer) && server_of_handle(peer) != current_server())
    return CUDA_ERROR_PEER_ACCESS_NOT_ENABLED;
  return rpc::cuCtxDisablePeerAccess(false, peer);
}

// Some are a matter of the device's memory, which the next launch takes.
CUresult set_limit(CUlimit limit, size_t value) {
  const CUresult result = rpc::cuCtxSetLimit(false, limit, value);
  if (result == CUDA_SUCCESS) ask_at_next_launches();
  return result;
}

// Whatever the program has changed where the device can see it is seen by then, and the other way round.
CUresult synchronize() {
  if (Session* found = session()) publish_host_memory(*found, {});
  return Request(Op::cuCtxSynchronize, false).run_and_tell();
}

CUresult synchronize_v2(CUcontext context) {
  if (context == nullptr || context == this_thread().current()) return synchronize();
  CUresult result = push_current(context);
  if (result != CUDA_SUCCESS) return result;
  result = synchronize();
  (void)pop_current(nullptr);
  return result;
}

}  // namespace

CUresult primary_context_of(CUdevice device, CUcontext* context) {
  Request request(Message::kPrimaryContext, false);
  const CUresult result = request.device(device).run();
  if (result != CUDA_SUCCESS) return result;
  *context = reinterpret_cast<CUcontext>(request.next_value<uint64_t>());
  learn_context(*context, device);
  return result;
}

void learn_context(CUcontext context, CUdevice device) {
  std::unique_lock lock(contexts().lock);
  auto [place, is_new] = contexts().known.try_emplace(context, Contexts::Context{device, 0, 1});
  if (is_new) place->second.number = contexts().next++;
}

void forget_context(CUcontext context) {
  std::unique_lock lock(contexts().lock);
  contexts().known.erase(context);
}

bool find_context(CUcontext context, CUdevice* device, uint64_t* number) {
  std::shared_lock lock(contexts().lock);
  auto found = contexts().known.find(context);
  if (found == contexts().known.end()) return false;
  *device = found->second.device;
  *number = found->second.number;
  return true;
}

CUcontext some_context_of(unsigned server) {
  std::shared_lock lock(contexts().lock);
  for (const auto& [context, known] : contexts().known) {
    if (server_of_handle(context) == server) return context;
  }
  return nullptr;
}

CUresult current_device(CUdevice* device) {
  CUcontext context = this_thread().current();
  uint64_t number = 0;
  return context != nullptr && find_context(context, device, &number) ? CUDA_SUCCESS
                                                                      : CUDA_ERROR_INVALID_CONTEXT;
}

void install_context_calls(cuda::DriverTable& table) {
  table.cuCtxSetCurrent = set_current;
  table.cuCtxGetCurrent = get_current;
  table.cuCtxPushCurrent = push_current;
  table.cuCtxPushCurrent_v2 = push_current;
  table.cuCtxPopCurrent = pop_current;
  table.cuCtxPopCurrent_v2 = pop_current;
  table.cuCtxGetDevice = get_device;
  table.cuCtxGetDevice_v2 = get_device_of;
  table.cuCtxCreate = create_v2;
  table.cuCtxCreate_v2 = create_v2;
  table.cuCtxCreate_v3 = create_v3;
  table.cuCtxCreate_v4 = create_v4;
  table.cuCtxDestroy = destroy;
  table.cuCtxDestroy_v2 = destroy;
  table.cuCtxEnablePeerAccess = enable_peer_access;
  table.cuCtxDisablePeerAccess = disable_peer_access;
  table.cuCtxSetLimit = set_limit;
  table.cuCtxAttach = attach;
  table.cuCtxDetach = detach;
  table.cuCtxSynchronize = synchronize;
  table.cuCtxSynchronize_v2 = synchronize_v2;
  table.cuDevicePrimaryCtxRetain = primary_retain;
  table.cuDevicePrimaryCtxReset = primary_reset;
  table.cuDevicePrimaryCtxReset_v2 = primary_reset;
  table.cuDevicePrimaryCtxRelease = primary_release;
  table.cuDevicePrimaryCtxRelease_v2 = primary_release;
}

}  // namespace tessera::remote
