#include "memory/space/memory_space.h"

#include "common/log.h"

namespace tessera::memory {
namespace {

// Room for many times what a device holds; addresses cost nothing.
constexpr uint64_t kRegionBytes = uint64_t{256} << 30;

Status no_block(uint64_t address) {
  return Status::error(Code::kNotFound, "no block of this space is at %#llx",
                       static_cast<unsigned long long>(address));
}

}  // namespace

MemorySpace::MemorySpace(DeviceMemory& lower, HostCopies& copies, uint64_t most_bytes)
    : copies_(copies),
      memory_(lower, copies, most_bytes),
      pool_(memory_, {.region_bytes = kRegionBytes, .keep_bytes = 0, .slack_percent = 0}) {}

MemorySpace::~MemorySpace() {
  const Status closed = pool_.close();
  if (!closed.ok())
    LOG_WARN("memory", "a memory space is not given back whole: %s", closed.message().c_str());
}

Result<uint64_t> MemorySpace::allocate(uint64_t bytes) {
  if (bytes == 0) return Status(Code::kInvalidArgument, "a block of 0 bytes");
  std::lock_guard lock(mutex_);
  TESSERA_ASSIGN_OR_RETURN(const uint64_t address, pool_.allocate(bytes));
  blocks_.emplace(address, Block{bytes});
  allocated_ += bytes;
  return address;
}

Result<MemorySpace::Blocks::iterator> MemorySpace::block_at(uint64_t address) {
  const auto found = blocks_.find(address);
  if (found == blocks_.end()) return no_block(address);
  return found;
}

Result<MemorySpace::Blocks::iterator> MemorySpace::block_around(uint64_t address) {
  const auto after = blocks_.upper_bound(address);
  if (after == blocks_.begin()) return no_block(address);
  const auto found = std::prev(after);
  if (address - found->first >= found->second.bytes) return no_block(address);
  return found;
}

Result<MemorySpace::Blocks::iterator> MemorySpace::idle_block_at(uint64_t address) {
  TESSERA_ASSIGN_OR_RETURN(const auto block, block_at(address));
  if (block->second.acquired == 0) return block;
  return Status::error(Code::kFailedPrecondition, "the block at %#llx is acquired %u times: release it first",
                       static_cast<unsigned long long>(address), block->second.acquired);
}

Status MemorySpace::free(uint64_t address) {
  std::lock_guard lock(mutex_);
  TESSERA_ASSIGN_OR_RETURN(const auto block, idle_block_at(address));
  TESSERA_RETURN_IF_ERROR(copies_.wait_for_device());
  memory_.set_keep(address, address + block->second.bytes, Keep::kNormal);
  TESSERA_RETURN_IF_ERROR(pool_.free(address));
  allocated_ -= block->second.bytes;
  blocks_.erase(block);
  return {};
}

Status MemorySpace::acquire(std::span<const uint64_t> addresses) {
  std::lock_guard lock(mutex_);
  for (const uint64_t address : addresses) TESSERA_RETURN_IF_ERROR(block_at(address).status());
  Status status;
  size_t done = 0;
  for (; done < addresses.size(); ++done) {
    Block& block = blocks_.at(addresses[done]);
    status = memory_.pin(addresses[done], addresses[done] + block.bytes);
    if (!status.ok()) break;
    ++block.acquired;
  }
  if (status.ok()) return status;
  while (done-- > 0) {
    Block& block = blocks_.at(addresses[done]);
    memory_.unpin(addresses[done], addresses[done] + block.bytes);
    --block.acquired;
  }
  return status;
}

// An address may be there several times, so they are counted down first, and back up where one is too many.
Status MemorySpace::release(std::span<const uint64_t> addresses) {
  std::lock_guard lock(mutex_);
  for (size_t i = 0; i < addresses.size(); ++i) {
    auto block = block_at(addresses[i]);
    Status status = block.status();
    if (status.ok() && (*block)->second.acquired == 0) {
      status = Status::error(Code::kFailedPrecondition, "the block at %#llx is not acquired",
                             static_cast<unsigned long long>(addresses[i]));
    }
    if (!status.ok()) {
      while (i-- > 0) ++blocks_.at(addresses[i]).acquired;
      return status;
    }
    --(*block)->second.acquired;
  }
  for (const uint64_t address : addresses) memory_.unpin(address, address + blocks_.at(address).bytes);
  return {};
}

Status MemorySpace::advise(uint64_t address, Keep keep) {
  std::lock_guard lock(mutex_);
  TESSERA_ASSIGN_OR_RETURN(const auto block, block_at(address));
  block->second.keep = keep;
  memory_.set_keep(address, address + block->second.bytes, keep);
  return {};
}

Status MemorySpace::move_in(uint64_t address) {
  std::lock_guard lock(mutex_);
  TESSERA_ASSIGN_OR_RETURN(const auto block, block_at(address));
  return memory_.move_in(address, address + block->second.bytes);
}

Status MemorySpace::move_out(uint64_t address) {
  std::lock_guard lock(mutex_);
  TESSERA_ASSIGN_OR_RETURN(const auto block, idle_block_at(address));
  return memory_.move_out(address, address + block->second.bytes);
}

Status MemorySpace::check_inside(uint64_t address, uint64_t bytes) {
  TESSERA_ASSIGN_OR_RETURN(const auto block, block_around(address));
  const uint64_t left = block->second.bytes - (address - block->first);
  if (bytes <= left) return {};
  return Status::error(Code::kInvalidArgument, "%llu bytes at %#llx: the block ends after %llu",
                       static_cast<unsigned long long>(bytes), static_cast<unsigned long long>(address),
                       static_cast<unsigned long long>(left));
}

Status MemorySpace::write(uint64_t address, const void* from, uint64_t bytes) {
  std::lock_guard lock(mutex_);
  TESSERA_RETURN_IF_ERROR(check_inside(address, bytes));
  return memory_.write(address, static_cast<const std::byte*>(from), bytes);
}

Status MemorySpace::read(uint64_t address, void* to, uint64_t bytes) {
  std::lock_guard lock(mutex_);
  TESSERA_RETURN_IF_ERROR(check_inside(address, bytes));
  return memory_.read(address, static_cast<std::byte*>(to), bytes);
}

Result<SpaceBlock> MemorySpace::query(uint64_t address) {
  std::lock_guard lock(mutex_);
  TESSERA_ASSIGN_OR_RETURN(const auto found, block_around(address));
  const Block& block = found->second;
  return SpaceBlock{found->first, block.bytes,
                    memory_.bytes_on_device(found->first, found->first + block.bytes), block.keep,
                    block.acquired};
}

SpaceFigures MemorySpace::figures() {
  std::lock_guard lock(mutex_);
  return {blocks_.size(), allocated_, memory_.figures()};
}

}  // namespace tessera::memory
