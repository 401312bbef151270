#include "remote/client/known.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <shared_mutex>
#include <unordered_set>

#include "common/size.h"
#include "common/strings.h"
#include "remote/client/contexts.h"
#include "remote/client/thread_state.h"
#include "remote/wire/handle_id.h"

namespace tessera::remote {
namespace {

// Which of the client's own numbers are live, and of which context: a byte each, in chunks that are made as
// they are needed and never move.
class LiveNumbers {
 public:
  static constexpr uint64_t kChunk = 64 << 10;
  static constexpr uint64_t kChunks = 1024;

  bool is_live(uint64_t number) const { return mark_of(number) != 0; }
  uint8_t mark_of(uint64_t number) const {
    if (number >= kChunk * kChunks) return 0;
    const auto* chunk = chunks_[number / kChunk].load(std::memory_order_acquire);
    return chunk == nullptr ? 0 : chunk[number % kChunk].load(std::memory_order_relaxed);
  }
  void set(uint64_t number, uint8_t mark) {
    if (number >= kChunk * kChunks) return;  // such are never sent without waiting
    auto& place = chunks_[number / kChunk];
    auto* chunk = place.load(std::memory_order_acquire);
    if (chunk == nullptr) {
      std::lock_guard lock(lock_);
      chunk = place.load(std::memory_order_acquire);
      if (chunk == nullptr) {
        chunk = new std::atomic<uint8_t>[kChunk]();
        place.store(chunk, std::memory_order_release);
      }
    }
    chunk[number % kChunk].store(mark, std::memory_order_relaxed);
  }

