// Running kernels: the seam between the driver (streams, slots, memory) and the execution of decoded PTX.
//
//   ptx::Module ──link──▶ Program (symbols placed in memory) ──decode, lazily per kernel──▶ Kernel ──▶
//   BlockRun
//
// The driver decides which blocks run where and when; a BlockRun executes one block, stops when asked, and
// keeps all its state in plain data, so that it can be resumed later, on another thread. A JIT would come in
// behind Kernel.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/status.h"
#include "softgpu/memory/address_map.h"
#include "softgpu/ptx/ast.h"

namespace tessera::softgpu::exec {

struct Dim3 {
  uint32_t x = 1, y = 1, z = 1;
  uint64_t count() const { return uint64_t{x} * y * z; }
};

// Generic addresses of shared and local memory: windows of the process's address space that are reserved
// (PROT_NONE) once, so that no allocation can ever coincide with them. Device and host addresses are
// themselves.
//
// The first 16 MiB of the shared window are the block's own shared memory. The 16 MiB above it are that of
// the block of rank 0 of its cluster, and so on: an address of .shared::cluster says whose memory it means.
constexpr uint64_t kSharedWindowSize = 16u << 20;
constexpr uint32_t kMaxClusterBlocks = 16;
constexpr uint64_t kClusterWindowSize = kSharedWindowSize * (1 + kMaxClusterBlocks);
constexpr uint64_t kLocalWindowSize = 16u << 20;
struct Windows {
  uint64_t shared_base = 0;
  uint64_t local_base = 0;
};
// The windows of this process; reserved at the first call.
const Windows& windows();

// Where module variables live. The driver implements it over its allocator.
class VariableMemory {
 public:
  virtual ~VariableMemory() = default;
  // Device memory for a .global or .const variable; zeroed. kResourceExhausted when the device is full.
  virtual Result<uint64_t> allocate(uint64_t size, uint32_t align, bool managed) = 0;
  // The number by which kernels name a texture or surface reference of the module, in texture_table.h.
  virtual uint64_t refer(const std::string& name, bool surface) = 0;
};

struct Parameter {
  uint32_t offset = 0, size = 0;  // in the parameter buffer
};

// What a kernel needs, known without running it.
struct KernelInfo {
  std::string name;
  std::vector<Parameter> parameters;
  uint32_t parameter_bytes = 0;
  uint32_t static_shared_bytes = 0;
  uint32_t local_bytes_per_thread = 0;
  uint32_t registers_per_thread =
      0;  // 32-bit registers a hardware compiler would need, estimated from live ranges, 16..255
  uint32_t max_threads_per_block = 1024;
  uint32_t required_block[3] = {0, 0, 0};    // .reqntid
  uint32_t required_cluster[3] = {0, 0, 0};  // .reqnctapercluster
  uint32_t max_cluster_blocks = 0;           // .maxclusterrank; 0: no limit of the kernel's own
  bool explicit_cluster = false;             // .explicitcluster: launched with a size for its clusters
  uint32_t min_ctas_per_sm = 0;
  uint32_t ptx_version = 0, binary_version = 0;  // 75 for sm_75
  bool uses_heap = false;                        // calls malloc or free
  bool launches_grids = false;                   // calls the device runtime's launches
};

class Program;

class Kernel {
 public:
  virtual ~Kernel() = default;
  virtual const KernelInfo& info() const = 0;
  // The kernel of the same program that a pointer in device code names; kInvalidArgument where it names none.
  virtual Result<std::shared_ptr<const Kernel>> kernel_at(uint64_t pointer) const = 0;
};

struct Symbol {
  std::string name;
  uint64_t address = 0;
  uint64_t size = 0;
  bool managed = false;
  ptx::Space space = ptx::Space::kGlobal;
};

class Program {
 public:
  // Places variables, applies initial values and relocations. Functions are decoded at first use.
  // extern symbols that nothing defines are kInvalidData naming them (device-side builtins excepted).
  static Result<std::shared_ptr<Program>> link(ptx::Module module, VariableMemory& memory);
  virtual ~Program() = default;

