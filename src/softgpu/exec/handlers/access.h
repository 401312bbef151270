// Turning the addresses of a warp into host pointers, checked.
#pragma once

#include "softgpu/exec/flags.h"
#include "softgpu/exec/handlers/lanes.h"
#include "softgpu/exec/handlers/runtime.h"

namespace tessera::softgpu::exec {

namespace TESSERA_ISA {

constexpr u32 kHalfWarp = kWarpSize / 2;

// Where the lanes' data is. Most accesses of a full warp are linear in each half: consecutive elements, one
// element for all, rows of a tile 16 wide.
struct Access {
  bool linear = false;  // lane i is at half[i / 16] + (i % 16) * stride, for all 32 lanes
  bool shared = false;  // only this block can see it: no host atomics needed
  u8* half[2] = {};
  s64 stride = 0;
  u8* lane[kWarpSize];  // where not linear; lanes that are off get an active lane's pointer, so that loads
                        // may read all

  // Kept inline and in this namespace, like everything here.
  u8* pointer(u32 i) const {
    return linear ? half[i / kHalfWarp] + static_cast<s64>(i % kHalfWarp) * stride : lane[i];
  }
};

// Resolves the address operand at `addresses`, of the op's own kind and with its offset op->imm, for accesses
// of `bytes` bytes, which is also their alignment. False after raising a fault.
bool resolve(Warp& warp, const Op* op, std::byte* frame, u32 addresses, uint32_t mask, u32 bytes, bool write,
             Access& access);
// The same for an op with several addresses: which kind it is, and what is added to each lane's value.
struct AddressOperand {
  u32 slot;
  u32 kind;  // AddressKind
  s64 offset = 0;
};
bool resolve(Warp& warp, const Op* op, std::byte* frame, const AddressOperand& operand, uint32_t mask,
             u32 bytes, bool write, Access& access);
// `bytes` bytes of one lane at an address of kind kGlobalAddress, kGenericAddress or kSharedAddress64; null
// after raising a fault.
u8* resolve_range(Warp& warp, const Op* op, u64 address, u32 kind, u32 lane, u64 bytes, u32 alignment,
                  bool write);

}  // namespace TESSERA_ISA
}  // namespace tessera::softgpu::exec