 private:
  std::atomic<std::atomic<uint8_t>*> chunks_[kChunks] = {};
  std::mutex lock_;
};

struct Ranges {
  std::shared_mutex lock;
  struct Range {
    uint64_t bytes;
    unsigned server;
  };
  std::map<CUdeviceptr, Range> sizes;
  std::atomic<uint64_t> version{1};
};

struct Graphs {
  std::shared_mutex lock;
  std::unordered_set<CUgraphExec> live;
};

LiveNumbers& streams() {
  static auto* numbers = new LiveNumbers;
  return *numbers;
}
LiveNumbers& events() {
  static auto* numbers = new LiveNumbers;
  return *numbers;
}
Ranges& ranges() {
  static auto* found = new Ranges;
  return *found;
}
Graphs& graphs() {
  static auto* found = new Graphs;
  return *found;
}

uint64_t index_of(uint64_t id) { return number_of(id) & (kNumbersOfServer - 1); }

// Of the current context, never 0. Two that differ are of two contexts.
uint8_t mark_of_current() {
  constexpr uint64_t kMarks = 255;
  CUdevice device = 0;
  uint64_t number = 0;
  (void)find_context(this_thread().current(), &device, &number);
  return static_cast<uint8_t>(1 + number % kMarks);
}

// The range that was found last: programs use the same memory over and over.
struct LastRange {
  uint64_t version = 0;
  CUdeviceptr begin = 0;
  uint64_t bytes = 0;
};
constinit thread_local LastRange last_range;

}  // namespace

constinit std::atomic<int> Known::trouble_{0};
constinit std::atomic<int> Known::captures_{0};
constinit std::atomic<bool> Known::has_failed_{false};
constinit std::atomic<uint64_t> Known::streams_next_{handle_id(HandleKind::kCUstream, kOfClient)};
constinit std::atomic<uint64_t> Known::events_next_{handle_id(HandleKind::kCUevent, kOfClient)};

void Known::capture_began() {
  captures_.fetch_add(1);
  trouble_.fetch_add(1);
}

void Known::capture_ended() {
  captures_.fetch_sub(1);
  trouble_.fetch_sub(1);
}

void Known::heard(CUresult result) {
  switch (result) {
    case CUDA_ERROR_ECC_UNCORRECTABLE:
    case CUDA_ERROR_ILLEGAL_ADDRESS:
    case CUDA_ERROR_LAUNCH_TIMEOUT:
    case CUDA_ERROR_ASSERT:
    case CUDA_ERROR_HARDWARE_STACK_ERROR:
    case CUDA_ERROR_ILLEGAL_INSTRUCTION:
    case CUDA_ERROR_MISALIGNED_ADDRESS:
    case CUDA_ERROR_INVALID_ADDRESS_SPACE:
    case CUDA_ERROR_INVALID_PC:
    case CUDA_ERROR_LAUNCH_FAILED:
      if (!has_failed_.exchange(true)) trouble_.fetch_add(1);
      break;
    default:
      break;
  }
}

void Known::contexts_were_reset() {
  if (has_failed_.exchange(false)) trouble_.fetch_sub(1);
}

bool Known::stream(bool, CUstream stream) {
  const auto id = reinterpret_cast<uint64_t>(stream);
  if (id <= reinterpret_cast<uint64_t>(CU_STREAM_PER_THREAD)) return this_thread().current() != nullptr;
  return is_of_client(id) && kind_of(id) == HandleKind::kCUstream && streams().is_live(index_of(id));
}

bool Known::event(CUevent event) {
  const auto id = reinterpret_cast<uint64_t>(event);
  return is_of_client(id) && kind_of(id) == HandleKind::kCUevent && events().is_live(index_of(id));
}

void Known::set_stream(uint64_t id, bool is_live) {
  if (is_of_client(id)) streams().set(index_of(id), is_live ? mark_of_current() : 0);
}
void Known::set_event(uint64_t id, bool is_live) {
  if (is_of_client(id)) events().set(index_of(id), is_live ? mark_of_current() : 0);
}

bool Known::of_one_context(CUevent event, CUstream stream) {
  const auto id = reinterpret_cast<uint64_t>(stream);
  const uint8_t its = is_of_client(id) ? streams().mark_of(index_of(id)) : mark_of_current();
  return its == events().mark_of(index_of(reinterpret_cast<uint64_t>(event)));
}

bool Known::graph_exec(CUgraphExec exec) {
  std::shared_lock lock(graphs().lock);
  return graphs().live.contains(exec);
}
void Known::add_graph_exec(CUgraphExec exec) {
  std::unique_lock lock(graphs().lock);
  graphs().live.insert(exec);
}
void Known::remove_graph_exec(CUgraphExec exec) {
  std::unique_lock lock(graphs().lock);
  graphs().live.erase(exec);
}

bool Known::device(CUdeviceptr address, uint64_t bytes) {
  const uint64_t version = ranges().version.load(std::memory_order_acquire);
  if (last_range.version != version || address - last_range.begin >= last_range.bytes) {
    CUdeviceptr base = 0;
    size_t size = 0;
    if (!device_range(address, &base, &size)) return false;
    last_range = {version, base, size};
  }
  const uint64_t offset = address - last_range.begin;
  return bytes <= last_range.bytes && offset <= last_range.bytes - bytes;
}

void Known::add_device(CUdeviceptr address, uint64_t bytes, unsigned server) {
  std::unique_lock lock(ranges().lock);
  ranges().sizes[address] = {bytes, server};
  ranges().version.fetch_add(1);
}

void Known::remove_device(CUdeviceptr address) {
  std::unique_lock lock(ranges().lock);
  ranges().sizes.erase(address);
  ranges().version.fetch_add(1);
}

bool Known::device_range(CUdeviceptr address, CUdeviceptr* base, size_t* bytes) {
  std::shared_lock lock(ranges().lock);
  auto after = ranges().sizes.upper_bound(address);
  if (after == ranges().sizes.begin()) return false;
  const auto& [begin, range] = *std::prev(after);
  if (address - begin >= range.bytes) return false;
  *base = begin;
  *bytes = range.bytes;
  return true;
}

std::string Known::describe(unsigned server) {
  std::shared_lock lock(ranges().lock);
  uint64_t bytes = 0;
  size_t blocks = 0;
  for (const auto& [address, range] : ranges().sizes) {
    if (range.server != server) continue;
    bytes += range.bytes;
    ++blocks;
  }
  return str_format("%zu allocations of %s together, and its contexts, code, streams and events", blocks,
                    blocks == 0 ? "nothing" : format_size(bytes).c_str());
}

int Known::server_of(CUdeviceptr address) {
  std::shared_lock lock(ranges().lock);
  auto after = ranges().sizes.upper_bound(address);
  if (after == ranges().sizes.begin()) return -1;
  const auto& [begin, range] = *std::prev(after);
  return address - begin < std::max<uint64_t>(range.bytes, 1) ? static_cast<int>(range.server) : -1;
}

}  // namespace tessera::remote
