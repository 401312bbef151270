// Memory that graphs allocate: addresses that are fixed when the node is made, with memory behind them from
// the first launch on.
//
// What a launch frees stays behind its addresses for the next launch, and what a destroyed graph leaves is
// kept for nodes of other graphs, as CUDA has it; cuDeviceGraphMemTrim gives back what is not in use.
// Whether memory is allocated is known in the order of calls, not of execution: that is what CUDA's rules
// about launches and frees are about.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "cuda/abi.h"
#include "softgpu/driver/op.h"
#include "softgpu/memory/reserved_addresses.h"

namespace tessera::softgpu {

class Device;
class NodeWork;
class Stream;

// The addresses of one allocation node, or of several of one graph that follow each other.
class GraphBlock {
 public:
  GraphBlock(Device& device, ReservedAddresses addresses, uint64_t size, std::vector<CUmemAccessDesc> access)
      : device_(device),
        addresses_(std::move(addresses)),
        access_(std::move(access)),
        size_(size),
        wanted_(size) {}
  Device& device() const { return device_; }
  uint64_t begin() const { return addresses_.begin(); }
  // With graph_mutex() held, or under the mutex of GraphMemory.
  uint64_t size() const { return size_; }
  const std::vector<CUmemAccessDesc>& access() const { return access_; }  // of other devices

 private:
  friend class GraphMemory;
  Device& device_;
  const ReservedAddresses addresses_;
  const std::vector<CUmemAccessDesc> access_;
  // The rest is under the mutex of GraphMemory.
  uint64_t size_;         // of the memory behind it
  uint64_t wanted_;       // by its largest node; a kept block may have more, until that is given back
  unsigned holders_ = 0;  // nodes, also of executable graphs
  bool backed_ = false;
  bool live_ = false;                   // allocated by a launch and not freed since
  OpRef last_use_;                      // launches and frees up to now
  CUgraph owner_ = nullptr;             // where its allocation nodes are; no other ever has that handle
  const NodeWork* freed_by_ = nullptr;  // the owner's node that frees what the newest of them allocates
  unsigned freed_elsewhere_ = 0;        // nodes of other graphs that free it
};
using GraphBlockRef = std::shared_ptr<GraphBlock>;

class GraphMemory {
 public:
  // What the nodes of one launch do, in their order.
  struct Step {
    GraphBlockRef block;
    bool allocates;
  };

  // Of this process.
  static GraphMemory& instance();

  // A block for a node of `owner`: a kept one that no graph uses any more, or new addresses.
  // CUDA_ERROR_OUT_OF_MEMORY where the process has none left.
  CUresult take(CUgraph owner, Device& device, uint64_t size, std::vector<CUmemAccessDesc> access,
                GraphBlockRef* block);
  // Nodes that stand for it come and go.
  void hold(GraphBlock& block);
  void let_go(GraphBlock& block);

  // The block in use that begins there, null where there is none.
  GraphBlockRef find(uint64_t address) const;
  // Whether the addresses belong to a block that is in use, with memory or without.
  bool covers(uint64_t begin, uint64_t size) const;
  bool contains(uint64_t address) const;

  // `node`, in `graph`, will free it. CUDA_ERROR_INVALID_VALUE where another node does so already.
  CUresult add_free(GraphBlock& block, CUgraph graph, const NodeWork& node);
  void remove_free(GraphBlock& block, CUgraph graph, const NodeWork& node);
  bool owned_by(const GraphBlock& block, CUgraph graph) const;
  // Whether `node` frees what the newest allocation node of the block allocates, so that another may follow.
  bool freed_by(const GraphBlock& block, const NodeWork& node) const;
  // Another allocation node of the owner, of that size, stands for it now.
  void reuse(GraphBlock& block, uint64_t size);

  // Before a launch, with graph_mutex() held: whether it may be, and memory behind all of it. `*after`: what
  // it has to come after. CUDA_ERROR_INVALID_VALUE, CUDA_ERROR_OUT_OF_MEMORY; nothing has changed then.
  CUresult prepare(std::span<const Step> steps, bool free_before, std::vector<OpRef>* after);
  void launched(std::span<const Step> steps, const OpRef& last);
  // Memory behind all of it, as launches need it.
  CUresult back(std::span<const Step> steps);

  // cuMemFreeAsync and cuMemFree of what a launch has allocated. CUDA_ERROR_INVALID_VALUE where it is not
  // allocated, or its own graph frees it.
  CUresult free_in_order(Stream& stream, uint64_t address);
  CUresult free_now(uint64_t address);

  // With graph_mutex() held.
  void trim(const Device& device);
  CUresult get_attribute(const Device& device, CUgraphMem_attribute attribute, uint64_t* value) const;
  // High-water marks, to 0.
  CUresult set_attribute(const Device& device, CUgraphMem_attribute attribute, uint64_t value);

 private:
  struct Totals {
    uint64_t used = 0, used_high = 0, reserved = 0, reserved_high = 0;
  };
  static bool in_use(const GraphBlock& block) { return block.holders_ != 0 || block.live_; }
  static bool idle(const GraphBlock& block) { return !block.last_use_ || block.last_use_->done(); }
  GraphBlockRef find_locked(uint64_t address) const;
  CUresult check_order_locked(std::span<const Step> steps, bool free_before) const;
  CUresult back_locked(std::span<const Step> steps);
  CUresult back_one_locked(GraphBlock& block);
  void unback_locked(GraphBlock& block);
  void trim_locked(const Device& device, std::span<const Step> except);
  CUresult free_locked(uint64_t address, OpRef last_use);
  void measure_locked();

  mutable std::mutex mutex_;
  std::map<uint64_t, GraphBlockRef> blocks_;  // by where they begin
  std::map<int, Totals> totals_;              // by the device's ordinal
};

}  // namespace tessera::softgpu
