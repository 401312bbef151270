// What programs hand other processes: sealed, so that it is of use to programs of the same tenant and to
// nobody else (session/sealed.h).
#include <cstring>

#include "remote/session/sealed.h"
#include "remote/worker/own_calls.h"
#include "remote/worker/worker.h"

namespace tessera::remote {
namespace {

template <typename Handle>
Handle changed(Serving& s, const Handle& handle, SealedBytes (*change)(const Bytes32&, const SealedBytes&)) {
  static_assert(sizeof(Handle) == sizeof(SealedBytes));
  SealedBytes bytes;
  memcpy(bytes.data(), &handle, sizeof handle);
  bytes = change(s.worker.tenant_key(), bytes);
  Handle result;
  memcpy(&result, bytes.data(), sizeof result);
  return result;
}

template <typename Handle, typename Shared>
CUresult give_sealed(Serving& s, CUresult (*get)(Handle*, Shared), bool is_wanted, Shared shared) {
  if (!s.in.whole()) return s.malformed();
  if (s.failed != CUDA_SUCCESS) return s.failed;
  if (get == nullptr) return CUDA_ERROR_NOT_SUPPORTED;
  Handle handle{};
  const CUresult result = get(is_wanted ? &handle : nullptr, shared);
  handle = changed(s, handle, sealed);
  s.out.array(is_wanted ? &handle : nullptr, 1);
  return result;
}

CUresult get_memory(Serving& s) {
  const bool is_wanted = s.in.wanted();
  return give_sealed(s, s.table.cuIpcGetMemHandle, is_wanted, s.in.value<CUdeviceptr>());
}

CUresult open_memory(Serving& s) {
  const bool is_wanted = s.in.wanted();
  const auto handle = s.in.value<CUipcMemHandle>();
  const auto flags = s.in.value<unsigned int>();
  if (!s.in.whole()) return s.malformed();
  if (s.table.cuIpcOpenMemHandle_v2 == nullptr) return CUDA_ERROR_NOT_SUPPORTED;
  CUdeviceptr address = 0;
  const CUresult result =
      s.table.cuIpcOpenMemHandle_v2(is_wanted ? &address : nullptr, changed(s, handle, unsealed), flags);
  s.out.array(is_wanted ? &address : nullptr, 1);
  return result;
}

CUresult get_event(Serving& s) {
  const bool is_wanted = s.in.wanted();
  const auto event = s.handle<CUevent>(HandleKind::kCUevent, s.in.value<uint64_t>());
  return give_sealed(s, s.table.cuIpcGetEventHandle, is_wanted, event);
}

CUresult open_event(Serving& s) {
  const bool is_wanted = s.in.wanted();
  const auto handle = s.in.value<CUipcEventHandle>();
  if (!s.in.whole()) return s.malformed();
  if (s.table.cuIpcOpenEventHandle == nullptr) return CUDA_ERROR_NOT_SUPPORTED;
  CUevent event = nullptr;
  const CUresult result =
      s.table.cuIpcOpenEventHandle(is_wanted ? &event : nullptr, changed(s, handle, unsealed));
  s.give_handles(HandleKind::kCUevent, is_wanted ? &event : nullptr, 1, 0);
  return result;
}

}  // namespace

std::span<const OwnCall> ipc_calls() {
  static constexpr OwnCall kCallsHere[] = {
      own(Op::cuIpcGetMemHandle, get_memory),    own(Op::cuIpcOpenMemHandle_v2, open_memory),
      own(Op::cuIpcOpenMemHandle, open_memory),  own(Op::cuIpcGetEventHandle, get_event),
      own(Op::cuIpcOpenEventHandle, open_event),
  };
  return kCallsHere;
}

}  // namespace tessera::remote
