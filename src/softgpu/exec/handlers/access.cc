#include "softgpu/exec/handlers/access.h"

namespace tessera::softgpu::exec {
namespace TESSERA_ISA {
namespace {

inline u8* host(u64 address) { return reinterpret_cast<u8*>(static_cast<uintptr_t>(address)); }

bool fail(Warp& w, const Op* op, FaultKind kind, u32 lane, u64 address, u64 bytes, const char* what) {
  raise_fault(w, op, kind, lane, address, static_cast<u32>(bytes), what);
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

// Makes a range with all of it the first of the cache.
__attribute__((noinline)) bool find_range(Warp& w, u64 address, u64 bytes, bool write) {
  u32 found = 1;
  while (found < 4 && !inside(w.ranges[found], address, bytes)) ++found;
  if (found == 4) return cache_range(w, address, bytes, write) && inside(w.ranges[0], address, bytes);
  const AddressRange hit = w.ranges[found];
  w.ranges[found] = w.ranges[0];
  w.ranges[0] = hit;
  return true;
}

// What is only read may be written once its pages are asked for.
__attribute__((noinline, cold)) bool ask_to_write(Warp& w, u64 address, u64 bytes) {
  return w.ranges[0].on_demand && cache_range(w, address, bytes, true) &&
         inside(w.ranges[0], address, bytes) && w.ranges[0].writable;
}

// Whether [address, address + bytes) lies in one range, which then is the first of the cache.
inline bool in_device_memory(Warp& w, u64 address, u64 bytes, bool write) {
  if (!inside(w.ranges[0], address, bytes) && !find_range(w, address, bytes, write)) return false;
  return !write || w.ranges[0].writable || ask_to_write(w, address, bytes);
}

// Whether each half of the warp is linear, with one stride.
#if defined(__AVX512BW__)
inline bool constant_stride(const u32* a, u32& stride) {
  stride = a[1] - a[0];
  const __m512i steps =
      _mm512_mullo_epi32(_mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0),
                         _mm512_set1_epi32(static_cast<s32>(stride)));
  __mmask16 wrong = 0;
  for (u32 first = 0; first < kWarpSize; first += kHalfWarp) {
    const __m512i expected = _mm512_add_epi32(_mm512_set1_epi32(static_cast<s32>(a[first])), steps);
    wrong |= _mm512_cmpneq_epi32_mask(_mm512_load_si512(a + first), expected);
  }
  return wrong == 0;
}
inline bool constant_stride(const u64* a, u64& stride) {
  stride = a[1] - a[0];
  const __m512i low = _mm512_mullo_epi64(_mm512_set_epi64(7, 6, 5, 4, 3, 2, 1, 0),
                                         _mm512_set1_epi64(static_cast<s64>(stride)));
  const __m512i high = _mm512_add_epi64(low, _mm512_set1_epi64(static_cast<s64>(stride * 8)));
  __mmask8 wrong = 0;
  for (u32 first = 0; first < kWarpSize; first += kHalfWarp) {
    const __m512i base = _mm512_set1_epi64(static_cast<s64>(a[first]));
    wrong |= _mm512_cmpneq_epi64_mask(_mm512_load_si512(a + first), _mm512_add_epi64(base, low));
    wrong |= _mm512_cmpneq_epi64_mask(_mm512_load_si512(a + first + 8), _mm512_add_epi64(base, high));
  }
  return wrong == 0;
}
#else
// Distances of 8, 4, 2 and 1 lanes determine all others, and are few vector operations.
template <class T>
inline bool constant_stride(const T* a, T& stride) {
  stride = static_cast<T>(a[1] - a[0]);
  T differs = 0;
  for (u32 first = 0; first < kWarpSize; first += kHalfWarp) {
    const T* h = a + first;
    for (u32 i = 0; i < 8; ++i) differs |= static_cast<T>((h[i + 8] - h[i]) ^ (stride * 8));
    for (u32 i = 0; i < 4; ++i) differs |= static_cast<T>((h[i + 4] - h[i]) ^ (stride * 4));
    for (u32 i = 0; i < 2; ++i) differs |= static_cast<T>((h[i + 2] - h[i]) ^ (stride * 2));
    differs |= static_cast<T>((h[1] - h[0]) ^ stride);
  }
  return differs == 0;
}
#endif

constexpr s64 kWidestStride = s64{1} << 32;

// The first and last bytes a linear access begins at; false where its addresses wrap around.
inline bool span_of(u64 lower, u64 upper, s64 stride, u64& lowest_start, u64& highest_start) {
  if (stride >= kWidestStride || stride <= -kWidestStride) return false;
  const u64 reach = static_cast<u64>(stride * s64{kHalfWarp - 1});
  const u64 ends[2] = {lower + reach, upper + reach};
  if (stride >= 0 ? ends[0] < lower || ends[1] < upper : ends[0] > lower || ends[1] > upper) return false;
  lowest_start = lower < upper ? lower : upper;
  highest_start = lower < upper ? upper : lower;
  if (stride >= 0) {
    highest_start += reach;
  } else {
    lowest_start += reach;
  }
  return true;
}

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

// Offsets into a window: shared, local, or the kernel's parameters; `bias` is added to each and wraps in the
// offset's own width. False where a lane is out of bounds or misaligned.
template <class T>
bool resolve_window(const Window& window, const T* offsets, T bias, uint32_t mask, u32 bytes,
                    Access& access) {
  access.shared = true;
  if (window.size < bytes) return false;
  const u64 room = window.size - bytes;
  T stride;
  if (mask == kAllLanes && constant_stride(offsets, stride)) {
    const s64 step = sizeof(T) == 4 ? static_cast<s64>(static_cast<s32>(stride)) : static_cast<s64>(stride);
    const u64 lower = static_cast<T>(offsets[0] + bias);
    const u64 upper = static_cast<T>(offsets[kHalfWarp] + bias);
    u64 low, high;
    if (span_of(lower, upper, step, low, high) && high <= room &&
        ((lower | upper | static_cast<u64>(step)) & (bytes - 1)) == 0) {
      access.linear = true;
      access.half[0] = window.host_base + lower;
      access.half[1] = window.host_base + upper + window.lane_stride * s64{kHalfWarp};
      access.stride = step + window.lane_stride;
      return true;
    }
  }
  access.linear = false;
  const T stand_in = static_cast<T>(offsets[lowest(mask)] + bias);
  const T alignment = static_cast<T>(bytes - 1);
  const T last = room > static_cast<T>(-1) ? static_cast<T>(-1) : static_cast<T>(room);
  const u64 base = reinterpret_cast<uintptr_t>(window.host_base);
  const u64 lane_stride = static_cast<u64>(window.lane_stride);
  u64* const pointers = reinterpret_cast<u64*>(access.lane);
  T bad = 0;
  TESSERA_LANES {
    const T on = lane_bits<T>(mask, i);
    const T offset = static_cast<T>((static_cast<T>(offsets[i] + bias) & on) | (stand_in & ~on));
    bad |= static_cast<T>((offset > last ? T{1} : T{0}) | (offset & alignment));
    pointers[i] = base + offset + i * lane_stride;
  }
  return bad == 0;
}

// Where an offset into the shared window is: in the block's own memory or in another block's of the cluster.
// Null outside of them.
u8* shared_pointer(const Warp& w, u64 offset, u64 bytes) {
  const u64 owner = offset / kSharedWindowSize;
  const u64 inside = offset % kSharedWindowSize;
  if (owner > w.cluster_blocks) return nullptr;
  const SharedMemory& shared = w.cluster[owner == 0 ? w.cluster_rank : owner - 1];
  if (inside > shared.bytes || bytes > shared.bytes - inside) return nullptr;
  return reinterpret_cast<u8*>(shared.memory) + inside;
}

// Lanes that were given their own pointer; the others get one that may be read.
void fill_inactive(uint32_t mask, Access& access) {
  u8* const valid = access.lane[lowest(mask)];
  TESSERA_ACTIVE(~mask) access.lane[i] = valid;
}

// Addresses of which some are in the shared memory of other blocks.
template <class T>
bool resolve_cluster(const Warp& w, const T* offsets, T bias, uint32_t mask, u32 bytes, Access& access) {
  access.linear = false;
  TESSERA_ACTIVE(mask) {
    const u64 offset = static_cast<T>(offsets[i] + bias);
    access.lane[i] = (offset & (bytes - 1)) == 0 ? shared_pointer(w, offset, bytes) : nullptr;
    if (access.lane[i] == nullptr) return false;
  }
  fill_inactive(mask, access);
  return true;
}

// The same for an address operand of that state space, with a fault for the first lane that is wrong.
template <class T>
bool resolve_space(Warp& w, const Op* op, const T* offsets, T bias, u32 kind, uint32_t mask, u32 bytes,
                   Access& access) {
  const Window window = window_of(w, kind);
  if (resolve_window(window, offsets, bias, mask, bytes, access)) return true;
  const bool shared = kind == kSharedAddress32 || kind == kSharedAddress64;
  if (shared && resolve_cluster(w, offsets, bias, mask, bytes, access)) return true;
  TESSERA_ACTIVE(mask) {
    const u64 offset = static_cast<T>(offsets[i] + bias);
    if (shared && (offset & (bytes - 1)) == 0 && shared_pointer(w, offset, bytes) != nullptr) continue;
    if ((offset & (bytes - 1)) != 0 && offset < window.size)
      return fail(w, op, FaultKind::kMisalignedAddress, i, offset, bytes, "misaligned");
    if (offset > window.size || bytes > window.size - offset) {
      return fail(w, op, FaultKind::kIllegalAddress, i, offset, bytes, "out of bounds of its state space");
    }
  }
  return true;
}

u8* no_pointer(Warp& w, const Op* op, u32 lane, u64 address, u64 bytes, const char* what) {
  fail(w, op, FaultKind::kIllegalAddress, lane, address, bytes, what);
  return nullptr;
}

// Generic addresses in the shared or local window; others are device memory. Null after raising a fault.
u8* lane_pointer(Warp& w, const Op* op, u64 address, u32 lane, u64 bytes, bool generic, bool write) {
  const u64 in_shared = address - w.shared_window;
  const u64 in_local = address - w.local_window;
  if (generic && in_shared < kClusterWindowSize) {
    u8* const pointer = shared_pointer(w, in_shared, bytes);
    return pointer != nullptr ? pointer
                              : no_pointer(w, op, lane, address, bytes, "beyond the block's shared memory");
  }
  if (generic && in_local < kLocalWindowSize) {
    if (in_local > w.local_bytes || bytes > w.local_bytes - in_local)
      return no_pointer(w, op, lane, address, bytes, "beyond the thread's local memory");
    return reinterpret_cast<u8*>(w.local) + u64{lane} * w.local_stride + in_local;
  }
  if (!write && generic && address - reinterpret_cast<uintptr_t>(w.parameters) < w.parameter_bytes &&
      bytes <= w.parameter_bytes - (address - reinterpret_cast<uintptr_t>(w.parameters))) {
    return host(address);
  }
  if (!in_device_memory(w, address, bytes, write)) {
    return no_pointer(w, op, lane, address, bytes,
                      write ? "write outside of writable memory" : "outside of every allocation");
  }
  return host(address);
}

bool resolve_lane(Warp& w, const Op* op, u64 address, u32 lane, u32 bytes, bool generic, bool write,
                  Access& access) {
  if ((address & (bytes - 1)) != 0)
    return fail(w, op, FaultKind::kMisalignedAddress, lane, address, bytes, "misaligned");
  access.lane[lane] = lane_pointer(w, op, address, lane, bytes, generic, write);
  return access.lane[lane] != nullptr;
}

bool resolve_global(Warp& w, const Op* op, const u64* addresses, u64 imm, uint32_t mask, u32 bytes,
                    bool generic, bool write, Access& access) {
  check_generation(w);
  const u64 stand_in = addresses[lowest(mask)] + imm;
  if (generic && stand_in - w.shared_window < kSharedWindowSize &&
      resolve_window(window_of(w, kSharedAddress64), addresses, imm - w.shared_window, mask, bytes, access)) {
    return true;
  }
  access.shared = false;
  u64 stride;
  if (mask == kAllLanes && constant_stride(addresses, stride)) {
    const s64 step = static_cast<s64>(stride);
    const u64 lower = addresses[0] + imm;
    const u64 upper = addresses[kHalfWarp] + imm;
    u64 low, high;
    if (span_of(lower, upper, step, low, high) && ((lower | upper | stride) & (bytes - 1)) == 0 &&
        in_device_memory(w, low, high - low + bytes, write)) {
      access.linear = true;
      access.half[0] = host(lower);
      access.half[1] = host(upper);
      access.stride = step;
      return true;
    }
  }
  access.linear = false;
  if (!inside(w.ranges[0], stand_in, bytes))
    in_device_memory(w, stand_in, bytes, write);  // likely all lanes' range
  const u64 begin = w.ranges[0].begin;
  const u64 size = w.ranges[0].end - begin;
  const u64 room = size - bytes;
  u64 bad = size < bytes || (write && !w.ranges[0].writable) ? 1 : 0;
  const u64 alignment = bytes - 1;
  u64* const pointers = reinterpret_cast<u64*>(access.lane);
  TESSERA_LANES {
    const u64 on = lane_bits<u64>(mask, i);
    const u64 address = ((addresses[i] + imm) & on) | (stand_in & ~on);
    bad |= (address - begin > room ? u64{1} : u64{0}) | (address & alignment);
    pointers[i] = address;
  }
  if (bad == 0) return true;
  TESSERA_ACTIVE(mask) {
    if (!resolve_lane(w, op, addresses[i] + imm, i, bytes, generic, write, access)) return false;
  }
  fill_inactive(mask, access);
  return true;
}

// Inline in both entries: most accesses come by the first, and pass no operand through memory.
__attribute__((always_inline)) inline bool resolve_operand(Warp& w, const Op* op, std::byte* frame,
                                                           const AddressOperand& at, uint32_t mask, u32 bytes,
                                                           bool write, Access& access) {
  switch (at.kind) {
    case kGlobalAddress:
    case kGenericAddress:
      return resolve_global(w, op, slot<u64>(frame, at.slot), static_cast<u64>(at.offset), mask, bytes,
                            at.kind == kGenericAddress, write, access);
    case kSharedAddress32:
    case kLocalAddress32:
    case kParamAddress32:
      return resolve_space(w, op, slot<u32>(frame, at.slot), static_cast<u32>(at.offset), at.kind, mask,
                           bytes, access);
    default:
      return resolve_space(w, op, slot<u64>(frame, at.slot), static_cast<u64>(at.offset), at.kind, mask,
                           bytes, access);
  }
}

}  // namespace

bool resolve(Warp& w, const Op* op, std::byte* frame, u32 addresses, uint32_t mask, u32 bytes, bool write,
             Access& access) {
  return resolve_operand(w, op, frame, {addresses, op->aux & kAddressMask, op->imm}, mask, bytes, write,
                         access);
}

bool resolve(Warp& w, const Op* op, std::byte* frame, const AddressOperand& at, uint32_t mask, u32 bytes,
             bool write, Access& access) {
  return resolve_operand(w, op, frame, at, mask, bytes, write, access);
}

u8* resolve_range(Warp& w, const Op* op, u64 address, u32 kind, u32 lane, u64 bytes, u32 alignment,
                  bool write) {
  check_generation(w);
  if ((address & (alignment - 1)) != 0) {
    fail(w, op, FaultKind::kMisalignedAddress, lane, address, bytes, "misaligned");
    return nullptr;
  }
  if (kind != kSharedAddress64)
    return lane_pointer(w, op, address, lane, bytes, kind == kGenericAddress, write);
  u8* const pointer = shared_pointer(w, address, bytes);
  return pointer != nullptr ? pointer
                            : no_pointer(w, op, lane, address, bytes, "out of bounds of its state space");
}

}  // namespace TESSERA_ISA
}  // namespace tessera::softgpu::exec
