#include "virtualization/residency/residency.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <vector>

#include "common/clock.h"
#include "common/failpoint.h"
#include "common/log.h"
#include "common/numa.h"
#include "common/size.h"
#include "virtualization/current_context.h"
#include "virtualization/quiet_thread.h"
#include "virtualization/residency/unmoved.h"

namespace tessera::vgpu {
namespace {

constexpr useconds_t kRestorePauseUs = 100'000;
// Moved at a time, before the daemon is told: small enough for copies out of one process and into another to
// overlap, large enough for what is said about them to cost nothing.
constexpr uint64_t kPieceBytes = uint64_t{32} << 20;
constexpr uint64_t kMostReturnedBytes = uint64_t{256} << 20;  // copied between two words to the daemon

Status start_thread(const char* name, void* (*body)(void*), void* argument) {
  TESSERA_ASSIGN_OR_RETURN(const pthread_t thread, start_quiet_thread(name, body, argument));
  pthread_detach(thread);
  return Status();
}

}  // namespace

Result<std::unique_ptr<Residency>> Residency::start(const cuda::DriverTable& driver, CUdevice ordinal,
                                                    Account& account, uint32_t device,
                                                    const std::vector<Neighbour>& neighbours,
                                                    const std::atomic<uint32_t>& captures) {
  TESSERA_ASSIGN_OR_RETURN(memory::DriverMemory lower,
                           memory::DriverMemory::of_device(driver, ordinal, false));
  auto others = neighbours.empty() ? nullptr
                                   : std::make_unique<NeighbourStore>(driver, ordinal, neighbours,
                                                                      lower.granularity(), account, device);
  TESSERA_ASSIGN_OR_RETURN(
      auto memory, ResidentMemory::create(driver, std::move(lower), account, device, std::move(others)));
  std::unique_ptr<Residency> made(new Residency(driver, std::move(memory), account, device, captures));
  Residency* self = made.get();
  TESSERA_RETURN_IF_ERROR(start_thread("tessera-drain", &run_drains, self));
  TESSERA_RETURN_IF_ERROR(start_thread("tessera-evict", &run_evictions, self));
  account.set_evictor(device, [self](const Account::EvictionOrder& order) {
    std::lock_guard lock(self->orders_mutex_);
    self->orders_.push_back(order);  // the daemon asks for one of a kind at a time
    self->ordered_.notify_one();
  });
  return made;
}

void Residency::context_began(CUcontext context) {
  std::lock_guard lock(contexts_mutex_);
  contexts_.insert(context);
}

void Residency::context_ended(CUcontext context) {
  std::lock_guard lock(contexts_mutex_);
  contexts_.erase(context);
}

// A copy needs a context of the device, whichever.
template <typename Body>
Status Residency::in_some_context(Body body) {
  CUcontext context = nullptr;
  {
    std::lock_guard lock(contexts_mutex_);
    if (!contexts_.empty()) context = *contexts_.begin();
  }
  if (context == nullptr)
    return Status(Code::kFailedPrecondition, "the process has no context on the device");
  const Current in(driver_, context);
  return in.ok() ? body() : Status(Code::kFailedPrecondition, "the process's context is ending");
}

void Residency::defer_free(uint64_t address) {
  std::lock_guard lock(deferred_mutex_);
  deferred_.push_back(address);
  deferred_count_.store(deferred_.size(), std::memory_order_relaxed);
}

void Residency::free_deferred() {
  std::vector<uint64_t> ended;
  {
    std::lock_guard lock(deferred_mutex_);
    ended.swap(deferred_);
    deferred_count_.store(0, std::memory_order_relaxed);
  }
  for (const uint64_t address : ended) (void)pool_.free(address);  // found in the registry: it is there
}

Status Residency::bring_back() {
  std::lock_guard returning(returning_);
  for (int attempt = 0; attempt < kRestoreAttempts;) {
    {
      std::lock_guard lock(moving_);
      if (!passage_.is_closed()) return Status();
      if (memory_->out_bytes() == 0) {
        passage_.open();
        break;
      }
    }
    TESSERA_ASSIGN_OR_RETURN(const bool moved, bring_piece_back());
    if (moved) continue;
    if (++attempt == kRestoreAttempts) {
      return Status(Code::kResourceExhausted,
                    "the device has not had the memory that it should have for a while");
    }
    usleep(kRestorePauseUs);
  }
  failpoint("client.swap.in.opened");
  account_.returned(device_);
  return Status();
}

// The charge waits for other processes, perhaps for long, and no lock that they need is held meanwhile: they
// may need what of ours is on the device still. False: the device did not have what was granted.
Result<bool> Residency::bring_piece_back() {
  const uint64_t out = memory_->out_bytes();
  if (out == 0) return true;
  TESSERA_ASSIGN_OR_RETURN(
      const uint64_t granted,
      account_.charge_return(device_, memory_->granularity(), std::min(out, kMostReturnedBytes), out));
  uint64_t restored = 0;
  Status status;
  bool needless = false;
  {
    std::lock_guard lock(moving_);
    needless = memory_->out_bytes() == 0;
    status = in_some_context([&] {
      auto moved = memory_->restore(granted);
      if (moved.ok()) restored = *moved;
      return moved.status();
    });
  }
  if (restored < granted) account_.credit(device_, BudgetKind::kResident, granted - restored);
  TESSERA_RETURN_IF_ERROR(status);
  return restored > 0 || needless;
}

// The calling thread, which copies much of what is moved.
void Residency::run_near_device() {
  const auto node = account_.numa_node(device_);
  if (!node) return;
  const Status status = run_on_numa_node(*node);
  if (status.ok()) {
    LOG_INFO("memory", "what leaves device %u is copied on NUMA node %u, near it", device_, *node);
  } else {
    LOG_WARN("memory", "memory is not copied near device %u: %s", device_, status.message().c_str());
  }
}

void* Residency::run_evictions(void* residency) {
  auto& self = *static_cast<Residency*>(residency);
  self.run_near_device();
  for (;;) {
    Account::EvictionOrder order;
    {
      std::unique_lock lock(self.orders_mutex_);
      self.ordered_.wait(lock, [&] { return !self.orders_.empty(); });
      order = self.orders_.front();
      self.orders_.pop_front();
    }
    self.serve(order);
  }
}

void Residency::leave_neighbour(const Account::EvictionOrder& order) {
  (void)pool_.try_trim(0);  // what is free there is no more
  uint64_t left = 0, piece = 0;
  Status status;
  while (status.ok() && left < order.bytes) {
    if (piece > 0) account_.evicted(order, piece, 0, Account::Evicted::kPart);
    std::lock_guard lock(moving_);
    piece = 0;
    const Status within = in_some_context([&] {
      piece = memory_->leave_neighbour(std::min(order.bytes - left, kPieceBytes), status);
      return Status();
    });
    if (!within.ok()) status = within;
    left += piece;
    if (piece == 0) break;
  }
  LOG_INFO("memory", "a neighbour needs %s: %s moved on to the host", format_size(order.bytes).c_str(),
           format_size(left).c_str());
  account_.evicted(order, piece, 0, Account::Evicted::kLast);
}

void Residency::serve(const Account::EvictionOrder& order) {
  if (order.kind == BudgetKind::kNeighbour) return leave_neighbour(order);
  if (order.number == 0) {
    (void)pool_.try_trim(0);
    account_.give_back_idle(device_, BudgetKind::kResident);
    return;
  }
  // What is free anyway goes first; some of it goes back as it is freed.
  const uint64_t before = memory_->on_device_bytes(),
                 at_hand = account_.at_hand_bytes(device_, BudgetKind::kResident);
  (void)pool_.try_trim(0);  // in use, it may not be when the daemon asks again
  const uint64_t trimmed = before - std::min(before, memory_->on_device_bytes());
  const uint64_t wanted = order.bytes - std::min(order.bytes, at_hand + trimmed);
  const uint64_t out_before = memory_->out_bytes();
  Status status;
  const uint64_t last = wanted > 0 ? move_off(order, wanted, status) : 0;
  const uint64_t out = memory_->out_bytes();
  LOG_INFO("memory", "%s asked for: %s moved to the host", format_size(order.bytes).c_str(),
           format_size(out - std::min(out, out_before)).c_str());
  const bool no_place = status.code() == Code::kResourceExhausted;
  account_.evicted(order, last, out, no_place ? Account::Evicted::kLastWithoutSwap : Account::Evicted::kLast);
}

bool Residency::close_passage() {
  if (passage_.is_closed()) return true;
  if (!passage_.close(kDrainPatienceNs)) return false;
  // Captures begin inside the passage: there are no others now.
  if (captures_.load() == 0 && drain()) return true;
  passage_.open();
  return false;
}

uint64_t Residency::move_off(const Account::EvictionOrder& order, uint64_t bytes, Status& status) {
  std::lock_guard lock(moving_);
  if (!close_passage()) return 0;
  uint64_t piece = 0;
  const Status within = in_some_context([&] {
    for (uint64_t moved = 0; status.ok();) {
      piece = memory_->evict(std::min(bytes - moved, kPieceBytes), status);
      moved += piece;
      if (moved >= bytes || piece == 0) break;
      account_.evicted(order, std::exchange(piece, 0), memory_->out_bytes(), Account::Evicted::kPart);
      failpoint("client.swap.out.told");
    }
    return Status();
  });
  if (!within.ok()) status = within;
  if (!status.ok()) tell_unmoved(status);
  if (memory_->out_bytes() == 0) passage_.open();
  return piece;
}

// The daemon asks again and again: to say so once in a while is enough.
void Residency::tell_unmoved(const Status& why) {
  const UnmovedNotice notice = notice_of_unmoved(why.code());
  if (notice.level <= LogLevel::kWarn && !unmoved_pace_.came(monotonic_ns())) return;
  TESSERA_LOG(notice.level, "memory", "%s: %s", notice.text, why.message().c_str());
}

void Residency::synchronize_contexts() {
  std::vector<CUcontext> contexts;
  {
    std::lock_guard lock(contexts_mutex_);
    contexts.assign(contexts_.begin(), contexts_.end());
  }
  for (CUcontext context : contexts) {
    const Current in(driver_, context);
    if (in.ok()) (void)driver_.cuCtxSynchronize();  // a context that has failed has no work
  }
}

void* Residency::run_drains(void* residency) {
  auto& self = *static_cast<Residency*>(residency);
  for (;;) {
    std::unique_lock lock(self.drains_mutex_);
    self.drains_changed_.wait(lock, [&] { return self.drain_wanted_; });
    lock.unlock();
    self.synchronize_contexts();
    lock.lock();
    self.drain_wanted_ = false;
    self.drains_changed_.notify_all();
  }
}

bool Residency::drain() {
  const auto patience = std::chrono::nanoseconds(kDrainPatienceNs);
  std::unique_lock lock(drains_mutex_);
  // One that was given up on may have begun before the last calls came in.
  if (drain_wanted_ && !drains_changed_.wait_for(lock, patience, [&] { return !drain_wanted_; }))
    return false;
  drain_wanted_ = true;
  drains_changed_.notify_all();
  return drains_changed_.wait_for(lock, patience, [&] { return !drain_wanted_; });
}

}  // namespace tessera::vgpu