  virtual std::vector<std::string> kernel_names() const = 0;
  // kNotFound; kUnsupported naming the instruction where the kernel uses something that is not built.
  virtual Result<std::shared_ptr<const Kernel>> kernel(const std::string& name) = 0;
  virtual const std::vector<Symbol>& symbols() const = 0;  // .global and .const variables
};

enum class FaultKind : uint8_t {
  kIllegalAddress,       // CUDA_ERROR_ILLEGAL_ADDRESS (700)
  kMisalignedAddress,    // 716
  kInvalidAddressSpace,  // 717
  kInvalidPc,            // 718
  kIllegalInstruction,   // 715
  kTrap,                 // 719, launch failed
  kAssert,               // 710
  kStackOverflow,        // 719 on hardware: local memory or call stack exhausted
};
struct Fault {
  FaultKind kind = FaultKind::kTrap;
  uint64_t address = 0;
  Dim3 block{0, 0, 0}, thread{0, 0, 0};
  std::string detail;  // for the log: kernel, PTX line, what was touched
};

// What the device-side runtime of one launch needs from outside.
struct DeviceServices {
  // Text of one printf call, already formatted. Order across threads is the order of calls within a warp.
  std::function<void(std::string)> print;
  // Text of a failed assert: "file:line: function: block: [x,y,z], thread: [x,y,z] Assertion `…` failed."
  std::function<void(std::string)> assert_failed;
  // The device heap: an address, or 0 where it is exhausted.
  std::function<uint64_t(uint64_t bytes)> heap_allocate;
  // False where no allocation of the heap begins at `address`.
  std::function<bool(uint64_t address)> heap_free;
};

// Launches from kernels: the CUDA device runtime, as the driver implements it for each grid. Results are
// values of cudaError_t. Called from the threads that run blocks of the grid.
class GridRuntime {
 public:
  virtual ~GridRuntime() = default;
  // Where a kernel writes its child's parameters. Here the launch is checked.
  virtual uint32_t parameter_buffer(uint64_t function, const Dim3& grid, const Dim3& block,
                                    uint32_t dynamic_shared_bytes, uint64_t* buffer) = 0;
  // Takes a buffer of parameter_buffer. `thread_block` is the number of the launching block: the stream 0 is
  // one for each.
  virtual uint32_t launch(uint64_t buffer, uint64_t stream, uint64_t thread_block) = 0;
  virtual uint32_t copy(uint64_t to, uint64_t from, uint64_t bytes, uint64_t stream,
                        uint64_t thread_block) = 0;
  virtual uint32_t fill(uint64_t to, uint8_t value, uint64_t bytes, uint64_t stream,
                        uint64_t thread_block) = 0;
  virtual uint32_t create_stream(uint32_t flags, uint64_t* stream) = 0;
  virtual uint32_t destroy_stream(uint64_t stream) = 0;
  virtual uint32_t attribute(int32_t attribute, int32_t device, int32_t* value) = 0;
  virtual int32_t device() = 0;
  virtual int32_t runtime_version() = 0;
};

struct Launch {
  std::shared_ptr<const Kernel> kernel;
  Dim3 grid, block;               // the grid in blocks, a multiple of the cluster
  Dim3 cluster;                   // in blocks, kMaxClusterBlocks at most
  bool explicit_cluster = false;  // the program asked for clusters
  uint32_t dynamic_shared_bytes = 0;
  std::vector<std::byte> parameters;  // parameter_bytes long
  const AddressMap* memory = nullptr;
  const DeviceServices* services = nullptr;
  GridRuntime* runtime = nullptr;  // null: kernels cannot launch kernels
  // Of a cooperative launch: zeroed memory in which its blocks meet (cooperative groups find it in %envreg1
  // and %envreg2); 0 for others.
  uint64_t grid_workspace = 0;
  uint64_t grid_id = 0;
  uint32_t sm_count = 1;                    // %nsmid
  uint32_t local_limit_bytes = 512u << 10;  // per thread: CU_LIMIT_STACK_SIZE and locals together
};

enum class Outcome : uint8_t {
  kFinished,   // every thread has exited
  kPreempted,  // the stop flag was seen; run() again resumes
  kSpinning,   // every warp used its quantum at a back-edge without finishing: another block should get its
               // turn
  kFaulted,    // see fault(); the block is dead
};

// One cluster of a launch, a single block where it has none; runnable and resumable. Not thread-safe: one
// thread runs it at a time, turning its blocks round.
class BlockRun {
 public:
  // `block` is the index in the grid of its first block; `launch` must outlive the run.
  static std::unique_ptr<BlockRun> create(const Launch& launch, Dim3 block);
  virtual ~BlockRun() = default;
  // Reuses the buffers for another cluster of the same launch.
  virtual void reset(Dim3 block) = 0;
  // Runs until finished or until `stop` is seen set (checked at barriers and back-edges at least). sm_id is
  // %smid.
  virtual Outcome run(const std::atomic<bool>& stop, uint32_t sm_id) = 0;
  virtual const Fault& fault() const = 0;
  // Instructions executed by warps, since create.
  virtual uint64_t warp_instructions() const = 0;
};

}  // namespace tessera::softgpu::exec
