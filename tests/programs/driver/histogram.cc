// Shared and global integer atomics, float atomic adds, and a compare-and-swap loop.
#include "driver_check.h"

extern "C" const char histogram_ptx[];

int main() {
  constexpr uint32_t kCount = 200'000, kBins = 64;
  const check::Context context;
  const check::Module module(histogram_ptx);
  const std::vector<uint8_t> bytes = check::random_integers<uint8_t>(kCount, 6);
  const check::DeviceArray<uint8_t> device_bytes(bytes);

  check::DeviceArray<uint32_t> bins(kBins);
  bins.fill(0);
  check::launch(module.function("histogram"), {20}, {128}, nullptr, device_bytes.get(), kCount, bins.get());
  std::vector<uint32_t> want(kBins);
  for (const uint8_t byte : bytes) ++want[byte % kBins];
  check::require_equal(bins.download(), want, "bins");

  // Quarters that add up to less than 2^22: exact in any order.
  constexpr uint32_t kWeighted = 20'000;
  check::DeviceArray<float> by_add(8), by_swap(8);
  by_add.fill(0);
  by_swap.fill(0);
  check::launch(module.function("weighted"), {check::blocks_for(kWeighted, 128)}, {128}, nullptr,
                device_bytes.get(), kWeighted, by_add.get(), by_swap.get());
  std::vector<float> want_weights(8);
  for (uint32_t i = 0; i < kWeighted; ++i) want_weights[bytes[i] % 8] += 0.25f * static_cast<float>(bytes[i]);
  check::require_equal(by_add.download(), want_weights, "weights by atomic add");
  check::require_equal(by_swap.download(), want_weights, "weights by compare and swap");
  return check::pass("%u bytes in %u bins, %u weights both ways: exact", kCount, kBins, kWeighted);
}
