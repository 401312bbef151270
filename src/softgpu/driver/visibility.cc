#include "softgpu/driver/visibility.h"

#include <algorithm>
#include <cassert>
#include <iterator>
#include <mutex>

#include "softgpu/driver/context.h"
#include "softgpu/driver/device.h"
#include "softgpu/driver/memory_use.h"
#include "softgpu/driver/state.h"

namespace tessera::softgpu {
namespace {

struct PeerLink {
  Context* reader;
  Context* owner;
  bool operator==(const PeerLink&) const = default;
};

// Lock order: this one, then the table's and the maps'.
struct Peers {
  std::mutex mutex;
  std::vector<PeerLink> links;  // a context leaves before it is freed
};

Peers& peers() {
  static auto* made = new Peers();
  return *made;
}

struct ForeignUses {
  std::mutex mutex;
  std::vector<OpRef> ops;
};

ForeignUses& foreign_uses() {
  static auto* made = new ForeignUses();
  return *made;
}

// For the caller to destroy without the lock: with an operation its context may go.
std::vector<OpRef> take_done_uses() {
  std::vector<OpRef> done;
  std::lock_guard lock(foreign_uses().mutex);
  auto& ops = foreign_uses().ops;
  const auto first = std::partition(ops.begin(), ops.end(), [](const OpRef& op) { return !op->done(); });
  std::move(first, ops.end(), std::back_inserter(done));
  ops.erase(first, ops.end());
  return done;
}

bool seen_by_all(MemoryKind kind) {
  return kind == MemoryKind::kPinned || kind == MemoryKind::kRegistered || kind == MemoryKind::kManaged;
}

// What peer access is switched on for.
bool seen_by_peers(MemoryKind kind) { return kind == MemoryKind::kDevice || kind == MemoryKind::kImported; }

bool linked_locked(const Device& reader, const Device& owner) {
  const auto& links = peers().links;
  return std::any_of(links.begin(), links.end(), [&](const PeerLink& link) {
    return &link.reader->device() == &reader && &link.owner->device() == &owner;
  });
}

bool sees_locked(const Device& device, const Allocation& allocation) {
  if (seen_by_all(allocation.kind) || device.ordinal() == allocation.device) return true;
  if (device.ordinal() == allocation.opened_on) return true;
  return seen_by_peers(allocation.kind) &&
         linked_locked(device, *devices()[static_cast<size_t>(allocation.device)]);
}

// After a change of links: shows or hides all of the owner's memory.
void update_locked(Device& reader, const Device& owner, bool shown) {
  for (const Allocation& allocation : AllocationTable::instance().of_device(owner.ordinal())) {
    const bool follows = seen_by_peers(allocation.kind) && allocation.opened_on != reader.ordinal();
    if (!follows) continue;
    const Status status = shown ? reader.addresses().insert({allocation.begin, allocation.end(), true})
                                : reader.addresses().erase(allocation.begin);
    assert(status.ok());
  }
}

void unlink_locked(const PeerLink& link) {
  std::erase(peers().links, link);
  Device &reader = link.reader->device(), &owner = link.owner->device();
  if (!linked_locked(reader, owner)) update_locked(reader, owner, false);
}

std::vector<PeerLink> links_of(const Context& context) {
  std::lock_guard lock(peers().mutex);
  std::vector<PeerLink> found;
  for (const PeerLink& link : peers().links) {
    if (link.reader == &context || link.owner == &context) found.push_back(link);
  }
  return found;
}

// Kernels that run may still read what is about to be hidden, and its owner may free it then.
CUresult remove_link(const PeerLink& link) {
  link.reader->device().wait_idle();
  std::lock_guard lock(peers().mutex);
  const auto& links = peers().links;
  if (std::find(links.begin(), links.end(), link) == links.end()) return CUDA_ERROR_PEER_ACCESS_NOT_ENABLED;
  unlink_locked(link);
  return CUDA_SUCCESS;
}

}  // namespace

Status show(const Allocation& allocation, bool writable) {
  std::lock_guard lock(peers().mutex);
  TESSERA_RETURN_IF_ERROR(AllocationTable::instance().insert(allocation));
  for (Device* device : devices()) {
    if (!sees_locked(*device, allocation)) continue;
    const Status status =
        device->addresses().insert({allocation.begin, allocation.end(), writable, allocation.on_demand()});
    assert(status.ok());
  }
  return {};
}

void hide(const Allocation& allocation) {
  {
    std::lock_guard lock(peers().mutex);
    for (Device* device : devices()) {
      // Links may have come and gone since it left the table: what is there says who sees it.
      const Status status = device->addresses().erase(allocation.begin);
      assert(status.ok() || device->ordinal() != allocation.device);
    }
  }
  wait_until_unused(allocation.begin, allocation.end());
}

std::vector<Device*> devices_that_see(uint64_t address) {
  std::vector<Device*> found;
  for (Device* device : devices()) {
    if (device->addresses().find(address).end != 0) found.push_back(device);
  }
  return found;
}

void wait_for_users(uint64_t address) {
  for (Device* device : devices_that_see(address)) device->wait_idle();
  wait_for_foreign_uses();
}

void note_foreign_use(const OpRef& op) {
  const std::vector<OpRef> done = take_done_uses();
  std::lock_guard lock(foreign_uses().mutex);
  foreign_uses().ops.push_back(op);
}

void wait_for_foreign_uses() {
  std::vector<OpRef> noted;
  {
    std::lock_guard lock(foreign_uses().mutex);
    noted = foreign_uses().ops;  // they stay: other threads wait for them too
  }
  for (const OpRef& op : noted) op->wait();
  const std::vector<OpRef> done = take_done_uses();
}

CUresult enable_peer_access(Context& context, Context& peer) {
  std::lock_guard lock(peers().mutex);
  // One of them may have been torn down since it was looked up; then it has left, or will.
  if (context.status() == CUDA_ERROR_CONTEXT_IS_DESTROYED || peer.status() == CUDA_ERROR_CONTEXT_IS_DESTROYED)
    return CUDA_ERROR_CONTEXT_IS_DESTROYED;
  const PeerLink link{&context, &peer};
  auto& links = peers().links;
  if (std::find(links.begin(), links.end(), link) != links.end())
    return CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED;
  const bool first = !linked_locked(context.device(), peer.device());
  links.push_back(link);
  if (first) update_locked(context.device(), peer.device(), true);
  return CUDA_SUCCESS;
}

CUresult disable_peer_access(Context& context, Context& peer) { return remove_link({&context, &peer}); }

void forget_peers(Context& context) {
  for (const PeerLink& link : links_of(context)) (void)remove_link(link);
}

}  // namespace tessera::softgpu
