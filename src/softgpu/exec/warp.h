// The state of a warp. All of it is plain data: a block can be stopped and resumed by another thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "softgpu/exec/decoded.h"
#include "softgpu/exec/executor.h"
#include "softgpu/exec/op.h"
#include "softgpu/memory/address_map.h"

namespace tessera::softgpu::exec {

enum class Event : uint8_t { kNone, kReschedule, kBackEdges, kFault };

struct WarpState;
struct BlockState;

// The shared memory of one block.
struct SharedMemory {
  std::byte* memory = nullptr;
  uint32_t bytes = 0;
};

// What handlers touch while they run. They are compiled for several instruction sets, so this has no inline
// functions: the linker could keep the copy that needs AVX-512.
struct Warp {
  Event event = Event::kNone;
  uint32_t running = 0;    // index of the group that runs
  int32_t back_edges = 0;  // taken backward branches left before the scheduler looks again
  uint32_t strong_ops =
      0;  // atomics and volatile accesses so far: a loop without any cannot be waiting for another thread
  uint32_t alive = 0;       // lanes that exist and have not exited
  uint32_t local_base = 0;  // of the running frame, in each lane's local memory
  uint32_t sm_id = 0;

  std::byte* shared = nullptr;
  std::byte* local = nullptr;
  std::byte* parameters = nullptr;
  uint32_t shared_bytes = 0;
  uint32_t local_bytes = 0;   // per lane
  uint32_t local_stride = 0;  // from one lane's local memory to the next
  uint32_t parameter_bytes = 0;
  const SharedMemory* cluster = nullptr;  // of the cluster's blocks, by rank
  uint32_t cluster_blocks = 0;
  uint32_t cluster_rank = 0;
  uint64_t shared_window = 0;
  uint64_t local_window = 0;

  // Ranges of device memory hit lately; valid while the map's generation is `seen_generation`.
  const uint64_t* generation = nullptr;
  uint64_t seen_generation = 0;
  AddressRange ranges[4];

  // Lanes that wait at a .sync instruction leave their values here. While `exchange` is set a handler runs
  // for lanes that have all arrived (exchange_lanes) and takes sources from here instead of from registers.
  bool exchange = false;
  uint32_t exchange_lanes = 0;
  uint64_t parked_values[kWarpSize] = {};
  uint32_t parked_members[kWarpSize] = {};

  FaultKind fault = FaultKind::kTrap;
  uint32_t fault_lane = 0;
  uint32_t fault_line = 0;
  uint32_t fault_bytes = 0;
  uint64_t fault_address = 0;
  const char* fault_what = "";

  WarpState* state = nullptr;
};

enum class GroupState : uint8_t { kRunnable, kAtBarrier, kAtSync, kAtClusterBarrier };

// Lanes that stand at the same instruction of the same frame.
struct Group {
  uint32_t mask = 0;
  uint32_t pc = 0;     // index of the op
  uint32_t frame = 0;  // index into WarpState::frames
  GroupState state = GroupState::kRunnable;
  uint8_t barrier = 0;   // kAtBarrier: which
  bool yielded = false;  // spun without end; others run first
};

struct Frame {
  const DecodedFunction* function = nullptr;
  uint32_t base = 0;   // in the pool
  uint32_t lanes = 0;  // that are in it or will return to it; the frame is free at 0
  uint32_t depth = 0;
  uint32_t parent = 0;
  uint32_t call_pc = 0;  // of the call in the parent
  uint32_t local_base = 0;
  uint32_t stack = 0;  // bytes of local memory that alloca took, behind the function's own
};

struct FreeDeleter {
  void operator()(std::byte* p) const;
};

struct WarpState {
  Warp core;
  BlockState* block = nullptr;
  uint32_t index = 0;  // in the block
  uint32_t lanes = 0;  // that were created
  std::vector<Group> groups;
  std::vector<Frame> frames;
  std::unique_ptr<std::byte[], FreeDeleter> pool;  // 64-byte aligned register frames
  uint32_t pool_bytes = 0;
  uint32_t pool_used = 0;
  std::unique_ptr<std::byte[], FreeDeleter> local;
  uint32_t cluster_phases =
      0;  // bit per lane: the parity of the phase in which it arrived at the cluster's barrier
  uint64_t instructions = 0;
  uint32_t launch_errors[kWarpSize] =
      {};  // cudaGetLastError of each thread; zeroed where a kernel launches kernels
};

struct Barrier {
  uint32_t expected = 0;  // threads; 0 means all of the block
  uint32_t arrived = 0;
  uint32_t arrived_padded = 0;  // counting warps whole
  uint32_t voters = 0;          // that came with a predicate, for bar.red
  uint32_t count = 0;           // of true ones among those
};
constexpr uint32_t kBarriers = 16;

// Blocks that run together and see each other's shared memory.
struct ClusterState {
  std::vector<BlockState*> blocks;   // by rank
  std::vector<SharedMemory> shared;  // by rank
  uint32_t threads = 0;
  uint32_t exited = 0;
  // Of barrier.cluster:
  uint32_t arrived = 0;
  uint32_t phase = 0;
};

struct BlockState {
  const Launch* launch = nullptr;
  const DecodedKernel* kernel = nullptr;
  ClusterState* cluster = nullptr;
  uint32_t rank = 0;  // in the cluster
  Dim3 block;
  uint32_t threads = 0;
  uint32_t exited = 0;
  std::vector<WarpState> warps;
  Barrier barriers[kBarriers];
  uint32_t pending_barriers = 0;  // bit per barrier that somebody has arrived at
  std::vector<std::byte> parameters;
  std::unique_ptr<std::byte[], FreeDeleter> shared;
  uint32_t shared_bytes = 0;
  uint64_t progress = 0;  // barriers passed, phases of barriers in memory completed and warps finished
  Fault fault;
};

// Memory of 64-byte alignment, zeroed.
std::unique_ptr<std::byte[], FreeDeleter> allocate_zeroed(size_t bytes);

}  // namespace tessera::softgpu::exec
