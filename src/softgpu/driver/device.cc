#include "softgpu/driver/device.h"

#include "softgpu/device/model.h"
#include "softgpu/driver/compute_engine.h"
#include "softgpu/driver/context.h"
#include "softgpu/driver/device_faults.h"
#include "softgpu/driver/device_memory.h"
#include "softgpu/driver/handle_registry.h"
#include "softgpu/driver/managed_memory.h"
#include "softgpu/driver/memory_pool.h"
#include "softgpu/driver/work_thread.h"

namespace tessera::softgpu {
namespace {

constexpr int kCopyThreads = 2;  // one for each direction, as cards have

}  // namespace

Device::Device(int ordinal, int physical_index, Config config, std::unique_ptr<DeviceFile> file)
    : ordinal_(ordinal),
      physical_index_(physical_index),
      config_(std::move(config)),
      file_(std::move(file)) {}

Device::~Device() = default;

Status Device::initialise() {
  model_ = find_model(config_.model);
  if (model_ == nullptr) {
    return Status::error(Code::kInvalidArgument, "SOFTGPU_MODEL is \"%s\": no such model",
                         config_.model.c_str());
  }
  TESSERA_ASSIGN_OR_RETURN(memory_, DeviceMemory::create(*file_));
  addresses_.set_demand(ManagedMemory::instance().attach(*this));
  memory_->set_make_room(
      [this](uint64_t bytes) { return ManagedMemory::instance().make_room(*this, bytes); });
  faults_ = std::make_unique<DeviceFaults>(*this);
  compute_ = std::make_unique<ComputeEngine>(*file_, *faults_, config_);
  copies_ = std::make_unique<WorkThread>("softgpu-copy", kCopyThreads);
  callbacks_ = std::make_unique<WorkThread>("softgpu-host", 1);
  primary_ = Context::create(*this, true, CU_CTX_SCHED_AUTO);
  default_pool_ = MemoryPool::create(*this);
  current_pool_ = default_pool_;
  return {};
}

CUresult Device::retain_primary(std::shared_ptr<Context>* context) {
  std::lock_guard life(primary_life_);
  std::unique_lock lock(mutex_);
  const bool first = primary_retains_ == 0;
  lock.unlock();
  const CUresult admitted = first ? faults_->admit_context() : CUDA_SUCCESS;
  if (admitted != CUDA_SUCCESS) return admitted;
  lock.lock();
  ++primary_retains_;
  const unsigned flags = primary_flags_;
  lock.unlock();
  if (first) {
    primary_->set_flags(flags);
    primary_->activate();
  }
  *context = primary_;
  return CUDA_SUCCESS;
}

CUresult Device::release_primary() {
  std::lock_guard life(primary_life_);
  {
    std::lock_guard lock(mutex_);
    if (primary_retains_ == 0) return CUDA_ERROR_INVALID_CONTEXT;
    if (--primary_retains_ != 0) return CUDA_SUCCESS;
  }
  primary_->teardown();
  return CUDA_SUCCESS;
}

CUresult Device::reset_primary() {
  std::lock_guard life(primary_life_);
  {
    std::lock_guard lock(mutex_);
    primary_flags_ = 0;
    if (primary_retains_ == 0) return CUDA_SUCCESS;
    primary_retains_ = 0;
  }
  primary_->teardown();
  return CUDA_SUCCESS;
}

CUresult Device::set_primary_flags(unsigned flags) {
  std::lock_guard lock(mutex_);
  primary_flags_ = flags;
  primary_->set_flags(flags);
  return CUDA_SUCCESS;
}

void Device::primary_state(unsigned* flags, bool* active) const {
  std::lock_guard lock(mutex_);
  *flags = primary_flags_;
  *active = primary_retains_ != 0;
}

void Device::wait_idle() {
  std::vector<OpRef> unfinished;
  for (const auto& context : live<Context>().all()) {
    if (&context->device() != this) continue;
    for (OpRef& op : OpGraph::instance().unfinished(context->order())) unfinished.push_back(std::move(op));
  }
  for (const OpRef& op : unfinished) op->wait();
}

void Device::count_contexts(int change) {
  std::lock_guard lock(contexts_mutex_);
  contexts_ = static_cast<uint32_t>(static_cast<int>(contexts_) + change);
  file_->set_contexts(contexts_);
}

std::shared_ptr<MemoryPool> Device::current_pool() const {
  std::lock_guard lock(mutex_);
  return current_pool_;
}

void Device::set_current_pool(std::shared_ptr<MemoryPool> pool) {
  std::lock_guard lock(mutex_);
  current_pool_ = std::move(pool);
}

}  // namespace tessera::softgpu
