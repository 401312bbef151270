#include "softgpu/driver/graph/graph_memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <cassert>
#include <cstring>
#include <unordered_map>

#include "common/log.h"
#include "softgpu/driver/device.h"
#include "softgpu/driver/device_memory.h"
#include "softgpu/driver/state.h"
#include "softgpu/driver/stream.h"
#include "softgpu/driver/visibility.h"

namespace tessera::softgpu {
namespace {

constexpr uint64_t kPageBytes = 4096;
constexpr uint64_t kUnit = 512;  // what memory is charged in

uint64_t rounded(uint64_t size, uint64_t unit) { return (size + unit - 1) / unit * unit; }
uint64_t charged(const GraphBlock& block) { return rounded(block.size(), kUnit); }

bool same_access(const std::vector<CUmemAccessDesc>& a, const std::vector<CUmemAccessDesc>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& x, const auto& y) {
    return x.location.id == y.location.id && x.flags == y.flags;
  });
}

// One that is much larger than what is asked for would waste memory.
bool fits(uint64_t block, uint64_t size) { return block >= size && block / 2 <= std::max(size, kUnit); }

Allocation describe(const GraphBlock& block) {
  Allocation allocation;
  allocation.begin = allocation.range_begin = block.begin();
  allocation.size = allocation.range_size = block.size();
  allocation.kind = MemoryKind::kGraph;
  allocation.device = block.device().ordinal();
  return allocation;
}

}  // namespace

GraphMemory& GraphMemory::instance() {
  static auto* made = new GraphMemory();
  return *made;
}

