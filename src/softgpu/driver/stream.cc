#include "softgpu/driver/stream.h"

#include "softgpu/driver/current.h"
#include "softgpu/driver/defaults.h"
#include "softgpu/driver/handle_registry.h"
#include "softgpu/driver/state.h"

namespace tessera::softgpu {
namespace {

std::atomic<uint64_t> next_stream_id{1};

}  // namespace

Stream::Stream(std::shared_ptr<Context> context, OpQueue::Kind kind, unsigned flags, int priority)
    : context_(std::move(context)),
      handle_(next_handle()),
      id_(next_stream_id.fetch_add(1, std::memory_order_relaxed)),
      flags_(flags),
      priority_(priority),
      queue_(context_->order(), kind) {}

StreamHints Stream::hints() const {
  std::lock_guard lock(hints_mutex_);
  return hints_;
}

void Stream::set_hints(const StreamHints& hints) {
  std::lock_guard lock(hints_mutex_);
  hints_ = hints;
}

CUresult Stream::synchronize() {
  for (const OpRef& op : OpGraph::instance().unfinished(queue_)) op->wait();
  context_->flush_output();
  return context_->status();
}

CUresult stream_of(CUstream handle, std::shared_ptr<Stream>* stream) {
  const bool legacy = handle == CU_STREAM_LEGACY || (handle == nullptr && !PerThreadDefaultStream::active());
  const bool per_thread = handle == CU_STREAM_PER_THREAD || (handle == nullptr && !legacy);
  if (legacy || per_thread) {
    std::shared_ptr<Context> context;
    CUresult result = usable_context(&context);
    if (result != CUDA_SUCCESS) return result;
    *stream = legacy ? context->legacy_stream() : context->per_thread_stream();
    return *stream ? CUDA_SUCCESS : CUDA_ERROR_CONTEXT_IS_DESTROYED;
  }
  CUresult result = require_initialised_outside_callback();
  if (result != CUDA_SUCCESS) return result;
  *stream = live<Stream>().find(handle);
  if (!*stream) return CUDA_ERROR_INVALID_HANDLE;
  return (*stream)->context().status();
}

}  // namespace tessera::softgpu
