// A pool of each process that all others import: its memory is opened pointer by pointer, and charged to each
// that has it.
#include <algorithm>
#include <map>

#include "descriptors.h"
#include "walk.h"

namespace walk {
namespace {

constexpr auto kDescriptor = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR;

class PoolRoad final : public Road {
 public:
  explicit PoolRoad(const Mail& mail) : self_(mail.self) {
    CUmemPoolProps properties{};
    properties.allocType = CU_MEM_ALLOCATION_TYPE_PINNED;
    properties.handleTypes = kDescriptor;
    properties.location = {CU_MEM_LOCATION_TYPE_DEVICE, 0};
    CU_CHECK(cuMemPoolCreate(&pools_[self_], &properties));
    for (size_t other = 0; other < mail.count; ++other) {
      if (other == self_) continue;
      int fd = -1;
      CU_CHECK(cuMemPoolExportToShareableHandle(&fd, pools_[self_], kDescriptor, 0));
      REQUIRE(send_descriptor(mail.outboxes[other], {fd, self_}), "the inbox is full");
      close(fd);
    }
    for (size_t i = 1; i < mail.count; ++i) {
      const Sent sent = receive_descriptor(mail.inbox, true).value();
      CU_CHECK(cuMemPoolImportFromShareableHandle(
          &pools_[sent.word], reinterpret_cast<void*>(static_cast<intptr_t>(sent.fd)), kDescriptor, 0));
      close(sent.fd);
    }
  }
  ~PoolRoad() override {
    for (const CUmemoryPool pool : pools_) {
      if (pool != nullptr) CU_CHECK(cuMemPoolDestroy(pool));
    }
  }
  PoolRoad(const PoolRoad&) = delete;
  PoolRoad& operator=(const PoolRoad&) = delete;

  void take(Walk& walk) override {
    if (walk.roll(2) == 0) {
      make(walk);
    } else if (const auto offer = walk.shared().offers.pick(OfferKind::kPoolPointer, self_, walk.roll(64))) {
      import(walk, *offer);
    }
  }
  bool give(Walk& walk) override {
    if (held_.empty()) return false;
    const auto chosen = std::next(held_.begin(), static_cast<ptrdiff_t>(walk.roll(held_.size())));
    const Held held = chosen->second;
    held_.erase(chosen);
    if (held.own) walk.shared().offers.withdraw(held.serial);
    walk.shrinks(held.bytes);
    if (walk.roll(2) == 0) {
      CU_CHECK(cuMemFree_v2(held.address));
    } else {
      CU_CHECK(cuMemFreeAsync(held.address, nullptr));
      CU_CHECK(cuStreamSynchronize(nullptr));
    }
    return true;
  }

 private:
  struct Held {
    CUdeviceptr address;
    uint64_t bytes;
    uint64_t serial;  // of the offer; 0: own and not offered
    bool own;
  };

  void make(Walk& walk) {
    Held held{0, walk.some_bytes(), 0, true};
    const bool granted = walk.takes(held.bytes, [&] {
      return cuMemAllocFromPoolAsync(&held.address, held.bytes, pools_[self_], nullptr);
    });
    if (!granted) return;
    if (walk.roll(2) == 0) {
      CUmemPoolPtrExportData data{};
      CU_CHECK(cuMemPoolExportPointer(&data, held.address));
      Offer offer{OfferKind::kPoolPointer, self_, 0, held.bytes, {}};
      memcpy(offer.handle.data(), data.reserved, offer.handle.size());
      if (!walk.shared().offers.put(offer, &held.serial)) held.serial = 0;
    }
    held_.emplace(held.address, held);
  }

  void import(Walk& walk, const Offer& offer) {
    const bool has_it = std::any_of(held_.begin(), held_.end(),
                                    [&](const auto& held) { return held.second.serial == offer.serial; });
    if (has_it) return;  // a second import is refused
    Held held{0, offer.bytes, offer.serial, false};
    const bool granted = walk.takes(offer.bytes, [&] {
      CUmemPoolPtrExportData data{};
      memcpy(data.reserved, offer.handle.data(), offer.handle.size());
      const CUresult result = cuMemPoolImportPointer(&held.address, pools_[offer.owner], &data);
      // Its owner may free it at any moment.
      const bool gone = result == CUDA_ERROR_INVALID_VALUE && !walk.in_turn();
      return gone ? CUDA_ERROR_OUT_OF_MEMORY : result;
    });
    if (granted) held_.emplace(held.address, held);
  }

  const size_t self_;
  std::array<CUmemoryPool, kMaxProcesses> pools_{};  // of each process
  std::map<CUdeviceptr, Held> held_;
};

}  // namespace

void add_pool_road(Roads& roads, const Mail& mail) { roads.push_back(std::make_unique<PoolRoad>(mail)); }

}  // namespace walk
