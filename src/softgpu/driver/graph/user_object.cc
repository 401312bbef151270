#include "softgpu/driver/graph/user_object.h"

#include <cassert>

#include "softgpu/driver/current.h"
#include "softgpu/driver/handle_registry.h"
#include "softgpu/driver/op_graph.h"
#include "softgpu/driver/work_thread.h"

namespace tessera::softgpu {
namespace {

// Never destroyed: its thread runs until the process ends.
WorkThread& destroyers() {
  static auto* thread = new WorkThread("softgpu-destroy", 1);
  return *thread;
}

class DestroyOp : public ThreadOp {
 public:
  DestroyOp(CUhostFn destroy, void* data) : ThreadOp(destroyers()), destroy_(destroy), data_(data) {}
  void run() override {
    CallbackScope scope;
    destroy_(data_);
  }

 private:
  const CUhostFn destroy_;
  void* const data_;
};

}  // namespace

UserObject::UserObject(CUhostFn destroy, void* data, uint64_t references)
    : destroy_(destroy),
      data_(data),
      handle_(next_handle()),
      references_(references),
      of_program_(references) {}

void UserObject::release(uint64_t count) {
  const uint64_t before = references_.fetch_sub(count, std::memory_order_acq_rel);
  assert(count <= before);
  if (before != count) return;
  live<UserObject>().remove(handle());
  auto op = std::make_shared<DestroyOp>(destroy_, data_);
  op->start(op);
}

}  // namespace tessera::softgpu
