// One process's memory on one device where tenants together hold more than fits: allocation from a pool, and
// the moving of all that to the host and back.
//
// Whoever needs the device's memory has the daemon ask (Account::EvictionOrder). A thread of this process
// then closes the passage, waits until the device has done what it was given, and copies as much as is asked
// for to the host, piece by piece: whoever waits for it comes in meanwhile. The next call that touches the
// device's memory finds the passage closed and brings everything back, as there is room for it; only then is
// it let in.
//
// What has gone to a neighbour's memory is asked back when that GPU's own need it: it goes on to the host.
//
// Work on the device may wait for a call that is kept out. So the device is waited for no longer than
// kDrainPatienceNs: then calls are let in again, and the daemon is told to ask again later.
//
// Lock order: returning_, then moving_, then the pool's, then ResidentMemory's. The pool calls ResidentMemory
// under its own lock, which may wait for room for long: nothing else takes the pool's lock while it holds one
// of these.
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <set>

#include "common/notice_pace.h"
#include "memory/pool/pool.h"
#include "virtualization/residency/passage.h"
#include "virtualization/residency/resident_memory.h"
#include "virtualization/residency/stream_points.h"

namespace tessera::vgpu {

class Residency {
 public:
  static constexpr uint64_t kDrainPatienceNs = 2'000'000'000;
  // For a device that has less memory than was granted: others, of no slice, may hold some.
  static constexpr int kRestoreAttempts = 100;

  // Threads of it never end: it must live as long as the process.
  // `captures`: how many streams are being captured; work cannot be waited for meanwhile, so nothing is
  // moved.
  static Result<std::unique_ptr<Residency>> start(const cuda::DriverTable& driver, CUdevice ordinal,
                                                  Account& account, uint32_t device,
                                                  const std::vector<Neighbour>& neighbours,
                                                  const std::atomic<uint32_t>& captures);
  Residency(const Residency&) = delete;
  Residency& operator=(const Residency&) = delete;

  // Around a call that touches the device's memory or launches what does. False: it is not inside, and to
  // come in has to bring_back() first what was moved off the device. That may take long: nobody who is inside
  // for another device may wait for it.
  bool try_enter() { return passage_.try_enter(); }
  void leave() { passage_.leave(); }
  Status bring_back();

  // Not inside: it may wait for room. For use in the order of `stream`, or by anybody.
  Result<uint64_t> allocate(uint64_t bytes, std::optional<memory::StreamId> stream) {
    return stream ? pool_.allocate_on(*stream, bytes) : pool_.allocate(bytes);
  }
  // The device uses it no more.
  Status free(uint64_t address) { return pool_.free(address); }
  // It may use it still: it is freed with the next free_deferred().
  void defer_free(uint64_t address);
  bool has_deferred() const { return deferred_count_.load(std::memory_order_relaxed) != 0; }
  // The device has done all that it was given before those were deferred.
  void free_deferred();
  // What is freed in the order of streams.
  StreamPoints& streams() { return streams_; }
  std::optional<memory::Block> find(uint64_t address) { return pool_.find(address); }

  // Contexts whose work is to be waited for, and in one of which copies are made.
  void context_began(CUcontext context);
  void context_ended(CUcontext context);

 private:
  Residency(const cuda::DriverTable& driver, std::unique_ptr<ResidentMemory> memory, Account& account,
            uint32_t device, const std::atomic<uint32_t>& captures)
      : driver_(driver),
        account_(account),
        device_(device),
        captures_(captures),
        memory_(std::move(memory)),
        pool_(*memory_),
        streams_(driver, pool_) {}

  Result<bool> bring_piece_back();
  template <typename Body>
  Status in_some_context(Body body);

  void run_near_device();
  static void* run_evictions(void* residency);
  void serve(const Account::EvictionOrder& order);
  // How much has left the device since the last piece that was told of: less, or nothing, where its work does
  // not end in time.
  uint64_t move_off(const Account::EvictionOrder& order, uint64_t bytes, Status& status);
  // What is on a neighbour goes to the host; the program's work and calls go on meanwhile.
  void leave_neighbour(const Account::EvictionOrder& order);
  void tell_unmoved(const Status& why);
  bool close_passage();
  // Nothing of the process is on the device; false: something still is.
  bool drain();
  static void* run_drains(void* residency);
  void synchronize_contexts();

  const cuda::DriverTable& driver_;
  Account& account_;
  const uint32_t device_;
  const std::atomic<uint32_t>& captures_;
  const std::unique_ptr<ResidentMemory> memory_;
  memory::Pool pool_;
  StreamPoints streams_;
  Passage passage_;

  std::mutex returning_;     // one thread brings memory back, for all that wait for it
  std::mutex moving_;        // one moves memory at a time
  NoticePace unmoved_pace_;  // under it: of what is said where it cannot

  std::mutex deferred_mutex_;
  std::vector<uint64_t> deferred_;
  std::atomic<size_t> deferred_count_{0};

  std::mutex contexts_mutex_;
  std::set<CUcontext> contexts_;

  std::mutex orders_mutex_;
  std::condition_variable ordered_;
  std::deque<Account::EvictionOrder> orders_;

  std::mutex drains_mutex_;
  std::condition_variable drains_changed_;
  bool drain_wanted_ = false;  // and is on its way
};

}  // namespace tessera::vgpu
