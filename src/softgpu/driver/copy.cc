#include "softgpu/driver/copy.h"

#include <cstring>
#include <optional>

#include "common/populate.h"
#include "common/wide_copy.h"
#include "softgpu/driver/device.h"
#include "softgpu/driver/device_faults.h"
#include "softgpu/driver/device_memory.h"
#include "softgpu/driver/graph/capture.h"
#include "softgpu/driver/graph/graph_memory.h"
#include "softgpu/driver/graph/work.h"
#include "softgpu/driver/memory.h"
#include "softgpu/driver/memory_use.h"
#include "softgpu/driver/state.h"
#include "softgpu/driver/stream.h"
#include "softgpu/driver/visibility.h"
#include "softgpu/memory/address_cover.h"
#include "softgpu/memory/allocation_table.h"

namespace tessera::softgpu {
namespace {

// Host memory the driver does not know is staged up to this size, so that the call need not wait (as CUDA
// documents).
constexpr size_t kStagedBytes = 64u << 10;

// Bytes from the first to the last one of a box on one side.
size_t span_of(size_t width, size_t height, size_t depth, size_t pitch, size_t slice) {
  return (depth - 1) * slice + (height - 1) * pitch + width;
}

size_t span_of(const SetBox& box) { return span_of(box.width * box.element, box.height, 1, box.pitch, 0); }
UsedMemory dst_of(const CopyBox& box) {
  return {box.dst, span_of(box.width, box.height, box.depth, box.dst_pitch, box.dst_slice)};
}
UsedMemory src_of(const CopyBox& box) {
  return {box.src, span_of(box.width, box.height, box.depth, box.src_pitch, box.src_slice)};
}

// What the driver knows to be there; nothing where it is the program's own.
using Place = std::optional<Allocation>;
struct Places {
  Place dst, src;
  uint64_t seen = 0;  // as MemoryUse wants it
};

UsedMemory guarded(UsedMemory memory, const Place& place) {
  const bool own = !place || place->kind == MemoryKind::kRegistered;
  return own ? UsedMemory{} : memory;
}

// Whether an error of memory is in there: the context has failed then.
bool struck(Context& context, UsedMemory memory) {
  for (Device* device : devices()) {
    if (device->faults().latent() && device->memory().contains(memory.begin))
      return device->faults().strike(context, memory.begin, memory.begin + memory.size);
  }
  return false;
}

// Smaller ones may well be what a kernel reads next.
constexpr size_t kPastCaches = 512u << 10;

// `is_told`: the program waits for what is copied, and reads it.
void copy_run(std::byte* dst, const std::byte* src, size_t bytes, bool is_told) {
  const bool apart = dst + bytes <= src || src + bytes <= dst;
  if (bytes < kPastCaches || !apart) {
    memmove(dst, src, bytes);
  } else {
    populate(dst, bytes);
    wide_copy(dst, src, bytes, is_told && bytes <= kPastCaches * 2 ? CopyTo::kCache : CopyTo::kMemory);
  }
}

void copy_box(const CopyBox& box, bool is_told) {
  for (size_t z = 0; z < box.depth; ++z) {
    auto* dst = reinterpret_cast<std::byte*>(box.dst + z * box.dst_slice);
    const auto* src = reinterpret_cast<const std::byte*>(box.src + z * box.src_slice);
    const bool dense = box.width == box.dst_pitch && box.width == box.src_pitch;
    const size_t rows = dense ? 1 : box.height;
    const size_t bytes = dense ? box.width * box.height : box.width;
    for (size_t y = 0; y < rows; ++y)
      copy_run(dst + y * box.dst_pitch, src + y * box.src_pitch, bytes, is_told);
  }
}

class CopyOp : public ThreadOp {
 public:
  CopyOp(std::shared_ptr<Context> context, const CopyBox& box, const Places& places,
         std::vector<std::byte> staged = {})
      : ThreadOp(context->device().copies()),
        context_(std::move(context)),
        box_(box),
        dst_(guarded(dst_of(box), places.dst)),
        src_(guarded(src_of(box), places.src)),
        seen_(places.seen),
        is_told_(!places.dst || !places.dst->on_device()),
        staged_(std::move(staged)) {
    if (!staged_.empty()) box_.src = reinterpret_cast<uint64_t>(staged_.data());
  }
  void run() override {
    if (context_->status() != CUDA_SUCCESS || struck_by_error()) return;
    const MemoryUse use(*context_, seen_, dst_, src_);
    if (use.allowed()) copy_box(box_, is_told_);
  }

 private:
  bool struck_by_error() const { return struck(*context_, dst_of(box_)) || struck(*context_, src_of(box_)); }

