// How many blocks of a kernel an SM holds at once: a pure calculation from a model and a kernel's needs.
#pragma once

#include <cstdint>
#include <functional>

#include "softgpu/device/model.h"

namespace tessera::softgpu {

struct BlockNeeds {
  uint32_t threads = 0;
  uint32_t registers_per_thread = 0;
  uint32_t static_shared_bytes = 0;
  uint32_t dynamic_shared_bytes = 0;
};

// 0 where not even one block fits.
uint32_t resident_blocks(const DeviceModel& model, const BlockNeeds& needs);

struct BlockChoice {
  uint32_t threads = 0;
  uint32_t blocks_per_sm = 0;
};

// The block size, at most `limit`, with the most resident threads; the largest of several. `dynamic_shared`
// tells the dynamic shared memory of a block of that size.
BlockChoice best_block_size(const DeviceModel& model, BlockNeeds needs, uint32_t limit,
                            const std::function<uint64_t(uint32_t threads)>& dynamic_shared);

// The most dynamic shared memory a block may take so that `blocks` of them are resident; 0 where they are not
// in any case.
uint32_t available_dynamic_shared(const DeviceModel& model, const BlockNeeds& needs, uint32_t blocks);

}  // namespace tessera::softgpu