CUresult GraphMemory::take(CUgraph owner, Device& device, uint64_t size, std::vector<CUmemAccessDesc> access,
                           GraphBlockRef* block) {
  std::lock_guard lock(mutex_);
  for (const auto& [begin, kept] : blocks_) {
    if (in_use(*kept) || &kept->device() != &device || !fits(kept->size(), size)) continue;
    if (!same_access(kept->access(), access)) continue;
    kept->owner_ = owner;
    kept->freed_by_ = nullptr;
    kept->wanted_ = size;
    *block = kept;
    return CUDA_SUCCESS;
  }
  if (size > UINT64_MAX - kPageBytes) return CUDA_ERROR_OUT_OF_MEMORY;
  auto addresses = ReservedAddresses::take(rounded(size, kPageBytes), kPageBytes);
  if (!addresses.ok()) {
    LOG_INFO("graph", "%s", addresses.status().message().c_str());
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  *block = std::make_shared<GraphBlock>(device, std::move(addresses).value(), size, std::move(access));
  (*block)->owner_ = owner;
  blocks_.emplace((*block)->begin(), *block);
  return CUDA_SUCCESS;
}

void GraphMemory::hold(GraphBlock& block) {
  std::lock_guard lock(mutex_);
  ++block.holders_;
  measure_locked();
}

void GraphMemory::let_go(GraphBlock& block) {
  GraphBlockRef unmapped;  // outside the lock
  std::lock_guard lock(mutex_);
  --block.holders_;
  measure_locked();
  if (in_use(block) || block.backed_) return;
  const auto found = blocks_.find(block.begin());
  unmapped = std::move(found->second);
  blocks_.erase(found);
}

GraphBlockRef GraphMemory::find_locked(uint64_t address) const {
  const auto found = blocks_.find(address);
  return found != blocks_.end() && in_use(*found->second) ? found->second : nullptr;
}

GraphBlockRef GraphMemory::find(uint64_t address) const {
  std::lock_guard lock(mutex_);
  return find_locked(address);
}

bool GraphMemory::covers(uint64_t begin, uint64_t size) const {
  std::lock_guard lock(mutex_);
  auto after = blocks_.upper_bound(begin);
  if (after == blocks_.begin()) return false;
  const GraphBlock& block = *std::prev(after)->second;
  const uint64_t offset = begin - block.begin();
  return in_use(block) && offset < block.size() && size <= block.size() - offset;
}

bool GraphMemory::contains(uint64_t address) const {
  std::lock_guard lock(mutex_);
  auto after = blocks_.upper_bound(address);
  return after != blocks_.begin() && std::prev(after)->second->addresses_.contains(address);
}

CUresult GraphMemory::add_free(GraphBlock& block, CUgraph graph, const NodeWork& node) {
  std::lock_guard lock(mutex_);
  if (block.freed_by_ != nullptr) return CUDA_ERROR_INVALID_VALUE;
  if (block.owner_ != graph) {
    ++block.freed_elsewhere_;
    return CUDA_SUCCESS;
  }
  if (block.freed_elsewhere_ != 0) return CUDA_ERROR_INVALID_VALUE;
  block.freed_by_ = &node;
  return CUDA_SUCCESS;
}

void GraphMemory::remove_free(GraphBlock& block, CUgraph graph, const NodeWork& node) {
  std::lock_guard lock(mutex_);
  if (block.freed_by_ == &node) block.freed_by_ = nullptr;
  if (block.owner_ != graph) --block.freed_elsewhere_;
}

bool GraphMemory::owned_by(const GraphBlock& block, CUgraph graph) const {
  std::lock_guard lock(mutex_);
  return block.owner_ == graph;
}

bool GraphMemory::freed_by(const GraphBlock& block, const NodeWork& node) const {
  std::lock_guard lock(mutex_);
  return block.freed_by_ == &node;
}

void GraphMemory::reuse(GraphBlock& block, uint64_t size) {
  std::lock_guard lock(mutex_);
  block.freed_by_ = nullptr;
  block.wanted_ = std::max(block.wanted_, size);
}

CUresult GraphMemory::check_order_locked(std::span<const Step> steps, bool free_before) const {
  std::unordered_map<const GraphBlock*, bool> live;
  for (const Step& step : steps) {
    const bool before = step.block->live_ && !(free_before && step.allocates);
    const auto [state, first] = live.try_emplace(step.block.get(), before);
    if (state->second == step.allocates) return CUDA_ERROR_INVALID_VALUE;
    state->second = step.allocates;
  }
  return CUDA_SUCCESS;
}

CUresult GraphMemory::back_one_locked(GraphBlock& block) {
  if (const Status status = block.device().memory().charge(charged(block)); !status.ok()) {
    LOG_INFO("graph", "%s", status.message().c_str());
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  void* pages = reinterpret_cast<void*>(block.begin());
  if (mprotect(pages, block.addresses_.size(), PROT_READ | PROT_WRITE) != 0) {
    block.device().memory().credit(charged(block));
    LOG_INFO("graph", "the machine refuses the memory: %s", strerror(errno));
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  const Allocation allocation = describe(block);
  Status status = show(allocation, true);
  assert(status.ok());
  for (const CUmemAccessDesc& access : block.access()) {
    const bool writable = access.flags == CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
    Device& device = *devices()[static_cast<size_t>(access.location.id)];
    status = device.addresses().insert({allocation.begin, allocation.end(), writable});
    assert(status.ok());
  }
  block.backed_ = true;
  return CUDA_SUCCESS;
}

void GraphMemory::unback_locked(GraphBlock& block) {
  const auto removed =
      AllocationTable::instance().remove(block.begin(), [](const Allocation&) { return true; });
  assert(removed);
  hide(*removed);
  const Status status = block.addresses_.clear(block.begin(), block.addresses_.size());
  // Without a mapping left the pages stay; nothing can reach them.
  if (!status.ok()) LOG_WARN("graph", "%s", status.message().c_str());
  block.device().memory().credit(charged(block));
  block.backed_ = false;
  block.size_ = block.wanted_;
}

CUresult GraphMemory::back_locked(std::span<const Step> steps) {
  std::vector<GraphBlock*> backed;
  CUresult result = CUDA_SUCCESS;
  for (const Step& step : steps) {
    GraphBlock& block = *step.block;
    if (block.backed_) continue;
    result = back_one_locked(block);
    if (result != CUDA_SUCCESS) {
      // What is kept may be what is missing.
      trim_locked(block.device(), steps);
      result = back_one_locked(block);
    }
    if (result != CUDA_SUCCESS) break;
    backed.push_back(&block);
  }
  if (result != CUDA_SUCCESS) {
    for (GraphBlock* block : backed) unback_locked(*block);
  }
  measure_locked();
  return result;
}

CUresult GraphMemory::back(std::span<const Step> steps) {
  std::lock_guard lock(mutex_);
  return back_locked(steps);
}

CUresult GraphMemory::prepare(std::span<const Step> steps, bool free_before, std::vector<OpRef>* after) {
  std::lock_guard lock(mutex_);
  CUresult result = check_order_locked(steps, free_before);
  if (result == CUDA_SUCCESS) result = back_locked(steps);
  if (result != CUDA_SUCCESS) return result;
  for (const Step& step : steps) {
    if (!idle(*step.block)) after->push_back(step.block->last_use_);
  }
  return CUDA_SUCCESS;
}

void GraphMemory::launched(std::span<const Step> steps, const OpRef& last) {
  std::lock_guard lock(mutex_);
  for (const Step& step : steps) {
    step.block->live_ = step.allocates;
    step.block->last_use_ = last;
  }
}

CUresult GraphMemory::free_locked(uint64_t address, OpRef last_use) {
  const GraphBlockRef block = find_locked(address);
  if (!block || !block->live_ || block->freed_by_ != nullptr) return CUDA_ERROR_INVALID_VALUE;
  block->live_ = false;
  block->last_use_ = std::move(last_use);
  measure_locked();
  return CUDA_SUCCESS;
}

CUresult GraphMemory::free_in_order(Stream& stream, uint64_t address) {
  auto marker = std::make_shared<MarkerOp>();
  {
    std::lock_guard lock(mutex_);
    const CUresult result = free_locked(address, marker);
    if (result != CUDA_SUCCESS) return result;
  }
  stream.submit(marker);
  return CUDA_SUCCESS;
}

CUresult GraphMemory::free_now(uint64_t address) {
  std::lock_guard lock(mutex_);
  return free_locked(address, nullptr);
}

void GraphMemory::trim_locked(const Device& device, std::span<const Step> except) {
  for (auto it = blocks_.begin(); it != blocks_.end();) {
    GraphBlock& block = *it->second;
    const bool wanted = std::any_of(except.begin(), except.end(),
                                    [&](const Step& step) { return step.block.get() == &block; });
    if (&block.device() == &device && block.backed_ && !block.live_ && idle(block) && !wanted)
      unback_locked(block);
    it = in_use(block) || block.backed_ ? std::next(it) : blocks_.erase(it);
  }
}

void GraphMemory::trim(const Device& device) {
  std::lock_guard lock(mutex_);
  trim_locked(device, {});
  measure_locked();
}

// After every change of who has what.
void GraphMemory::measure_locked() {
  for (auto& [ordinal, totals] : totals_) totals.used = totals.reserved = 0;
  for (const auto& [begin, block] : blocks_) {
    if (!block->backed_) continue;
    Totals& totals = totals_[block->device().ordinal()];
    totals.reserved += charged(*block);
    if (in_use(*block)) totals.used += charged(*block);
  }
  for (auto& [ordinal, totals] : totals_) {
    totals.used_high = std::max(totals.used_high, totals.used);
    totals.reserved_high = std::max(totals.reserved_high, totals.reserved);
  }
}

CUresult GraphMemory::get_attribute(const Device& device, CUgraphMem_attribute attribute,
                                    uint64_t* value) const {
  std::lock_guard lock(mutex_);
  const auto found = totals_.find(device.ordinal());
  const Totals totals = found == totals_.end() ? Totals{} : found->second;
  switch (attribute) {
    case CU_GRAPH_MEM_ATTR_USED_MEM_CURRENT:
      *value = totals.used;
      return CUDA_SUCCESS;
    case CU_GRAPH_MEM_ATTR_USED_MEM_HIGH:
      *value = totals.used_high;
      return CUDA_SUCCESS;
    case CU_GRAPH_MEM_ATTR_RESERVED_MEM_CURRENT:
      *value = totals.reserved;
      return CUDA_SUCCESS;
    case CU_GRAPH_MEM_ATTR_RESERVED_MEM_HIGH:
      *value = totals.reserved_high;
      return CUDA_SUCCESS;
  }
  return CUDA_ERROR_INVALID_VALUE;
}

CUresult GraphMemory::set_attribute(const Device& device, CUgraphMem_attribute attribute, uint64_t value) {
  std::lock_guard lock(mutex_);
  if (value != 0) return CUDA_ERROR_INVALID_VALUE;
  Totals& totals = totals_[device.ordinal()];
  switch (attribute) {
    case CU_GRAPH_MEM_ATTR_USED_MEM_HIGH:
      totals.used_high = totals.used;
      return CUDA_SUCCESS;
    case CU_GRAPH_MEM_ATTR_RESERVED_MEM_HIGH:
      totals.reserved_high = totals.reserved;
      return CUDA_SUCCESS;
    default:
      return CUDA_ERROR_INVALID_VALUE;
  }
}

}  // namespace tessera::softgpu
