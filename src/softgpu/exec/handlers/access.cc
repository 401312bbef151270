#include "softgpu/exec/handlers/access.h"

namespace tessera::softgpu::exec {
namespace TESSERA_ISA {
namespace {

inline u8* host(u64 address) { return reinterpret_cast<u8*>(static_cast<uintptr_t>(address)); }

bool fail(Warp& w, const Op* op, FaultKind kind, u32 lane, u64 address, u32 bytes, const char* what) {
  raise_fault(w, op, kind, lane, address, bytes, what);
  return false;
}

inline void check_generation(Warp& w) {
  const u64 now = __atomic_load_n(w.generation, __ATOMIC_ACQUIRE);
  if (__builtin_expect(now == w.seen_generation, 1)) return;
  for (AddressRange& range : w.ranges) range.begin = range.end = 0;
  w.seen_generation = now;
}

inline bool inside(const AddressRange& range, u64 address, u64 bytes) {
  return address >= range.begin && address < range.end && bytes <= range.end - address;
}

// Whether [address, address + bytes) lies in one range, which then is the first of the cache.
bool in_device_memory(Warp& w, u64 address, u64 bytes, bool write) {
  if (!inside(w.ranges[0], address, bytes)) {
    u32 found = 1;
    while (found < 4 && !inside(w.ranges[found], address, bytes)) ++found;
    if (found < 4) {
      const AddressRange hit = w.ranges[found];
      w.ranges[found] = w.ranges[0];
      w.ranges[0] = hit;
    } else if (!cache_range(w, address) || !inside(w.ranges[0], address, bytes)) {
      return false;
    }
  }
  return !write || w.ranges[0].writable;
}

// Common distance between neighbouring lanes, if there is one.
template <class T>
inline bool constant_stride(const T* a, T& stride) {
  stride = static_cast<T>(a[1] - a[0]);
  T differs = 0;
  for (u32 i = 0; i + 1 < kWarpSize; ++i) differs |= static_cast<T>((a[i + 1] - a[i]) ^ stride);
  return differs == 0;
}

constexpr s64 kWidestStride = s64{1} << 32;

// A window is memory that starts at `host_base` for lane 0 and `lane_stride` further for each lane.
struct Window {
  u8* host_base;
  u64 size;
  s64 lane_stride;
};
Window window_of(Warp& w, u32 kind) {
  switch (kind) {
    case kSharedAddress32:
    case kSharedAddress64:
      return {reinterpret_cast<u8*>(w.shared), w.shared_bytes, 0};
    case kLocalAddress32:
    case kLocalAddress64:
      return {reinterpret_cast<u8*>(w.local), w.local_bytes, static_cast<s64>(w.local_stride)};
    default:
      return {reinterpret_cast<u8*>(w.parameters), w.parameter_bytes, 0};
  }
}

// Offsets into a window: shared, local, or the kernel's parameters. 32-bit offsets wrap before they are used.
template <class T>
bool resolve_window(Warp& w, const Op* op, const T* offsets, u32 kind, uint32_t mask, u32 bytes,
                    Access& access) {
  const Window window = window_of(w, kind);
  const u64 imm = static_cast<u64>(op->imm);
  access.shared = true;
  T stride;
  if (mask == kAllLanes && constant_stride(offsets, stride)) {
    const s64 step = sizeof(T) == 4 ? static_cast<s64>(static_cast<s32>(stride)) : static_cast<s64>(stride);
    const u64 first = static_cast<u64>(offsets[0]) + imm;
    const u64 last = static_cast<u64>(offsets[kWarpSize - 1]) + imm;
    const u64 low = first < last ? first : last;
    const u64 high = first < last ? last : first;
    const bool straight = first + static_cast<u64>(step * s64{kWarpSize - 1}) == last &&
                          step < kWidestStride && step > -kWidestStride;
    if (straight && low <= window.size && high <= window.size && bytes <= window.size - high &&
        ((first | static_cast<u64>(step)) & (bytes - 1)) == 0) {
      access.linear = true;
      access.base = window.host_base + first;
      access.stride = step + window.lane_stride;
      return true;
    }
  }
  access.linear = false;
  TESSERA_ACTIVE(mask) {
    const u64 offset = static_cast<u64>(offsets[i]) + imm;
    if (offset > window.size || bytes > window.size - offset) {
      return fail(w, op, FaultKind::kIllegalAddress, i, offset, bytes, "out of bounds of its state space");
    }
    if ((offset & (bytes - 1)) != 0)
      return fail(w, op, FaultKind::kMisalignedAddress, i, offset, bytes, "misaligned");
    access.lane[i] = window.host_base + offset + static_cast<s64>(i) * window.lane_stride;
  }
  return true;
}

// Generic addresses in the shared or local window; others are device memory.
bool resolve_lane(Warp& w, const Op* op, u64 address, u32 lane, u32 bytes, bool generic, bool write,
                  Access& access) {
  if ((address & (bytes - 1)) != 0)
    return fail(w, op, FaultKind::kMisalignedAddress, lane, address, bytes, "misaligned");
  const u64 in_shared = address - w.shared_window;
  const u64 in_local = address - w.local_window;
  if (generic && in_shared < kSharedWindowSize) {
    if (in_shared > w.shared_bytes || bytes > w.shared_bytes - in_shared) {
      return fail(w, op, FaultKind::kIllegalAddress, lane, address, bytes,
                  "beyond the block's shared memory");
    }
    access.lane[lane] = reinterpret_cast<u8*>(w.shared) + in_shared;
    return true;
  }
  if (generic && in_local < kLocalWindowSize) {
    if (in_local > w.local_bytes || bytes > w.local_bytes - in_local) {
      return fail(w, op, FaultKind::kIllegalAddress, lane, address, bytes,
                  "beyond the thread's local memory");
    }
    access.lane[lane] = reinterpret_cast<u8*>(w.local) + u64{lane} * w.local_stride + in_local;
    return true;
  }
  if (!write && generic && address - reinterpret_cast<uintptr_t>(w.parameters) < w.parameter_bytes &&
      bytes <= w.parameter_bytes - (address - reinterpret_cast<uintptr_t>(w.parameters))) {
    access.lane[lane] = host(address);
    return true;
  }
  if (!in_device_memory(w, address, bytes, write)) {
    return fail(w, op, FaultKind::kIllegalAddress, lane, address, bytes,
                write ? "write outside of writable memory" : "outside of every allocation");
  }
  access.lane[lane] = host(address);
  return true;
}

bool resolve_global(Warp& w, const Op* op, const u64* addresses, uint32_t mask, u32 bytes, bool generic,
                    bool write, Access& access) {
  check_generation(w);
  const u64 imm = static_cast<u64>(op->imm);
  access.shared = false;
  u64 stride;
  if (mask == kAllLanes && constant_stride(addresses, stride)) {
    const s64 step = static_cast<s64>(stride);
    const u64 first = addresses[0] + imm;
    const u64 last = addresses[kWarpSize - 1] + imm;
    const u64 low = step < 0 ? last : first;
    const u64 high = step < 0 ? first : last;
    if (step < kWidestStride && step > -kWidestStride && low <= high &&
        ((first | stride) & (bytes - 1)) == 0 && in_device_memory(w, low, high - low + bytes, write)) {
      access.linear = true;
      access.base = host(first);
      access.stride = step;
      return true;
    }
  }
  access.linear = false;
  const u64 begin = w.ranges[0].begin;
  const u64 size = w.ranges[0].end - begin;
  u64 bad = size < bytes || (write && !w.ranges[0].writable) ? 1 : 0;
  const u64 room = size - bytes;
  TESSERA_LANES {
    const u64 address = addresses[i] + imm;
    const u64 wrong = (address - begin > room ? 1u : 0u) | (address & (bytes - 1));
    bad |= lane_on(mask, i) ? wrong : 0;
    access.lane[i] = host(address);
  }
  if (bad == 0) return true;
  TESSERA_ACTIVE(mask) {
    if (!resolve_lane(w, op, addresses[i] + imm, i, bytes, generic, write, access)) return false;
  }
  return true;
}

}  // namespace

bool resolve(Warp& w, const Op* op, std::byte* frame, u32 addresses, uint32_t mask, u32 bytes, bool write,
             Access& access) {
  const u32 kind = op->aux & kAddressMask;
  switch (kind) {
    case kGlobalAddress:
    case kGenericAddress:
      return resolve_global(w, op, slot<u64>(frame, addresses), mask, bytes, kind == kGenericAddress, write,
                            access);
    case kSharedAddress32:
    case kLocalAddress32:
    case kParamAddress32:
      return resolve_window(w, op, slot<u32>(frame, addresses), kind, mask, bytes, access);
    default:
      return resolve_window(w, op, slot<u64>(frame, addresses), kind, mask, bytes, access);
  }
}

}  // namespace TESSERA_ISA
}  // namespace tessera::softgpu::exec
