#include "softgpu/exec/frames.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>

#include "softgpu/exec/handlers/runtime.h"

namespace tessera::softgpu::exec {
namespace {

constexpr uint32_t align_up(uint32_t value, uint32_t alignment) {
  return (value + alignment - 1) / alignment * alignment;
}

// Lanes' local memories start on different cache sets.
uint32_t stride_for(uint32_t bytes) { return align_up(bytes, 64) + 64; }

void grow_pool(WarpState& warp, uint32_t needed) {
  if (needed <= warp.pool_bytes) return;
  const uint32_t bytes = std::max(needed, warp.pool_bytes * 2);
  auto pool = allocate_zeroed(bytes);
  if (warp.pool_used != 0) std::memcpy(pool.get(), warp.pool.get(), warp.pool_used);
  warp.pool = std::move(pool);
  warp.pool_bytes = bytes;
}

void grow_local(WarpState& warp, uint32_t needed) {
  Warp& core = warp.core;
  if (needed <= core.local_bytes) return;
  const uint32_t bytes = std::max(needed, core.local_bytes * 2);
  const uint32_t stride = stride_for(bytes);
  auto local = allocate_zeroed(size_t{stride} * kWarpSize);
  for (uint32_t lane = 0; lane < kWarpSize && core.local_bytes != 0; ++lane) {
    std::memcpy(local.get() + size_t{lane} * stride, core.local + size_t{lane} * core.local_stride,
                core.local_bytes);
  }
  warp.local = std::move(local);
  core.local = warp.local.get();
  core.local_bytes = bytes;
  core.local_stride = stride;
}

template <class T>
void broadcast(std::byte* slot, T value) {
  T* lanes = reinterpret_cast<T*>(slot);
  std::fill(lanes, lanes + kWarpSize, value);
}

void write_uniform(std::byte* slot, uint8_t width, uint64_t value) {
  if (width == 2) {
    broadcast(slot, static_cast<uint16_t>(value));
  } else if (width == 4) {
    broadcast(slot, static_cast<uint32_t>(value));
  } else {
    broadcast(slot, value);
  }
}

uint64_t parameter_value(const BlockState& block, const Environment& environment) {
  uint64_t value = 0;
  std::memcpy(&value, block.parameters.data() + environment.parameter_offset, environment.size);
  const uint32_t unused = 64 - environment.size * 8u;
  if (environment.sign_extend) value = static_cast<uint64_t>(static_cast<int64_t>(value << unused) >> unused);
  return value;
}

uint32_t user_shared_bytes(const BlockState& block) {
  return block.kernel->dynamic_shared_offset + block.launch->dynamic_shared_bytes;
}

uint64_t uniform_value(const WarpState& warp, const Environment& environment) {
  const BlockState& block = *warp.block;
  const Launch& launch = *block.launch;
  switch (environment.special) {
    case Special::kNtidX:
      return launch.block.x;
    case Special::kNtidY:
      return launch.block.y;
    case Special::kNtidZ:
      return launch.block.z;
    case Special::kCtaidX:
      return block.block.x;
    case Special::kCtaidY:
      return block.block.y;
    case Special::kCtaidZ:
      return block.block.z;
    case Special::kNctaidX:
      return launch.grid.x;
    case Special::kNctaidY:
      return launch.grid.y;
    case Special::kNctaidZ:
      return launch.grid.z;
    case Special::kClusteridX:
      return block.block.x / launch.cluster.x;
    case Special::kClusteridY:
      return block.block.y / launch.cluster.y;
    case Special::kClusteridZ:
      return block.block.z / launch.cluster.z;
    case Special::kNclusteridX:
      return launch.grid.x / launch.cluster.x;
    case Special::kNclusteridY:
      return launch.grid.y / launch.cluster.y;
    case Special::kNclusteridZ:
      return launch.grid.z / launch.cluster.z;
    case Special::kClusterCtaidX:
      return block.block.x % launch.cluster.x;
    case Special::kClusterCtaidY:
      return block.block.y % launch.cluster.y;
    case Special::kClusterCtaidZ:
      return block.block.z % launch.cluster.z;
    case Special::kClusterNctaidX:
      return launch.cluster.x;
    case Special::kClusterNctaidY:
      return launch.cluster.y;
    case Special::kClusterNctaidZ:
      return launch.cluster.z;
    case Special::kClusterRank:
      return block.rank;
    case Special::kClusterBlocks:
      return block.cluster->blocks.size();
    case Special::kExplicitCluster:
      return launch.explicit_cluster ? 1 : 0;
    case Special::kWarpId:
      return warp.index;
    case Special::kNwarpId:
      return block.warps.size();
    case Special::kNsmid:
      return launch.sm_count;
    case Special::kGridId:
      return launch.grid_id;
    case Special::kDynamicSmem:
      return launch.dynamic_shared_bytes;
    case Special::kTotalSmem:
      return user_shared_bytes(block);
    case Special::kAggregateSmem:
      return block.shared_bytes;
    case Special::kReservedBegin:
      return block.shared_bytes - kReservedSharedBytes;
    case Special::kReservedMiddle:
      return block.shared_bytes - kReservedSharedBytes / 2;
    case Special::kReservedEnd:
      return block.shared_bytes;
    case Special::kGridWorkspaceHigh:
      return launch.grid_workspace >> 32;
    case Special::kGridWorkspaceLow:
      return launch.grid_workspace & 0xffffffff;
    case Special::kParameterBase:
      return reinterpret_cast<uintptr_t>(block.parameters.data());
    case Special::kParameter:
      return parameter_value(block, environment);
    case Special::kOne:
      return 1;
    default:
      return 0;
  }
}

uint32_t lane_value(const WarpState& warp, Special special, uint32_t lane) {
  const Dim3& size = warp.block->launch->block;
  const uint32_t thread = warp.index * kWarpSize + lane;
  switch (special) {
    case Special::kTidX:
      return thread % size.x;
    case Special::kTidY:
      return thread / size.x % size.y;
    case Special::kTidZ:
      return thread / (size.x * size.y);
    case Special::kLanemaskEq:
      return 1u << lane;
    case Special::kLanemaskLt:
      return (1u << lane) - 1;
    case Special::kLanemaskLe:
      return (1u << lane) | ((1u << lane) - 1);
    case Special::kLanemaskGe:
      return ~((1u << lane) - 1);
    case Special::kLanemaskGt:
      return ~((1u << lane) | ((1u << lane) - 1));
    default:
      return lane;
  }
}

bool varies_by_lane(Special special) {
  switch (special) {
    case Special::kTidX:
    case Special::kTidY:
    case Special::kTidZ:
    case Special::kLaneId:
    case Special::kLanemaskEq:
    case Special::kLanemaskLe:
    case Special::kLanemaskLt:
    case Special::kLanemaskGe:
    case Special::kLanemaskGt:
      return true;
    default:
      return false;
  }
}

bool varies_by_block(Special special) {
  switch (special) {
    case Special::kCtaidX:
    case Special::kCtaidY:
    case Special::kCtaidZ:
    case Special::kClusteridX:
    case Special::kClusteridY:
    case Special::kClusteridZ:
      return true;
    default:  // also a block's place in its cluster: it runs the blocks of that place
      return false;
  }
}

void fill_environment(const WarpState& warp, const DecodedFunction& function, std::byte* frame,
                      bool only_block) {
  for (const Environment& environment : function.environment) {
    if (only_block && !varies_by_block(environment.special)) continue;
    std::byte* slot = frame + environment.slot;
    if (!varies_by_lane(environment.special)) {
      write_uniform(slot, environment.width, uniform_value(warp, environment));
      continue;
    }
    auto* lanes = reinterpret_cast<uint32_t*>(slot);
    for (uint32_t lane = 0; lane < kWarpSize; ++lane)
      lanes[lane] = lane_value(warp, environment.special, lane);
  }
}

void place_frame(WarpState& warp, const Frame& frame) {
  std::byte* base = warp.pool.get() + frame.base;
  const DecodedFunction& function = *frame.function;
  if (!function.constants.empty()) std::memcpy(base, function.constants.data(), function.constants.size());
  fill_environment(warp, function, base, false);
}

}  // namespace

void FreeDeleter::operator()(std::byte* p) const { std::free(p); }

std::unique_ptr<std::byte[], FreeDeleter> allocate_zeroed(size_t bytes) {
  const size_t rounded = (bytes + 63) / 64 * 64;
  auto* p = static_cast<std::byte*>(std::aligned_alloc(64, std::max<size_t>(rounded, 64)));
  if (p == nullptr) throw std::bad_alloc();
  std::memset(p, 0, std::max<size_t>(rounded, 64));
  return std::unique_ptr<std::byte[], FreeDeleter>(p);
}

void push_entry_frame(WarpState& warp, const DecodedFunction& function) {
  Frame frame;
  frame.function = &function;
  frame.lanes = warp.lanes;
  warp.frames.assign(1, frame);
  grow_pool(warp, align_up(function.frame_bytes, 64));
  warp.pool_used = align_up(function.frame_bytes, 64);
  grow_local(warp, function.local_bytes);
  place_frame(warp, frame);
}

void refresh_entry_frame(WarpState& warp) {
  Frame& frame = warp.frames[0];
  frame.lanes = warp.lanes;
  frame.stack = 0;
  warp.frames.resize(1);
  warp.pool_used = align_up(frame.function->frame_bytes, 64);
  fill_environment(warp, *frame.function, warp.pool.get(), true);
}

bool push_frame(WarpState& warp, const DecodedFunction& function, uint32_t mask, uint32_t parent,
                uint32_t call_pc, uint32_t* index) {
  const Frame& caller = warp.frames[parent];
  const uint32_t bytes = align_up(function.frame_bytes, 64);
  Frame frame;
  frame.function = &function;
  frame.lanes = mask;
  frame.depth = caller.depth + 1;
  frame.parent = parent;
  frame.call_pc = call_pc;
  frame.base = warp.pool_used;
  frame.local_base = caller.local_base + caller.function->local_bytes + align_up(caller.stack, 16);
  // Registers that a call saves live on the thread's stack too.
  const uint64_t saved = (uint64_t{warp.pool_used} + bytes) / kWarpSize;
  if (uint64_t{frame.local_base} + function.local_bytes + saved >
      std::min<uint64_t>(warp.block->launch->local_limit_bytes, kLocalWindowSize))
    return false;
  grow_pool(warp, warp.pool_used + bytes);
  grow_local(warp, frame.local_base + function.local_bytes);
  warp.pool_used += bytes;
  place_frame(warp, frame);
  *index = static_cast<uint32_t>(warp.frames.size());
  warp.frames.push_back(frame);
  return true;
}

bool extend_frame(WarpState& warp, uint32_t index, uint64_t bytes, uint32_t alignment, uint32_t* address) {
  Frame& frame = warp.frames[index];
  const uint32_t base = frame.local_base + frame.function->local_bytes;
  const uint64_t limit = std::min<uint64_t>(warp.block->launch->local_limit_bytes, kLocalWindowSize);
  const uint64_t start = (uint64_t{base} + frame.stack + alignment - 1) / alignment * alignment;
  if (bytes > limit || start + bytes > limit) return false;
  grow_local(warp, static_cast<uint32_t>(start + bytes));
  frame.stack = static_cast<uint32_t>(start + bytes) - base;
  *address = static_cast<uint32_t>(start);
  return true;
}

void leave_frame(WarpState& warp, uint32_t index, uint32_t mask) {
  warp.frames[index].lanes &= ~mask;
  while (warp.frames.size() > 1 && warp.frames.back().lanes == 0) {
    warp.pool_used = warp.frames.back().base;
    warp.frames.pop_back();
  }
}

void copy_parameters(std::byte* to, const std::byte* from, uint32_t bytes, uint32_t mask) {
  for (uint32_t row = 0; row < (bytes + 3) / 4; ++row) {
    auto* target = reinterpret_cast<uint32_t*>(to) + size_t{row} * kWarpSize;
    const auto* source = reinterpret_cast<const uint32_t*>(from) + size_t{row} * kWarpSize;
    for (uint32_t lane = 0; lane < kWarpSize; ++lane)
      target[lane] = (mask >> lane & 1) != 0 ? source[lane] : target[lane];
  }
}

bool cache_range(Warp& core, uint64_t address, uint64_t bytes, bool write) {
  const AddressRange range = core.state->block->launch->memory->reach(address, bytes, write);
  if (range.end == 0) return false;
  for (size_t i = 3; i > 0; --i) core.ranges[i] = core.ranges[i - 1];
  core.ranges[0] = range;
  return true;
}

const std::byte* readable(WarpState& warp, uint32_t lane, uint64_t address, uint64_t size) {
  const Warp& core = warp.core;
  const uint64_t in_shared = address - core.shared_window;
  const uint64_t in_local = address - core.local_window;
  if (in_shared < kClusterWindowSize) {
    const uint64_t owner = in_shared / kSharedWindowSize, offset = in_shared % kSharedWindowSize;
    if (owner > core.cluster_blocks) return nullptr;
    const SharedMemory& shared = core.cluster[owner == 0 ? core.cluster_rank : owner - 1];
    return offset <= shared.bytes && size <= shared.bytes - offset ? shared.memory + offset : nullptr;
  }
  if (in_local < kLocalWindowSize) {
    const bool fits = in_local <= core.local_bytes && size <= core.local_bytes - in_local;
    return fits ? core.local + size_t{lane} * core.local_stride + in_local : nullptr;
  }
  const AddressRange range = warp.block->launch->memory->find(address);
  return range.contains(address, size) ? reinterpret_cast<const std::byte*>(static_cast<uintptr_t>(address))
                                       : nullptr;
}

}  // namespace tessera::softgpu::exec
