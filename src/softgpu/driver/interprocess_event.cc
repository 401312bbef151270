#include "softgpu/driver/interprocess_event.h"

#include <map>

#include "common/clock.h"
#include "softgpu/device/shared_event.h"
#include "softgpu/driver/device.h"
#include "softgpu/driver/op_graph.h"
#include "softgpu/driver/watched_op.h"

namespace tessera::softgpu {

// This process's hold of it, which unfinished recordings and waits share.
class InterprocessEvent::Hold {
 public:
  Hold(Device& device, uint64_t id) : device_(device), id_(id) {}
  ~Hold() { let_go_of_event(device_.file(), id_); }
  Hold(const Hold&) = delete;
  Hold& operator=(const Hold&) = delete;

  Device& device() const { return device_; }
  uint64_t id() const { return id_; }
  uint64_t newest() const { return newest_recording(device_.file(), id_); }
  bool over(uint64_t number) const { return is_over(device_.file(), id_, number); }

  uint64_t begin() {
    std::lock_guard lock(mutex_);
    const uint64_t number = begin_recording(device_.file(), id_);
    finished_.emplace(number, false);
    return number;
  }
  void finish(uint64_t number) {
    std::lock_guard lock(mutex_);
    finished_[number] = true;
    uint64_t last = 0;
    while (!finished_.empty() && finished_.begin()->second) {
      last = finished_.begin()->first;
      finished_.erase(finished_.begin());
    }
    if (last != 0) finish_recording(device_.file(), id_, last);
  }

 private:
  Device& device_;
  const uint64_t id_;
  std::mutex mutex_;
  std::map<uint64_t, bool> finished_;  // own recordings, but for those that others know to be over
};

class InterprocessEvent::Recording : public MarkerOp {
 public:
  Recording(std::shared_ptr<Hold> hold, uint64_t number) : hold_(std::move(hold)), number_(number) {}
  void start(const std::shared_ptr<Op>& self) override {
    hold_->finish(number_);
    MarkerOp::start(self);
  }

 private:
  const std::shared_ptr<Hold> hold_;
  const uint64_t number_;
};

// Another process's recording.
class InterprocessEvent::Elsewhere : public WatchedOp {
 public:
  Elsewhere(std::shared_ptr<Hold> hold, uint64_t number) : hold_(std::move(hold)), number_(number) {}
  bool advance() override {
    if (!hold_->over(number_)) hold_->device().file().reap_now_and_then();
    return hold_->over(number_);
  }

 private:
  const std::shared_ptr<Hold> hold_;
  const uint64_t number_;
};

Result<std::shared_ptr<InterprocessEvent>> InterprocessEvent::create(Device& device) {
  TESSERA_ASSIGN_OR_RETURN(const uint64_t id, make_shared_event(device.file()));
  return std::shared_ptr<InterprocessEvent>(new InterprocessEvent(std::make_shared<Hold>(device, id)));
}

Result<std::shared_ptr<InterprocessEvent>> InterprocessEvent::open(Device& device, uint64_t id) {
  TESSERA_RETURN_IF_ERROR(hold_shared_event(device.file(), id));
  return std::shared_ptr<InterprocessEvent>(new InterprocessEvent(std::make_shared<Hold>(device, id)));
}

IpcHandle InterprocessEvent::handle() const {
  return {IpcKind::kEvent, hold_->device().uuid(), hold_->id(), 0};
}

OpRef InterprocessEvent::begin() {
  std::lock_guard lock(mutex_);
  const uint64_t number = hold_->begin();
  own_ = {number, std::make_shared<Recording>(hold_, number)};
  return own_.op;
}

OpRef InterprocessEvent::newest() {
  std::lock_guard lock(mutex_);
  const uint64_t number = hold_->newest();
  if (number == own_.number) return own_.op;
  if (hold_->over(number)) return nullptr;
  if (number != elsewhere_.number) {
    elsewhere_ = {number, std::make_shared<Elsewhere>(hold_, number)};
    elsewhere_.op->start(elsewhere_.op);
  }
  return elsewhere_.op;
}

}  // namespace tessera::softgpu
