#include "softgpu/device/occupancy.h"

#include <algorithm>
#include <limits>

namespace tessera::softgpu {
namespace {

// The rules are those of NVIDIA's occupancy calculator for compute capability 7.5 to 9.0: an SM has four
// partitions with a quarter of the registers each, a warp lives in one of them, and registers are given to a
// warp 256 at a time.
constexpr uint32_t kWarp = 32;
constexpr uint32_t kPartitions = 4;
constexpr uint32_t kRegisterUnit = 256;
constexpr uint32_t kMaxRegistersPerThread = 255;
constexpr uint32_t kMaxThreadsPerBlock = 1024;
constexpr uint32_t kUnlimited = std::numeric_limits<uint32_t>::max();

constexpr uint32_t round_up(uint32_t value, uint32_t unit) { return (value + unit - 1) / unit * unit; }

uint32_t limit_by_registers(const DeviceModel& model, uint32_t warps, uint32_t registers_per_thread) {
  if (registers_per_thread == 0) return kUnlimited;
  if (registers_per_thread > kMaxRegistersPerThread) return 0;
  const uint32_t per_warp = round_up(registers_per_thread * kWarp, kRegisterUnit);
  if (per_warp * round_up(warps, kPartitions) > model.registers_per_sm) return 0;
  return model.registers_per_sm / kPartitions / per_warp * kPartitions / warps;
}

uint32_t limit_by_shared(const DeviceModel& model, const BlockNeeds& needs) {
  const uint64_t asked = uint64_t{needs.static_shared_bytes} + needs.dynamic_shared_bytes;
  if (asked > model.shared_per_block_optin) return 0;
  const auto taken =
      round_up(static_cast<uint32_t>(asked) + model.shared_reserved_per_block, model.shared_granularity);
  return taken == 0 ? kUnlimited : model.shared_per_sm / taken;
}

}  // namespace

uint32_t resident_blocks(const DeviceModel& model, const BlockNeeds& needs) {
  if (needs.threads == 0 || needs.threads > kMaxThreadsPerBlock) return 0;
  const uint32_t warps = round_up(needs.threads, kWarp) / kWarp;
  return std::min({model.blocks_per_sm, model.threads_per_sm / kWarp / warps,
                   limit_by_registers(model, warps, needs.registers_per_thread),
                   limit_by_shared(model, needs)});
}

BlockChoice best_block_size(const DeviceModel& model, BlockNeeds needs, uint32_t limit,
                            const std::function<uint64_t(uint32_t threads)>& dynamic_shared) {
  BlockChoice best;
  uint32_t most_threads = 0;
  limit = std::min(limit, kMaxThreadsPerBlock);
  for (uint32_t whole_warps = round_up(limit, kWarp); whole_warps > 0; whole_warps -= kWarp) {
    needs.threads = std::min(whole_warps, limit);
    const uint64_t dynamic = dynamic_shared(needs.threads);
    if (dynamic > model.shared_per_block_optin) continue;
    needs.dynamic_shared_bytes = static_cast<uint32_t>(dynamic);
    const uint32_t blocks = resident_blocks(model, needs);
    if (blocks * needs.threads > most_threads) {
      most_threads = blocks * needs.threads;
      best = {needs.threads, blocks};
    }
    if (most_threads == model.threads_per_sm) break;
  }
  return best;
}

uint32_t available_dynamic_shared(const DeviceModel& model, const BlockNeeds& needs, uint32_t blocks) {
  BlockNeeds without = needs;
  without.dynamic_shared_bytes = 0;
  if (blocks == 0 || resident_blocks(model, without) < blocks) return 0;
  const uint32_t share = model.shared_per_sm / blocks / model.shared_granularity * model.shared_granularity;
  const uint32_t usable = std::min(share - model.shared_reserved_per_block, model.shared_per_block_optin);
  return usable - needs.static_shared_bytes;
}

}  // namespace tessera::softgpu
