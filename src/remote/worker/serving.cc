#include "remote/worker/serving.h"

#include "common/log.h"
#include "remote/worker/worker.h"

namespace tessera::remote {
namespace {

// What the driver answers to a handle of that kind that it does not know.
CUresult unknown_handle(HandleKind kind) {
  switch (kind) {
    case HandleKind::kCUcontext:
      return CUDA_ERROR_INVALID_CONTEXT;
    case HandleKind::kCUgraph:
    case HandleKind::kCUgraphNode:
    case HandleKind::kCUgraphExec:
    case HandleKind::kCUmemoryPool:
    case HandleKind::kCUuserObject:
    case HandleKind::kCUtexref:
    case HandleKind::kCUsurfref:
    case HandleKind::kCUmemGenericAllocationHandle:
      return CUDA_ERROR_INVALID_VALUE;
    default:
      return CUDA_ERROR_INVALID_HANDLE;
  }
}

}  // namespace

Status Serving::read_payload(std::span<std::byte> space) {
  if (thread->content.is_named()) return thread->content.read(space);
  TESSERA_RETURN_IF_ERROR(worker.link().read(space));
  thread->content.arrived(space);
  return Status();
}

void Serving::notes_work() { worker.note_work(); }
void Serving::gives_work() { worker.note_launch(); }

// Not only the GPU is waited for: memory may have to be made room for, or a turn.
void Serving::may_wait() {
  if (wants_answer && (worker.has_others() || !worker.is_quiet())) worker.let_others_lead();
}

uint64_t Serving::real_handle(HandleKind kind, uint64_t id) {
  if (kind == HandleKind::kCUstream) {
    const bool is_own = id == (uint64_t)CU_STREAM_PER_THREAD || (id == 0 && per_thread);
    if (is_own) {
      CUstream stream = nullptr;
      const CUresult result = worker.default_stream(*thread, &stream);
      if (result != CUDA_SUCCESS) failed = result;
      return (uint64_t)stream;
    }
    if (id == (uint64_t)CU_STREAM_LEGACY) return id;
  }
  if (id == 0) return 0;
  const uint64_t real = may_stand_for(id, kind) ? handles.find(id) : 0;
  if (real == 0 && failed == CUDA_SUCCESS) failed = unknown_handle(kind);
  return real;
}

uint64_t Serving::id_of(HandleKind kind, uint64_t real, uint64_t parent) {
  if (real == 0) return 0;
  if (kind == HandleKind::kCUstream && real <= (uint64_t)CU_STREAM_PER_THREAD) return real;
  const uint64_t id = handles.id_of(kind, real, parent);
  if (id == 0 && !is_malformed) {
    LOG_WARN("session", "the client has %zu handles, and gets no more: its session ends", HandleTable::kMost);
    is_malformed = true;
  }
  return id;
}

}  // namespace tessera::remote
