// What a program of driver calls has made so far, and what must be true of it.
//
// Most picks are of something that is there, which is made where it is missing, so that most calls come to
// something. Handles are remembered after they are destroyed, so that stale ones are used too; some picks are
// of another kind's handle, or of no handle at all. Host memory is one buffer that is always there, and
// pinned memory that has not been freed: a bad host pointer is the program's own crash on a card as well.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "cuda/abi.h"
#include "tests/fuzz/driver_calls/bytes.h"

namespace tessera::fuzz {

enum class Kind {
  kContext,
  kStream,
  kEvent,
  kModule,
  kFunction,
  kLibrary,
  kKernel,
  kDevicePointer,   // of all allocating calls but those of virtual memory
  kVirtualPointer,  // reserved, mapped or not
  kPhysical,
  kPool,
  kArray,
  kMipmap,
  kTexture,
  kSurface,
  kGraph,
  kNode,
  kGraphExec,
  kUserObject,
  kCount,
};

constexpr int kDevices = 2;
constexpr size_t kHostBytes = 1 << 20;
constexpr size_t kMostHostBytes = 1 << 16;  // of one copy; offsets are below it too

struct Span {
  CUdeviceptr begin = 0;
  size_t size = 0;
};

class World {
 public:
  explicit World(std::span<const uint8_t> input) : bytes(input) {}

  Bytes bytes;

  // A call and its answer. An answer that CUDA does not have, or that stands for an error of our own, aborts.
  CUresult note(const char* call, CUresult result);
  // Before each call: a context that is current and has not failed, but for a few times.
  void settle();

  template <typename Handle>
  void add(Kind kind, Handle handle) {
    table(kind).living.push_back(std::bit_cast<uint64_t>(wide(handle)));
  }
  // It has been destroyed, as far as the program knows.
  template <typename Handle>
  void gone(Kind kind, Handle handle) {
    bury(kind, wide(handle));
  }
  template <typename Handle>
  Handle get(Kind kind) {
    return narrow<Handle>(pick(kind));
  }
  CUstream stream() { return get<CUstream>(Kind::kStream); }
  const std::vector<uint64_t>& living(Kind kind) { return table(kind).living; }

  CUdevice device();
  size_t size();        // of an allocation: small, middling, rarely absurd
  size_t small_size();  // 0 to kMostHostBytes
  CUdeviceptr device_pointer();
  // Of an allocation or of virtual memory, no more than `most` bytes; rarely anything.
  Span device_span(size_t most);
  // The same where most programs would have so much.
  CUdeviceptr room(size_t size);
  // For calls that take an address of any side, and follow one that the driver does not know as the host's.
  Span known_span();
  std::byte* host();  // kMostHostBytes are there

  // Shadows of allocations. Two that live at the same time must not overlap; none is freed twice.
  void allocated(CUdeviceptr address, size_t size);
  void freed(CUdeviceptr address) {
    live_.erase(address);
    gone(Kind::kDevicePointer, address);
  }
  // A context went, and what it owned with it.
  void freed_unknown();
  std::vector<void*> pinned;
  std::vector<std::byte*> registered;
  std::vector<Span> managed;
  // From then on no copy may name pinned memory: a graph would remember it beyond its end.
  bool captured = false;
  std::vector<CUstream> capturing;

  // Virtual memory. Mappings have access of device 0 where make_mapping() made them.
  std::vector<Span> mappings, reservations;
  std::map<CUmemGenericAllocationHandle, size_t> physical_sizes;

  // Graphs: what is in them, and what they came from.
  int child_graphs = 0;  // each doubles what is there
  std::map<CUgraph, std::vector<CUgraphNode>> nodes;
  std::map<CUgraphExec, CUgraph> instantiated;
  struct GraphAllocation {
    CUgraph in;
    CUgraphNode node;
    CUdeviceptr address;
  };
  std::vector<GraphAllocation> graph_memory;  // that no node frees yet

  // Gives everything back that the program has made.
  void clean_up();

 private:
  struct Table {
    std::vector<uint64_t> living, dead;
  };
  template <typename Handle>
  static uint64_t wide(Handle handle) {
    if constexpr (std::is_pointer_v<Handle>)
      return reinterpret_cast<uintptr_t>(handle);
    else
      return handle;
  }
  template <typename Handle>
  static Handle narrow(uint64_t value) {
    if constexpr (std::is_pointer_v<Handle>)
      return reinterpret_cast<Handle>(static_cast<uintptr_t>(value));
    else
      return static_cast<Handle>(value);
  }
  Table& table(Kind kind) { return tables_[static_cast<size_t>(kind)]; }
  std::vector<uint64_t> all(Kind kind);
  uint64_t pick(Kind kind);
  uint64_t pick_wrong();
  void bury(Kind kind, uint64_t handle);
  void destroy_contexts();
  void destroy_graphs();
  void free_graph_memory();
  void give_memory_back();

  std::array<Table, static_cast<size_t>(Kind::kCount)> tables_;
  std::map<CUdeviceptr, size_t> live_;
};

// One of that kind, as a right program makes it, added to the world unless the driver refuses.
void make(World& world, Kind kind);
// Reserved, mapped, and to be used by device 0.
void make_mapping(World& world);

// The buffer behind World::host().
std::byte* host_buffer();

// Everything that can be called, by area.
using Call = void (*)(World&);
std::span<const Call> context_calls();
std::span<const Call> memory_calls();
std::span<const Call> virtual_calls();
std::span<const Call> copy_calls();
std::span<const Call> code_calls();
std::span<const Call> array_calls();
std::span<const Call> graph_calls();
std::span<const Call> capture_calls();

}  // namespace tessera::fuzz

// CALL(world, cuStreamQuery, stream): its result, noted.
#define CALL(world, function, ...) (world).note(#function, function(__VA_ARGS__))
