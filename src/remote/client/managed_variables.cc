#include "remote/client/managed_variables.h"

#include <cstring>
#include <map>
#include <mutex>
#include <vector>

#include "common/log.h"
#include "remote/client/connection.h"
#include "remote/client/managed_pages.h"
#include "remote/client/request.h"
#include "remote/client/servers.h"

namespace tessera::remote {
namespace {

// Those that are managed and the program has memory for, by their addresses.
struct Variable {
  uint64_t bytes = 0;
  unsigned server = 0;
};
struct Variables {
  std::mutex lock;
  std::map<uint64_t, Variable> known;
};
Variables& variables() {
  static auto* found = new Variables;
  return *found;
}

// Memory of the program for it, with what is in it now. A server that names what the program has for
// something else gets nothing, and changes nothing.
CUresult place_variable(Session& session, uint64_t address, ByteSpan content) {
  std::lock_guard lock(variables().lock);
  const auto known = variables().known.find(address);
  if (known != variables().known.end())
    return known->second.bytes == content.size() && known->second.server == session.server()
               ? CUDA_SUCCESS
               : CUDA_ERROR_UNKNOWN;
  if (!managed_pages().add(address, content.size())) {
    LOG_ERROR("remote", "a managed variable cannot be had: the program has something else at its address");
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  memcpy(reinterpret_cast<void*>(address), content.data(), content.size());
  session.host().add(
      {address, content.size(), HostKind::kManaged, 0, address, this_thread().current(), true});
  variables().known.emplace(address, Variable{content.size(), session.server()});
  return CUDA_SUCCESS;
}

template <typename Code>
CUresult get_variable(Op op, CUdeviceptr* address, size_t* bytes, Code code, const char* name) {
  if (!is_initialised()) return CUDA_ERROR_NOT_INITIALIZED;
  if (name == nullptr) return CUDA_ERROR_INVALID_VALUE;
  Request request(op, false);
  CUresult result = request.value(code).text(name).run();
  if (result != CUDA_SUCCESS) return result;
  const auto found = request.next_value<CUdeviceptr>();
  const auto size = request.next_value<uint64_t>();
  const bool is_managed = request.next_value<uint32_t>() != 0;
  if (is_managed) {
    uint64_t count = 0;
    const auto* content = request.next_array<std::byte>(&count);
    Session* const its = session_of(request.server());
    if (found == 0 || size == 0 || count != size || its == nullptr) return CUDA_ERROR_UNKNOWN;
    result = place_variable(*its, found, {content, count});
    if (result != CUDA_SUCCESS) return result;
  }
  if (address != nullptr) *address = found;
  if (bytes != nullptr) *bytes = size;
  return result;
}

bool is_there(unsigned server, uint64_t address) {
  uint32_t is_managed = 0;
  const CUresult result = Request(Op::cuPointerGetAttribute, false)
                              .to(server)
                              .value(CU_POINTER_ATTRIBUTE_IS_MANAGED)
                              .address(CUdeviceptr{address})
                              .run_take(&is_managed);
  return result == CUDA_SUCCESS && is_managed != 0;
}

bool forget_if_gone(Session& its, uint64_t address) {
  if (is_there(its.server(), address)) return false;
  its.host().remove(address);
  managed_pages().remove(address);
  return true;
}

}  // namespace

CUresult module_get_global(CUdeviceptr* address, size_t* bytes, CUmodule module, const char* name) {
  return get_variable(Op::cuModuleGetGlobal_v2, address, bytes, module, name);
}

CUresult library_get_managed(CUdeviceptr* address, size_t* bytes, CUlibrary library, const char* name) {
  return get_variable(Op::cuLibraryGetManaged, address, bytes, library, name);
}

// Code that is loaded again may have its variables where they were, as they were at first.
void forget_gone_variables(unsigned server) {
  Session* const its = session_of(server);
  std::lock_guard lock(variables().lock);
  std::erase_if(variables().known, [&](const auto& one) {
    const auto& [address, variable] = one;
    return variable.server == server && its != nullptr && forget_if_gone(*its, address);
  });
}

void forget_gone_managed(unsigned server) {
  Session* const its = session_of(server);
  if (its == nullptr) return;
  std::lock_guard lock(variables().lock);
  for (const uint64_t address : its->host().of(HostKind::kManaged)) {
    if (forget_if_gone(*its, address)) variables().known.erase(address);
  }
}

}  // namespace tessera::remote