  const std::shared_ptr<Context> context_;
  CopyBox box_;
  const UsedMemory dst_, src_;
  const uint64_t seen_;
  const bool is_told_;
  const std::vector<std::byte> staged_;
};

template <typename T>
void fill_row(uint64_t dst, uint32_t value, size_t count) {
  auto* row = reinterpret_cast<T*>(dst);
  for (size_t i = 0; i < count; ++i) row[i] = static_cast<T>(value);
}

void fill_box(const SetBox& box) {
  for (size_t y = 0; y < box.height; ++y) {
    const uint64_t row = box.dst + y * box.pitch;
    if (box.element == 1) {
      memset(reinterpret_cast<void*>(row), static_cast<int>(box.value & 0xff), box.width);
    } else if (box.element == 2) {
      fill_row<uint16_t>(row, box.value, box.width);
    } else {
      fill_row<uint32_t>(row, box.value, box.width);
    }
  }
}

class FillOp : public ThreadOp {
 public:
  FillOp(std::shared_ptr<Context> context, const SetBox& box, const Place& dst)
      : ThreadOp(context->device().copies()),
        context_(std::move(context)),
        box_(box),
        dst_(guarded({box.dst, span_of(box)}, dst)) {}
  void run() override {
    if (context_->status() != CUDA_SUCCESS || struck(*context_, {box_.dst, span_of(box_)})) return;
    const MemoryUse use(*context_, 0, dst_);
    if (use.allowed()) fill_box(box_);
  }

