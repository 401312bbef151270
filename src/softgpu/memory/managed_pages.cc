#include "softgpu/memory/managed_pages.h"

#include <algorithm>
#include <bit>
#include <cassert>

namespace tessera::softgpu {
namespace {

// Pages on either side that an answer reaches at most: a fault costs no more, however large the memory.
constexpr size_t kReach = 32;

constexpr uint64_t bit_of(uint32_t device) { return uint64_t{1} << device; }

template <typename Body>
void each_bit(uint64_t bits, Body body) {
  for (; bits != 0; bits &= bits - 1) body(static_cast<uint32_t>(std::countr_zero(bits)));
}

}  // namespace

uint64_t ManagedPages::Memory::begin_of(size_t index) const {
  return std::max(begin, (begin / kPageBytes + index) * kPageBytes);
}

uint64_t ManagedPages::Memory::end_of(size_t index) const {
  return std::min(end(), (begin / kPageBytes + index + 1) * kPageBytes);
}

void ManagedPages::insert(uint64_t begin, uint64_t size, bool fixed) {
  assert(size > 0);
  Memory memory{begin, size, fixed, {}};
  memory.pages.resize(memory.index_of(begin + size - 1) + 1);
  memory_.emplace(begin, std::move(memory));
}

void ManagedPages::erase(uint64_t begin) {
  const auto found = memory_.find(begin);
  assert(found != memory_.end());
  Memory& memory = found->second;
  for (size_t index = 0; index < memory.pages.size(); ++index)
    each_bit(memory.pages[index].resident, [&](uint32_t device) { leave(memory, index, device); });
  memory_.erase(found);
}

const ManagedPages::Memory* ManagedPages::find(uint64_t address) const {
  const auto after = memory_.upper_bound(address);
  if (after == memory_.begin()) return nullptr;
  const Memory& memory = std::prev(after)->second;
  return address < memory.end() ? &memory : nullptr;
}

ManagedPages::Memory* ManagedPages::find(uint64_t address) {
  return const_cast<Memory*>(std::as_const(*this).find(address));
}

template <typename Body>
void ManagedPages::each(uint64_t begin, uint64_t size, Body body) {
  Memory* memory = find(begin);
  if (memory == nullptr || size == 0) return;
  const size_t last = memory->index_of(std::min(begin + size, memory->end()) - 1);
  for (size_t index = memory->index_of(begin); index <= last; ++index) body(*memory, index);
}

// A page that several devices have (read-mostly) is only read: before it is written one of them has it.
bool ManagedPages::may_write(const Page& page) { return std::popcount(page.resident) <= 1; }

AddressRange ManagedPages::touch(uint32_t device, uint64_t address, uint64_t bytes, bool write) {
  Memory* memory = find(address);
  if (memory == nullptr || bytes > memory->end() - address) return {};
  if (memory->fixed) return {memory->begin, memory->end()};
  const Spared spared{address, address + bytes};
  each(address, bytes, [&](Memory& in, size_t index) {
    const Page& page = in.pages[index];
    if ((page.mapped & bit_of(device)) == 0 || (write && !may_write(page)))
      fault(in, index, device, write, spared);
  });
  return run_around(*memory, device, address, bytes);
}

// All of what was asked for, and on either side what may be touched in the same way.
AddressRange ManagedPages::run_around(const Memory& memory, uint32_t device, uint64_t address,
                                      uint64_t bytes) const {
  size_t first = memory.index_of(address), last = memory.index_of(address + bytes - 1);
  bool writable = true;
  for (size_t index = first; index <= last; ++index) writable = writable && may_write(memory.pages[index]);
  const auto alike = [&](const Page& page) {
    return (page.mapped & bit_of(device)) != 0 && may_write(page) == writable;
  };
  for (size_t i = 0; i < kReach && first > 0 && alike(memory.pages[first - 1]); ++i) --first;
  for (size_t i = 0; i < kReach && last + 1 < memory.pages.size() && alike(memory.pages[last + 1]); ++i)
    ++last;
  return {memory.begin_of(first), memory.end_of(last), writable, true};
}

void ManagedPages::fault(Memory& memory, size_t index, uint32_t device, bool write, const Spared& spared) {
  Page& page = memory.pages[index];
  ++figures_[device].faults;
  if ((page.resident & bit_of(device)) != 0) {  // and others have it, and it is to be written
    leave_others(memory, index, device);
    return;
  }
  const bool elsewhere =
      page.preferred.kind != PageLocation::Kind::kNone && !page.preferred.is_device(device);
  const bool copy = page.read_mostly && !write;
  if (!elsewhere && bring(memory, index, device, copy, spared)) return;
  if (write && !may_write(page))
    leave_others(memory, index, static_cast<uint32_t>(std::countr_zero(page.resident)));
  page.mapped |= bit_of(device);
  ++figures_[device].remote_faults;
}

bool ManagedPages::bring(Memory& memory, size_t index, uint32_t device, bool copy, const Spared& spared) {
  const uint64_t bytes = memory.bytes_of(index);
  while (!devices_.take(device, bytes)) {
    if (!make_room(device, spared)) return false;
  }
  Page& page = memory.pages[index];
  if (copy && page.resident != 0) {  // whoever may touch it only reads from now on
    each_bit(page.mapped, [&](uint32_t other) { devices_.unmapped(other); });
  } else {
    leave_others(memory, index, device);
  }
  // One time for all: where it is with others it has just been of use, too.
  each_bit(page.resident, [&](uint32_t other) {
    resident_[other].erase({page.brought, memory.begin_of(index)});
  });
  page.brought = ++clock_;
  page.resident |= bit_of(device);
  page.mapped |= bit_of(device);
  each_bit(page.resident, [&](uint32_t other) {
    resident_[other].insert({page.brought, memory.begin_of(index)});
  });
  figures_[device].resident_bytes += bytes;
  figures_[device].brought_bytes += bytes;
  return true;
}

bool ManagedPages::make_room(uint32_t device, const Spared& spared) {
  for (const auto& [brought, address] : resident_[device]) {
    Memory& memory = *find(address);
    const size_t index = memory.index_of(address);
    if (address < spared.end && memory.end_of(index) > spared.begin) continue;
    figures_[device].evicted_bytes += memory.bytes_of(index);
    leave(memory, index, device);
    return true;
  }
  return false;
}

void ManagedPages::leave(Memory& memory, size_t index, uint32_t device) {
  Page& page = memory.pages[index];
  const uint64_t bytes = memory.bytes_of(index);
  page.resident &= ~bit_of(device);
  page.mapped &= ~bit_of(device) | page.accessed_by;
  resident_[device].erase({page.brought, memory.begin_of(index)});
  figures_[device].resident_bytes -= bytes;
  devices_.give_back(device, bytes);
  devices_.unmapped(device);
}

// What they map from afar is mapped anew: it is somewhere else then.
void ManagedPages::leave_others(Memory& memory, size_t index, uint32_t device) {
  Page& page = memory.pages[index];
  each_bit(page.resident & ~bit_of(device), [&](uint32_t other) { leave(memory, index, other); });
  const uint64_t stay = bit_of(device) | page.accessed_by;
  each_bit(page.mapped & ~stay, [&](uint32_t other) { devices_.unmapped(other); });
  page.mapped &= stay;
}

void ManagedPages::prefetch(uint64_t begin, uint64_t size, PageLocation to) {
  const Spared spared{begin, begin + size};
  const auto device = static_cast<uint32_t>(to.id);
  bool room = true;
  each(begin, size, [&](Memory& memory, size_t index) {
    Page& page = memory.pages[index];
    page.prefetched = to;
    if (memory.fixed) return;
    if (to.kind != PageLocation::Kind::kDevice) {
      each_bit(page.resident, [&](uint32_t other) { leave(memory, index, other); });
      each_bit(page.mapped & ~page.accessed_by, [&](uint32_t other) { devices_.unmapped(other); });
      page.mapped &= page.accessed_by;
    } else if ((page.resident & bit_of(device)) == 0 && room) {
      room = bring(memory, index, device, page.read_mostly, spared);  // the rest stays where it is
    }
  });
}

void ManagedPages::set_read_mostly(uint64_t begin, uint64_t size, bool on) {
  each(begin, size, [&](Memory& memory, size_t index) {
    Page& page = memory.pages[index];
    page.read_mostly = on;
    if (!on && std::popcount(page.resident) > 1)
      leave_others(memory, index, static_cast<uint32_t>(std::countr_zero(page.resident)));
  });
}

void ManagedPages::set_preferred(uint64_t begin, uint64_t size, PageLocation location) {
  each(begin, size, [&](Memory& memory, size_t index) { memory.pages[index].preferred = location; });
}

void ManagedPages::set_accessed_by(uint64_t begin, uint64_t size, uint32_t who, bool on) {
  each(begin, size, [&](Memory& memory, size_t index) {
    Page& page = memory.pages[index];
    page.accessed_by = on ? page.accessed_by | bit_of(who) : page.accessed_by & ~bit_of(who);
    if (who == kHostBit || memory.fixed) return;
    if (on) {
      page.mapped |= bit_of(who);
    } else if ((page.resident & bit_of(who)) == 0) {
      page.mapped &= ~bit_of(who);
      devices_.unmapped(who);
    }
  });
}

ManagedPages::Advice ManagedPages::advice(uint64_t begin, uint64_t size) const {
  Advice all;
  const Memory* memory = find(begin);
  if (memory == nullptr || size == 0) return {false, PageLocation(), PageLocation(), 0};
  const size_t first = memory->index_of(begin),
               last = memory->index_of(std::min(begin + size, memory->end()) - 1);
  all.preferred = memory->pages[first].preferred;
  all.prefetched = memory->pages[first].prefetched;
  for (size_t index = first; index <= last; ++index) {
    const Page& page = memory->pages[index];
    all.read_mostly = all.read_mostly && page.read_mostly;
    all.accessed_by &= page.accessed_by;
    if (all.preferred != page.preferred) all.preferred.reset();
    if (all.prefetched != page.prefetched) all.prefetched.reset();
  }
  return all;
}

uint64_t ManagedPages::reclaim(uint32_t device, uint64_t bytes) {
  const uint64_t before = figures_[device].resident_bytes;
  while (before - figures_[device].resident_bytes < bytes && make_room(device, {0, 0})) {
  }
  return before - figures_[device].resident_bytes;
}

}  // namespace tessera::softgpu
