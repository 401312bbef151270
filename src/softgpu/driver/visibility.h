// Whose kernels see which memory: the allocation table and the devices' address maps, kept in step.
//
// Device memory is seen by its own device, and by those where a context has switched on peer access to a
// context of that device. A launch looks into its device's map, so peer access of one context holds for all
// contexts of that device in this process.
#pragma once

#include <vector>

#include "cuda/abi.h"
#include "softgpu/driver/op.h"
#include "softgpu/memory/allocation_table.h"

namespace tessera::softgpu {

class Context;
class Device;

// Enters memory into the table, and into the map of every device that may see it. kAlreadyExists where it
// overlaps other memory.
Status show(const Allocation& allocation, bool writable);
// Takes memory, which is out of the table, from all maps; then nothing touches it any more.
void hide(const Allocation& allocation);
// Devices whose kernels see what is at `address`.
std::vector<Device*> devices_that_see(uint64_t address);
// Work that was submitted before may still use the memory at `address`, which is about to go.
void wait_for_users(uint64_t address);
// Copies and sets need no access of their device to another's memory, so that no map tells of them. One that
// has been submitted is kept in mind until it is done.
void note_foreign_use(const OpRef& op);
void wait_for_foreign_uses();

// Of kernels in `context` to the memory of `peer`. CUDA's errors where it is on, or off, already.
CUresult enable_peer_access(Context& context, Context& peer);
CUresult disable_peer_access(Context& context, Context& peer);
// All access from and to a context that is torn down.
void forget_peers(Context& context);

}  // namespace tessera::softgpu
