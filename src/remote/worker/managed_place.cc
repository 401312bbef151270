#include "remote/worker/managed_place.h"

#include <algorithm>
#include <vector>

#include "remote/wire/regions.h"

namespace tessera::remote {
namespace {

// What the driver gives where something is taken is held until it has come to others.
class Placing {
 public:
  Placing(const cuda::DriverTable& driver, std::span<const AddressSpan> taken)
      : driver_(driver), taken_(taken) {}
  ~Placing() {
    for (const CUdeviceptr one : held_) (void)driver_.cuMemFree_v2(one);
  }
  Placing(const Placing&) = delete;
  Placing& operator=(const Placing&) = delete;

  CUresult place(uint64_t bytes, unsigned flags, CUdeviceptr* address) {
    for (uint64_t attempt = 0;; ++attempt) {
      if (const CUresult result = driver_.cuMemAllocManaged(address, bytes, flags); result != CUDA_SUCCESS)
        return result;
      const AddressSpan* const there = taken_at(*address, bytes);
      if (there == nullptr || attempt == kMostTakenSpans) return CUDA_SUCCESS;
      held_.push_back(*address);
      fill(*there, bytes, flags);
    }
  }

 private:
  static constexpr uint64_t kMostAtOnce = uint64_t{1} << 30;
  static constexpr size_t kMostHeld = 1024;

  const AddressSpan* taken_at(CUdeviceptr address, uint64_t bytes) const {
    const auto at = std::find_if(taken_.begin(), taken_.end(), [&](const AddressSpan& one) {
      return one.begin < address + bytes && address < one.end;
    });
    return at == taken_.end() ? nullptr : &*at;
  }

  // What the driver has left of these addresses, down to holes that are too small for `least`; as much as the
  // slice has.
  void fill(const AddressSpan& there, uint64_t least, unsigned flags) {
    uint64_t bytes = std::min(there.end - there.begin, kMostAtOnce);
    while (bytes >= least && held_.size() < kMostHeld) {
      CUdeviceptr one = 0;
      const bool is_had = driver_.cuMemAllocManaged(&one, bytes, flags) == CUDA_SUCCESS;
      const bool is_there = is_had && one < there.end && there.begin < one + bytes;
      if (is_there) held_.push_back(one);
      if (is_had && !is_there) (void)driver_.cuMemFree_v2(one);
      if (!is_there) bytes /= 2;
    }
  }

  const cuda::DriverTable& driver_;
  const std::span<const AddressSpan> taken_;
  std::vector<CUdeviceptr> held_;
};

}  // namespace

CUresult place_managed(const cuda::DriverTable& driver, std::span<const AddressSpan> taken, uint64_t bytes,
                       unsigned flags, CUdeviceptr* address) {
  return Placing(driver, taken).place(bytes, flags, address);
}

}  // namespace tessera::remote
