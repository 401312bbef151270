#include "remote/worker/callbacks.h"

#include <memory>

#include "remote/worker/worker.h"

namespace tessera::remote {

struct Callbacks::Pending {
  Callbacks* callbacks;
  uint64_t callback;
  bool is_once = false;

  Pending(Callbacks* its, uint64_t number, bool once) : callbacks(its), callback(number), is_once(once) {}
  ~Pending() {
    if (is_once) callbacks->once_.fetch_sub(1, std::memory_order_relaxed);
  }
  Pending(const Pending&) = delete;
  Pending& operator=(const Pending&) = delete;

  static void kept(void* data) {
    const auto* pending = static_cast<Pending*>(data);
    pending->callbacks->run(pending->callback, CUDA_SUCCESS, false);
  }
  static void launched(void* data) {
    const std::unique_ptr<Pending> pending(static_cast<Pending*>(data));
    pending->callbacks->run(pending->callback, CUDA_SUCCESS, true);
  }
  static void ended(void* data) {
    const std::unique_ptr<Pending> pending(static_cast<Pending*>(data));
    // A broken link shows elsewhere.
    (void)pending->callbacks->tell(pending->callback, CUDA_SUCCESS, true);
  }
  static void added(CUstream, CUresult status, void* data) {
    const std::unique_ptr<Pending> pending(static_cast<Pending*>(data));
    pending->callbacks->run(pending->callback, status, true);
  }
};

Callbacks::Callbacks(Worker& worker, size_t most) : worker_(worker), most_(most) {}
Callbacks::~Callbacks() = default;

std::unique_ptr<Callbacks::Pending> Callbacks::new_once(uint64_t callback) {
  if (once_.fetch_add(1, std::memory_order_relaxed) >= most_) {
    once_.fetch_sub(1, std::memory_order_relaxed);
    return nullptr;
  }
  return std::make_unique<Pending>(this, callback, true);
}

Callbacks::Pending* Callbacks::kept(uint64_t callback) {
  std::lock_guard lock(lock_);
  const auto found = kept_.find(callback);
  if (found != kept_.end()) return found->second.get();
  if (kept_.size() >= most_) return nullptr;
  auto made = std::make_unique<Pending>(this, callback, false);
  Pending* const place = made.get();
  numbers_.emplace(place, callback);
  kept_.emplace(callback, std::move(made));
  return place;
}

CUDA_HOST_NODE_PARAMS Callbacks::node(uint64_t callback) {
  Pending* const pending = kept(callback);
  return {pending == nullptr ? nullptr : &Pending::kept, pending};
}

uint64_t Callbacks::number_of(const CUDA_HOST_NODE_PARAMS& params) {
  std::lock_guard lock(lock_);
  const auto found = numbers_.find(params.userData);
  return found == numbers_.end() ? 0 : found->second;
}

// Only the thread that leads gives streams work, so that none begins to be captured between this and the
// call. Where the driver does not say, what is called may be called again.
bool Callbacks::is_called_once(CUstream stream) const {
  CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_ACTIVE;
  const auto ask = worker_.driver().cuStreamIsCapturing;
  return ask != nullptr && ask(stream, &status) == CUDA_SUCCESS && status == CU_STREAM_CAPTURE_STATUS_NONE;
}

CUresult Callbacks::launch(CUstream stream, uint64_t callback) {
  if (worker_.driver().cuLaunchHostFunc == nullptr) return CUDA_ERROR_NOT_SUPPORTED;
  if (!is_called_once(stream)) {
    Pending* const pending = kept(callback);
    if (pending == nullptr) return CUDA_ERROR_OUT_OF_MEMORY;
    return worker_.driver().cuLaunchHostFunc(stream, &Pending::kept, pending);
  }
  auto pending = new_once(callback);
  if (pending == nullptr) return CUDA_ERROR_OUT_OF_MEMORY;
  const CUresult result = worker_.driver().cuLaunchHostFunc(stream, &Pending::launched, pending.get());
  if (result == CUDA_SUCCESS) (void)pending.release();
  return result;
}

CUresult Callbacks::add(CUstream stream, uint64_t callback) {
  if (worker_.driver().cuStreamAddCallback == nullptr) return CUDA_ERROR_NOT_SUPPORTED;
  auto pending = new_once(callback);
  if (pending == nullptr) return CUDA_ERROR_OUT_OF_MEMORY;
  const CUresult result = worker_.driver().cuStreamAddCallback(stream, &Pending::added, pending.get(), 0);
  if (result == CUDA_SUCCESS) (void)pending.release();
  return result;
}

CUresult Callbacks::create_object(CUuserObject* object, uint64_t callback, unsigned references,
                                  unsigned flags) {
  if (worker_.driver().cuUserObjectCreate == nullptr) return CUDA_ERROR_NOT_SUPPORTED;
  auto pending = new_once(callback);
  if (pending == nullptr) return CUDA_ERROR_OUT_OF_MEMORY;
  const CUresult result =
      worker_.driver().cuUserObjectCreate(object, pending.get(), &Pending::ended, references, flags);
  if (result == CUDA_SUCCESS) (void)pending.release();
  return result;
}

Status Callbacks::tell(uint64_t callback, CUresult status, bool is_last) {
  std::vector<std::byte> fields;
  Writer(fields).value(CallbackTurn{callback, static_cast<int32_t>(status), is_last ? 1U : 0U});
  return worker_.tell(Message::kCallback, fields, {});
}

void Callbacks::run(uint64_t callback, CUresult status, bool is_last) {
  {
    std::lock_guard lock(lock_);
    if (is_abandoned_) return;
    running_.insert(callback);
  }
  if (!tell(callback, status, is_last).ok()) return;
  std::unique_lock lock(lock_);
  changed_.wait(lock, [&] { return is_abandoned_ || !running_.contains(callback); });
}

void Callbacks::done(uint64_t callback) {
  {
    std::lock_guard lock(lock_);
    if (auto found = running_.find(callback); found != running_.end()) running_.erase(found);
  }
  changed_.notify_all();
}

void Callbacks::abandon() {
  {
    std::lock_guard lock(lock_);
    is_abandoned_ = true;
  }
  changed_.notify_all();
}

}  // namespace tessera::remote
