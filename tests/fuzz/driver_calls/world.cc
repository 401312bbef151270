#include "tests/fuzz/driver_calls/world.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <iterator>

namespace tessera::fuzz {
namespace {

constexpr int kMostReferences = 64;  // more than a program can have taken
constexpr size_t kMostOfAKind = 64;  // made because they were wanted

const bool trace = std::getenv("FUZZ_TRACE") != nullptr;

}  // namespace

std::byte* host_buffer() {
  alignas(4096) static std::byte buffer[kHostBytes];
  return buffer;
}

CUresult World::note(const char* call, CUresult result) {
  if (trace) std::fprintf(stderr, "%s: %d\n", call, static_cast<int>(result));
  // What a card's driver answers to a grid that cannot be; it has no name (softgpu/driver/launch.cc).
  constexpr auto kInvalidConfiguration = static_cast<CUresult>(9);
  const char* name = nullptr;
  const bool known = result == kInvalidConfiguration || cuGetErrorName(result, &name) == CUDA_SUCCESS;
  if (result == CUDA_ERROR_UNKNOWN || !known) {
    std::fprintf(stderr, "%s answers %d\n", call, static_cast<int>(result));
    std::abort();
  }
  return result;
}

uint64_t World::pick_wrong() {
  if (bytes.coin()) {
    constexpr uint64_t kNothing[] = {0, 1, 2, 3, 16, 0xdeadbeefcafe, ~0ull, 1ull << 63};
    return bytes.one_of(kNothing);
  }
  const auto& other = tables_[bytes.below(static_cast<uint32_t>(Kind::kCount))].living;
  return other.empty() ? 0 : other[bytes.byte() % other.size()];
}

uint64_t World::pick(Kind kind) {
  if (bytes.rarely()) return pick_wrong();
  const uint8_t choice = bytes.byte();
  const auto& [living, dead] = table(kind);
  if (choice >= 248 && !dead.empty()) return dead[bytes.byte() % dead.size()];
  if (living.empty() && dead.size() < kMostOfAKind) make(*this, kind);
  return living.empty() ? 0 : living[choice % living.size()];
}

void World::bury(Kind kind, uint64_t handle) {
  auto& [living, dead] = table(kind);
  const auto found = std::find(living.begin(), living.end(), handle);
  if (found == living.end()) return;
  living.erase(found);
  dead.push_back(handle);
}

std::vector<uint64_t> World::all(Kind kind) {
  const auto& [living, dead] = table(kind);
  std::vector<uint64_t> found = living;
  found.insert(found.end(), dead.begin(), dead.end());
  return found;
}

void World::freed_unknown() {
  for (Kind kind : {Kind::kStream, Kind::kEvent, Kind::kModule, Kind::kFunction, Kind::kDevicePointer,
                    Kind::kArray, Kind::kMipmap, Kind::kTexture, Kind::kSurface}) {
    auto& [living, dead] = table(kind);
    dead.insert(dead.end(), living.begin(), living.end());
    living.clear();
  }
  live_.clear();
  pinned.clear();
  registered.clear();
  managed.clear();
  capturing.clear();
}

void World::settle() {
  if (bytes.rarely()) return;
  CUcontext current = nullptr;
  unsigned flags = 0;
  CALL(*this, cuCtxGetCurrent, &current);
  if (CALL(*this, cuCtxGetFlags, &flags) == CUDA_SUCCESS) return;
  if (current != nullptr) {  // it has failed, or it is gone
    if (CALL(*this, cuCtxDestroy_v2, current) == CUDA_SUCCESS) gone(Kind::kContext, current);
    for (CUdevice ordinal = 0; ordinal < kDevices; ++ordinal)
      CALL(*this, cuDevicePrimaryCtxReset_v2, ordinal);
    freed_unknown();
  }
  for (const uint64_t context : living(Kind::kContext)) {
    if (CALL(*this, cuCtxSetCurrent, narrow<CUcontext>(context)) == CUDA_SUCCESS &&
        CALL(*this, cuCtxGetFlags, &flags) == CUDA_SUCCESS)
      return;
  }
  make(*this, Kind::kContext);
}

CUdevice World::device() {
  constexpr CUdevice kChoices[] = {0, 0, 0, 1}, kWrong[] = {2, -1, 0x7fffffff};
  return bytes.one_of(kChoices, kWrong);
}

size_t World::size() {
  constexpr size_t kChoices[] = {1,    4,     100,     256,     512,     513,     4096,    65536,  100'000,
                                 4096, 65536, 1 << 20, 1 << 20, 1 << 20, 2 << 20, 4 << 20, 5 << 20};
  constexpr size_t kWrong[] = {16 << 20, 64 << 20, 1ull << 32, 1ull << 40, 0, 1ull << 63, ~0ull, ~0ull - 511};
  return bytes.one_of(kChoices, kWrong);
}

size_t World::small_size() {
  constexpr size_t kChoices[] = {0, 1, 3, 4, 8, 16, 100, 256, 512, 1000, 4096, 4097, 32768, kMostHostBytes};
  return bytes.one_of(kChoices);
}

CUdeviceptr World::device_pointer() {
  const auto base = get<CUdeviceptr>(bytes.below(8) == 0 ? Kind::kVirtualPointer : Kind::kDevicePointer);
  constexpr CUdeviceptr kOffsets[] = {0, 0, 0, 0, 4, 256}, kWrong[] = {1, 4096, 1 << 20};
  return base + bytes.one_of(kOffsets, kWrong);
}

Span World::device_span(size_t most) {
  if (bytes.rarely()) return {device_pointer(), std::min(size(), most)};
  if (bytes.below(8) == 0) {
    if (mappings.empty()) make_mapping(*this);
    if (!mappings.empty()) {
      const Span& mapping = mappings[bytes.byte() % mappings.size()];
      return {mapping.begin, std::min(mapping.size, most)};
    }
  }
  if (live_.empty()) make(*this, Kind::kDevicePointer);
  if (live_.empty()) return {};
  const auto [base, whole] = *std::next(live_.begin(), static_cast<long>(bytes.byte() % live_.size()));
  constexpr size_t kOffsets[] = {0, 0, 0, 0, 4, 256, 512, 4096};
  const size_t offset = bytes.one_of(kOffsets);
  if (offset >= whole) return {base, std::min(whole, most)};
  return {base + offset, std::min(whole - offset, most)};
}

CUdeviceptr World::room(size_t wanted) {
  Span found;
  for (int tries = 0; tries < 4 && found.size < wanted; ++tries) found = device_span(wanted);
  return found.begin;
}

Span World::known_span() {
  if (live_.empty() || bytes.coin()) return {reinterpret_cast<CUdeviceptr>(host()), kMostHostBytes};
  const auto [base, whole] = *std::next(live_.begin(), static_cast<long>(bytes.byte() % live_.size()));
  return {base, std::min(whole, kMostHostBytes)};
}

std::byte* World::host() {
  constexpr size_t kOffsets[] = {0, 0, 1, 16, 4096, kMostHostBytes};
  std::byte* base = host_buffer();
  if (!pinned.empty() && !captured && bytes.coin())  // each has 2 * kMostHostBytes
    base = static_cast<std::byte*>(pinned[bytes.byte() % pinned.size()]);
  return base + bytes.one_of(kOffsets);
}

void World::allocated(CUdeviceptr address, size_t size) {
  const auto next = live_.lower_bound(address);
  const bool free_above = next == live_.end() || next->first - address >= size;
  const bool free_below =
      next == live_.begin() || std::prev(next)->first + std::prev(next)->second <= address;
  if (address == 0 || !free_above || !free_below) {
    std::fprintf(stderr, "%zu bytes at %llx are another's already\n", size, address);
    std::abort();
  }
  live_.emplace(address, size);
  add(Kind::kDevicePointer, address);
}

void World::destroy_contexts() {
  CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_RELAXED;
  CALL(*this, cuThreadExchangeStreamCaptureMode, &mode);
  for (uint64_t handle : all(Kind::kContext)) CALL(*this, cuCtxDestroy_v2, narrow<CUcontext>(handle));
  for (CUdevice ordinal = 0; ordinal < kDevices; ++ordinal) {
    for (int i = 0; i < kMostReferences; ++i)
      if (CALL(*this, cuDevicePrimaryCtxRelease_v2, ordinal) != CUDA_SUCCESS) break;
    CALL(*this, cuDevicePrimaryCtxReset_v2, ordinal);
  }
  for (CUcontext popped = nullptr; CALL(*this, cuCtxPopCurrent_v2, &popped) == CUDA_SUCCESS;) {
  }
  mode = CU_STREAM_CAPTURE_MODE_GLOBAL;
  CALL(*this, cuThreadExchangeStreamCaptureMode, &mode);
}

void World::destroy_graphs() {
  for (uint64_t exec : all(Kind::kGraphExec)) CALL(*this, cuGraphExecDestroy, narrow<CUgraphExec>(exec));
  for (uint64_t graph : all(Kind::kGraph)) CALL(*this, cuGraphDestroy, narrow<CUgraph>(graph));
  for (uint64_t object : all(Kind::kUserObject)) {
    for (int i = 0; i < kMostReferences; ++i)
      if (CALL(*this, cuUserObjectRelease, narrow<CUuserObject>(object), 1) != CUDA_SUCCESS) break;
  }
  for (uint64_t library : all(Kind::kLibrary)) CALL(*this, cuLibraryUnload, narrow<CUlibrary>(library));
}

// What a graph has allocated and nobody freed outlives the graph and its contexts.
void World::free_graph_memory() {
  CUcontext context = nullptr;
  if (CALL(*this, cuCtxCreate_v2, &context, 0, 0) != CUDA_SUCCESS) std::abort();
  for (uint64_t address : all(Kind::kDevicePointer)) CALL(*this, cuMemFree_v2, address);
  CALL(*this, cuCtxDestroy_v2, context);
}

void World::give_memory_back() {
  for (const Span& mapping : mappings) CALL(*this, cuMemUnmap, mapping.begin, mapping.size);
  for (const Span& range : reservations) CALL(*this, cuMemAddressFree, range.begin, range.size);
  for (uint64_t physical : all(Kind::kPhysical)) {
    for (int i = 0; i < kMostReferences; ++i)
      if (CALL(*this, cuMemRelease, physical) != CUDA_SUCCESS) break;
  }
  for (CUdevice ordinal = 0; ordinal < kDevices; ++ordinal) {
    CUmemoryPool pool = nullptr;
    CALL(*this, cuDeviceGraphMemTrim, ordinal);
    CALL(*this, cuDeviceGetDefaultMemPool, &pool, ordinal);
    CALL(*this, cuDeviceSetMemPool, ordinal, pool);
    cuuint64_t kept = 0;
    CALL(*this, cuMemPoolSetAttribute, pool, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &kept);
    CALL(*this, cuMemPoolTrimTo, pool, 0);
  }
  for (uint64_t pool : all(Kind::kPool)) CALL(*this, cuMemPoolDestroy, narrow<CUmemoryPool>(pool));
}

void World::clean_up() {
  destroy_contexts();
  destroy_graphs();
  free_graph_memory();
  give_memory_back();
}

}  // namespace tessera::fuzz
