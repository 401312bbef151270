#include "remote/worker/callbacks.h"

#include <memory>

#include "remote/worker/worker.h"

namespace tessera::remote {

struct Callbacks::Pending {
  Callbacks* callbacks;
  uint64_t callback;

  static void launched(void* data) {
    auto* pending = static_cast<Pending*>(data);
    pending->callbacks->run(pending->callback, CUDA_SUCCESS);
  }
  static void ended(void* data) {
    auto* pending = static_cast<Pending*>(data);
    std::vector<std::byte> fields;
    Writer writer(fields);
    writer.value(pending->callback);
    writer.value<int32_t>(CUDA_SUCCESS);
    (void)pending->callbacks->worker_.tell(Message::kCallback, fields, {});  // a broken link shows elsewhere
  }
  static void added(CUstream, CUresult status, void* data) {
    std::unique_ptr<Pending> pending(static_cast<Pending*>(data));
    pending->callbacks->run(pending->callback, status);
  }
};

Callbacks::Callbacks(Worker& worker) : worker_(worker) {}
Callbacks::~Callbacks() = default;

Callbacks::Pending* Callbacks::kept(uint64_t callback) {
  std::lock_guard lock(lock_);
  auto& place = kept_[callback];
  if (place == nullptr) place = std::make_unique<Pending>(Pending{this, callback});
  return place.get();
}

CUDA_HOST_NODE_PARAMS Callbacks::node(uint64_t callback) { return {&Pending::launched, kept(callback)}; }

CUDA_HOST_NODE_PARAMS Callbacks::ending(uint64_t callback) { return {&Pending::ended, kept(callback)}; }

uint64_t Callbacks::number_of(const CUDA_HOST_NODE_PARAMS& params) {
  std::lock_guard lock(lock_);
  for (const auto& [number, pending] : kept_) {
    if (pending.get() == params.userData) return number;
  }
  return 0;
}

CUresult Callbacks::launch(CUstream stream, uint64_t callback) {
  if (worker_.driver().cuLaunchHostFunc == nullptr) return CUDA_ERROR_NOT_SUPPORTED;
  return worker_.driver().cuLaunchHostFunc(stream, &Pending::launched, kept(callback));
}

CUresult Callbacks::add(CUstream stream, uint64_t callback) {
  if (worker_.driver().cuStreamAddCallback == nullptr) return CUDA_ERROR_NOT_SUPPORTED;
  auto pending = std::make_unique<Pending>(Pending{this, callback});
  const CUresult result = worker_.driver().cuStreamAddCallback(stream, &Pending::added, pending.get(), 0);
  if (result == CUDA_SUCCESS) (void)pending.release();
  return result;
}

void Callbacks::run(uint64_t callback, CUresult status) {
  {
    std::lock_guard lock(lock_);
    if (is_abandoned_) return;
    running_.insert(callback);
  }
  std::vector<std::byte> fields;
  Writer writer(fields);
  writer.value(callback);
  writer.value<int32_t>(status);
  if (!worker_.tell(Message::kCallback, fields, {}).ok()) return;
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