 private:
  const std::shared_ptr<Context> context_;
  const SetBox box_;
  const UsedMemory dst_;
};

enum class When : uint8_t { kNow, kLater };
enum class Use : uint8_t { kRead, kWrite };

// What a place is checked for: by whom it is used, how and when.
struct Purpose {
  const Context& context;
  When when;
  Use use;
};

// Finds out what is at `address`. A unified or device address must lie in one allocation from its begin to
// its end, or in mappings that adjoin and that the device may use so.
CUresult check(uint64_t address, size_t bytes, Side side, const Purpose& purpose, Place* allocation) {
  if (address + bytes < address) return CUDA_ERROR_INVALID_VALUE;
  *allocation = AllocationTable::instance().find(address);
  if (!*allocation) {
    if (purpose.when == When::kLater && GraphMemory::instance().covers(address, bytes)) return CUDA_SUCCESS;
    const bool plain_host = side == Side::kHost || (side == Side::kUnified && address != 0);
    return plain_host && address != 0 && !in_device_addresses(address) ? CUDA_SUCCESS
                                                                       : CUDA_ERROR_INVALID_VALUE;
  }
  if ((*allocation)->kind == MemoryKind::kVirtual) {
    const AddressMap& map = purpose.context.device().addresses();
    return covers(map, address, bytes, purpose.use == Use::kWrite) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
  }
  const bool inside = bytes <= (*allocation)->end() - address;
  // Host memory may go on beyond what is registered of it.
  if ((*allocation)->kind == MemoryKind::kRegistered && side != Side::kDevice) return CUDA_SUCCESS;
  return inside ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

bool in_map_of(const Context& context, const Place& place) {
  return !place || place->device == context.device().ordinal();
}

CUresult check_both(const Context& context, const CopyRequest& request, When when, Places* places) {
  const uint64_t seen = context.device().addresses().generation();
  const UsedMemory dst = dst_of(request.box), src = src_of(request.box);
  CUresult result = check(dst.begin, dst.size, request.dst_side, {context, when, Use::kWrite}, &places->dst);
  if (result == CUDA_SUCCESS)
    result = check(src.begin, src.size, request.src_side, {context, when, Use::kRead}, &places->src);
  // Another device's memory need not be in the map of this one.
  if (in_map_of(context, places->dst) && in_map_of(context, places->src)) places->seen = seen;
  return result;
}

CUresult check_shape(const SetBox& box) {
  constexpr size_t kMaxExtent = size_t{1} << 47;
  if (box.width > kMaxExtent / box.element || box.dst % box.element != 0) return CUDA_ERROR_INVALID_VALUE;
  const size_t row = box.width * box.element;
  if (box.height > 1 &&
      (box.pitch < row || box.pitch > kMaxExtent / box.height || box.pitch % box.element != 0)) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  return CUDA_SUCCESS;
}

CUresult check_target(const Context& context, const SetBox& box, When when, Place* dst) {
  const CUresult result = check_shape(box);
  if (result != CUDA_SUCCESS) return result;
  return check(box.dst, span_of(box), Side::kDevice, {context, when, Use::kWrite}, dst);
}

// Before a copy or set: whether a capture takes it. A synchronous one cannot be captured, and it waits for
// what a capture elsewhere may forbid to wait for.
CUresult enter(Stream& stream, bool wait, bool* captured) {
  CUresult result = wait ? forbid_captured(stream) : CUDA_SUCCESS;
  if (result == CUDA_SUCCESS) result = enter_stream(stream, captured);
  return result == CUDA_SUCCESS && wait ? forbid_unsafe() : result;
}

// Whether what is there may go while the context's work goes on: with its own context, or on another device.
bool foreign(const Context& context, const Place& place) {
  return place && (place->context != context.id() || place->device != context.device().ordinal());
}

// Runs `op` here and now where nothing precedes it; what a synchronous call does otherwise is to submit it
// and wait.
CUresult do_or_wait(Stream& stream, const std::shared_ptr<ThreadOp>& op) {
  if (OpGraph::instance().submit_or_claim(stream.queue(), op)) {
    op->run();
    OpGraph::instance().finish(op);
  } else {
    op->wait();
  }
  stream.context().flush_output();
  return stream.context().status();
}

}  // namespace

CUresult copy(Stream& stream, const CopyRequest& request, bool wait) {
  const CopyBox& box = request.box;
  bool captured = false;
  CUresult result = enter(stream, wait, &captured);
  if (result != CUDA_SUCCESS || box.empty()) return result;
  Places places;
  result = check_both(stream.context(), request, captured ? When::kLater : When::kNow, &places);
  const Place &dst = places.dst, &src = places.src;
  if (result != CUDA_SUCCESS) return result;
  if (captured) return capture_work(stream, std::make_shared<CopyWork>(request, stream.context_ref()));

  const std::shared_ptr<Context> context = stream.context_ref();
  const bool pageable = !dst || !src;
  const bool host_reads = dst && !src && box.height == 1 && box.depth == 1 && box.width <= kStagedBytes;
  const bool device_only = dst && src && dst->on_device() && src->on_device();
  if (stream.idle() && (wait || pageable)) {
    return do_or_wait(stream, std::make_shared<CopyOp>(context, box, places));
  }
  std::vector<std::byte> staged;
  if (host_reads) {
    const auto* bytes = reinterpret_cast<const std::byte*>(box.src);
    staged.assign(bytes, bytes + box.width);
  }
  auto op = std::make_shared<CopyOp>(context, box, places, std::move(staged));
  // Between device memory no call waits; host memory that is not pinned must not change before it has been
  // read.
  const bool must_wait = !host_reads && (pageable || (wait && !device_only));
  if (must_wait) return do_or_wait(stream, op);
  stream.submit(op);
  if (foreign(*context, dst) || foreign(*context, src)) note_foreign_use(op);
  return CUDA_SUCCESS;
}

CUresult fill(Stream& stream, const SetBox& box, bool wait) {
  bool captured = false;
  CUresult result = enter(stream, wait, &captured);
  if (result != CUDA_SUCCESS || box.width == 0 || box.height == 0) return result;
  Place dst;
  result = check_target(stream.context(), box, captured ? When::kLater : When::kNow, &dst);
  if (result != CUDA_SUCCESS) return result;
  if (captured) {
    WorkRef work;
    result = SetWork::create(
        {box.dst, box.pitch, box.value, static_cast<unsigned>(box.element), box.width, box.height},
        stream.context_ref(), &work);
    return result == CUDA_SUCCESS ? capture_work(stream, std::move(work)) : result;
  }
  auto op = std::make_shared<FillOp>(stream.context_ref(), box, dst);
  // Setting device memory never waits; setting host memory does.
  if (wait && (stream.idle() || !dst->on_device())) return do_or_wait(stream, op);
  stream.submit(op);
  if (foreign(stream.context(), dst)) note_foreign_use(op);
  return CUDA_SUCCESS;
}

CUresult check_copy(const Context& context, const CopyRequest& request) {
  if (request.box.empty()) return CUDA_SUCCESS;
  Places places;
  return check_both(context, request, When::kLater, &places);
}

CUresult check_fill(const Context& context, const SetBox& box) {
  if (box.width == 0 || box.height == 0) return CUDA_SUCCESS;
  Place dst;
  return check_target(context, box, When::kLater, &dst);
}

CUresult make_copy(const std::shared_ptr<Context>& context, const CopyRequest& request, OpRef* op) {
  op->reset();
  if (request.box.empty()) return CUDA_SUCCESS;
  Places places;
  const CUresult result = check_both(*context, request, When::kNow, &places);
  if (result != CUDA_SUCCESS) return result;
  *op = std::make_shared<CopyOp>(context, request.box, places);
  if (foreign(*context, places.dst) || foreign(*context, places.src)) note_foreign_use(*op);
  return CUDA_SUCCESS;
}

CUresult make_fill(const std::shared_ptr<Context>& context, const SetBox& box, OpRef* op) {
  op->reset();
  if (box.width == 0 || box.height == 0) return CUDA_SUCCESS;
  Place dst;
  const CUresult result = check_target(*context, box, When::kNow, &dst);
  if (result != CUDA_SUCCESS) return result;
  *op = std::make_shared<FillOp>(context, box, dst);
  if (foreign(*context, dst)) note_foreign_use(*op);
  return CUDA_SUCCESS;
}

}  // namespace tessera::softgpu
