// Memory of cuMemAlloc that other processes open by handles. Each that has it open is charged for it, once,
// also when the one that made it has freed it.
#include <map>

#include "walk.h"

namespace walk {
namespace {

class HandleRoad final : public Road {
 public:
  void take(Walk& walk) override {
    if (walk.roll(2) == 0) {
      make(walk);
    } else if (const auto offer =
                   walk.shared().offers.pick(OfferKind::kHandle, walk.mail().self, walk.roll(64))) {
      open(walk, *offer);
    }
  }
  bool give(Walk& walk) override {
    const bool close_one = made_.empty() || (!opened_.empty() && walk.roll(2) == 0);
    if (!close_one) {
      free_one(walk);
    } else if (!opened_.empty()) {
      close(walk);
    } else {
      return false;
    }
    return true;
  }

 private:
  struct Made {
    CUdeviceptr address;
    uint64_t bytes;
    uint64_t serial;  // of its offer; 0: not offered
  };
  struct Opened {
    CUdeviceptr address;
    uint64_t bytes;
    uint64_t times;
  };

  void make(Walk& walk) {
    Made made{0, walk.some_bytes(), 0};
    if (!walk.takes(made.bytes, [&] { return cuMemAlloc_v2(&made.address, made.bytes); })) return;
    CUipcMemHandle handle{};
    CU_CHECK(cuIpcGetMemHandle(&handle, made.address));
    Offer offer{OfferKind::kHandle, walk.mail().self, 0, made.bytes, {}};
    memcpy(offer.handle.data(), &handle, offer.handle.size());
    if (!walk.shared().offers.put(offer, &made.serial)) made.serial = 0;
    made_.push_back(made);
  }

  void open(Walk& walk, const Offer& offer) {
    CUipcMemHandle handle{};
    memcpy(&handle, offer.handle.data(), offer.handle.size());
    const auto known = opened_.find(offer.serial);
    const uint64_t more = known == opened_.end() ? offer.bytes : 0;
    CUdeviceptr address = 0;
    const bool granted = walk.takes(more, [&] {
      const CUresult result = cuIpcOpenMemHandle_v2(&address, handle, CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS);
      // Its owner may free it at any moment.
      const bool gone = result == CUDA_ERROR_INVALID_VALUE && !walk.in_turn();
      return gone ? CUDA_ERROR_OUT_OF_MEMORY : result;
    });
    if (!granted) return;
    if (known == opened_.end()) {
      opened_.emplace(offer.serial, Opened{address, offer.bytes, 1});
    } else {
      REQUIRE(known->second.address == address, "opened again, it is at another address");
      ++known->second.times;
    }
  }

  void free_one(Walk& walk) {
    std::swap(made_[walk.roll(made_.size())], made_.back());
    const Made made = made_.back();
    made_.pop_back();
    if (made.serial != 0) walk.shared().offers.withdraw(made.serial);
    walk.shrinks(made.bytes);
    CU_CHECK(cuMemFree_v2(made.address));
  }

  void close(Walk& walk) {
    const auto chosen = std::next(opened_.begin(), static_cast<ptrdiff_t>(walk.roll(opened_.size())));
    Opened& opened = chosen->second;
    if (--opened.times == 0) walk.shrinks(opened.bytes);
    CU_CHECK(cuIpcCloseMemHandle(opened.address));
    if (opened.times == 0) opened_.erase(chosen);
  }

  std::vector<Made> made_;
  std::map<uint64_t, Opened> opened_;  // by the offer's serial
};

}  // namespace

void add_handle_road(Roads& roads) { roads.push_back(std::make_unique<HandleRoad>()); }

}  // namespace walk
