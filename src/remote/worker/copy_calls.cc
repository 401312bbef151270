// Copies between the client's memory and the device.
#include <algorithm>
#include <cstring>
#include <utility>

#include "remote/wire/copy.h"
#include "remote/worker/own_calls.h"
#include "remote/worker/worker.h"

namespace tessera::remote {
namespace {

// Payload up to this size is given to the driver as it lies: pageable memory that it has read when it
// returns.
constexpr uint64_t kSmallBytes = 64 << 10;

Status skip_payload(Serving& s, uint64_t bytes) {
  std::byte nowhere[16 << 10];
  for (uint64_t left = bytes; left > 0;) {
    const uint64_t part = std::min<uint64_t>(left, sizeof nowhere);
    TESSERA_RETURN_IF_ERROR(s.read_payload(std::span(nowhere, part)));
    left -= part;
  }
  return Status();
}

// A copy that the program has waited for may have gone into memory of its own.
void look_at_target(Serving& s, CUdeviceptr target) {
  if (s.worker.mirrors().find(target, 1) == nullptr) return;
  s.worker.note_launch();
  s.worker.bring_host_changes();
}

// A piece of payload on its way to the device, in stream order.
CUresult copy_piece_in(Serving& s, const CopyFields& fields, CUstream stream, uint64_t at, uint64_t part,
                       bool* is_read) {
  std::span<std::byte> place;
  const bool is_small = fields.bytes <= kSmallBytes;
  if (is_small) {
    place = std::span(s.arena.array<std::byte>(kSmallBytes), part);
  } else {
    place = s.worker.staging().take(part);
  }
  if (place.data() == nullptr) return CUDA_ERROR_OUT_OF_MEMORY;
  const bool is_plain_here = fields.form == PieceForm::kPlain && fields.number == 0;
  const Status read = is_plain_here ? s.read_payload(place) : s.worker.pieces_in().read(s, fields, place);
  if (!read.ok()) return CUDA_ERROR_UNKNOWN;
  *is_read = true;
  const CUresult result = s.table.cuMemcpyHtoDAsync_v2(fields.device + at, place.data(), part, stream);
  return result == CUDA_SUCCESS && !is_small ? s.worker.staging().used_by(stream) : result;
}

// Memory that the driver has read when the call returns: straight from where the client has put it, unless
// the call would wait for the stream.
CUresult copy_from_area(Serving& s, const CopyFields& fields, CUstream stream) {
  SharedArea& area = *s.worker.link().area_in();
  const auto slot = static_cast<uint32_t>(fields.stored);
  std::span<const std::byte> source = area.slot(slot).first(fields.bytes);
  const bool is_idle = !s.worker.is_capturing() && s.table.cuStreamQuery != nullptr &&
                       s.table.cuStreamQuery(stream) == CUDA_SUCCESS;
  if (!is_idle) {
    const auto staged = s.worker.staging().take(fields.bytes);
    if (!staged.empty()) memcpy(staged.data(), source.data(), source.size());
    source = staged;
  }
  CUresult result = source.empty()
                        ? CUDA_ERROR_OUT_OF_MEMORY
                        : s.table.cuMemcpyHtoDAsync_v2(fields.device, source.data(), source.size(), stream);
  if (result == CUDA_SUCCESS && !is_idle) result = s.worker.staging().used_by(stream);
  area.give_back(slot);
  s.worker.link().count_area(0, fields.bytes);
  return result;
}

bool is_sane(const CopyFields& fields) {
  if (fields.bytes > kMaxPayloadBytes) return false;
  if (fields.number != 0 && (fields.bytes > kPieceBytes || fields.form == PieceForm::kArea)) return false;
  if (fields.form == PieceForm::kPlain) return fields.stored == fields.bytes;
  if (fields.form == PieceForm::kArea) return fields.bytes <= kAreaSlotBytes && fields.stored < kAreaSlots;
  return fields.form == PieceForm::kCoded && fields.bytes <= kPieceBytes && fields.stored < fields.bytes;
}

CUresult copy_in(Serving& s) {
  const auto fields = s.in.value<CopyFields>();
  if (!s.in.whole() || !is_sane(fields)) return s.malformed();
  const bool is_in_area = fields.form == PieceForm::kArea;
  if (is_in_area && (s.worker.link().area_in() == nullptr || s.thread->content.is_named()))
    return s.malformed();
  const auto stream = s.handle<CUstream>(HandleKind::kCUstream, fields.stream);
  CUresult result = s.failed;
  uint64_t at = 0;
  s.worker.note_work();
  if (is_in_area) {
    if (result == CUDA_SUCCESS) return copy_from_area(s, fields, stream);
    s.worker.link().area_in()->give_back(static_cast<uint32_t>(fields.stored));
    return result;
  }
  while (at < fields.bytes && result == CUDA_SUCCESS) {
    const uint64_t part =
        std::min(fields.bytes - at, fields.bytes <= kSmallBytes ? kSmallBytes : kPieceBytes);
    bool is_read = false;
    result = copy_piece_in(s, fields, stream, at, part, &is_read);
    if (is_read) at += part;
    if (result == CUDA_ERROR_UNKNOWN && !is_read) return s.malformed();
  }
  if (s.wants_answer) look_at_target(s, fields.device);
  // What is left of a payload that cannot be used still has to be read.
  if (fields.number != 0) {
    if (at == 0 && !s.worker.stripes().take(fields.number).ok()) return s.malformed();
    return result;
  }
  const uint64_t had = at == 0 || fields.form == PieceForm::kPlain ? at : fields.stored;
  if (!skip_payload(s, padded(fields.stored) - had).ok()) return s.malformed();
  return result;
}

// The answer's payload, a piece ahead of the link.
class PayloadOut final : public Worker::Payload {
 public:
  PayloadOut(Serving& s, const CopyFields& fields, CUstream stream)
      : s_(s), fields_(fields), stream_(stream), pieces_(s.worker.pieces_out()) {
    bytes = fields.bytes;
    if (fields.stripes <= s.worker.stripes().count()) stripes = fields.stripes;
    fetch();
  }
  ~PayloadOut() override { pieces_.drop(s_.worker.link(), fetched_.data()); }
  CUresult first_result() const { return result_; }

  ByteSpan next(uint64_t) override {
    if (result_ != CUDA_SUCCESS) return {};
    // In the stream's order: the piece that is sent now is there once the stream has come to it.
    const CUresult arrived = s_.table.cuStreamSynchronize(stream_);
    if (arrived != CUDA_SUCCESS) {
      result_ = arrived;
      return {};
    }
    sending_ = std::exchange(fetched_, {});
    if (fetched_at_ < bytes) fetch();
    return sending_;
  }
  void sent(uint64_t offset) override { pieces_.sent(sending_.data(), offset); }
  CUresult result() override { return result_; }

 private:
  void fetch() {
    const uint64_t most = s_.worker.link().area_out() == nullptr ? kPieceBytes : kAreaSlotBytes;
    const uint64_t part = std::min<uint64_t>(bytes - fetched_at_, most);
    std::byte* place = pieces_.take(s_.worker.link());
    fetched_ = {place, part};
    result_ = place == nullptr
                  ? CUDA_ERROR_OUT_OF_MEMORY
                  : s_.table.cuMemcpyDtoHAsync_v2(place, fields_.device + fetched_at_, part, stream_);
    fetched_at_ += part;
  }

  Serving& s_;
  const CopyFields fields_;
  CUstream stream_;
  PiecesOut& pieces_;
  ByteSpan fetched_, sending_;
  uint64_t fetched_at_ = 0;
  CUresult result_ = CUDA_SUCCESS;
};

CUresult small_copy_out(Serving& s, const CopyFields& fields, CUstream stream) {
  auto* place = s.arena.array<std::byte>(fields.bytes);
  if (place == nullptr) return s.too_large();
  CUresult result = CUDA_SUCCESS;
  if (stream == nullptr) {
    result = s.table.cuMemcpyDtoH_v2(place, fields.device, fields.bytes);
  } else {
    result = s.table.cuMemcpyDtoHAsync_v2(place, fields.device, fields.bytes, stream);
    if (result == CUDA_SUCCESS) result = s.table.cuStreamSynchronize(stream);
  }
  if (result != CUDA_SUCCESS) return result;
  s.worker.bring_host_changes();
  s.out.array(place, fields.bytes);
  return result;
}

CUresult copy_out(Serving& s) {
  const auto fields = s.in.value<CopyFields>();
  if (!s.in.whole() || fields.bytes > kMaxPayloadBytes) return s.malformed();
  const auto stream = s.handle<CUstream>(HandleKind::kCUstream, fields.stream);
  if (s.failed != CUDA_SUCCESS) return s.failed;
  s.may_wait();
  if (fields.bytes <= kInlineBytes) return small_copy_out(s, fields, stream);
  const CUresult waited = s.table.cuStreamSynchronize(stream);
  if (waited != CUDA_SUCCESS) return waited;
  s.worker.bring_host_changes();
  auto turn = s.worker.pieces_out().turn();
  PayloadOut payload(s, fields, stream);
  if (payload.first_result() != CUDA_SUCCESS) return payload.first_result();
  (void)s.worker.answer(s, CUDA_SUCCESS, &payload);
  return CUDA_SUCCESS;
}

// --- Boxes: two- and three-dimensional copies, arrays. The client's side is packed: rows without gaps.

struct Box {
  CUDA_MEMCPY3D copy{};
  CUstream stream = nullptr;
  uint32_t form = 0;
  std::vector<std::byte> host;

  uint64_t packed_bytes() const { return copy.WidthInBytes * copy.Height * copy.Depth; }
};

bool is_sane(const CUDA_MEMCPY3D& copy) {
  constexpr uint64_t kMost = uint64_t{1} << 31;
  return copy.WidthInBytes <= kMost && copy.Height <= kMost && copy.Depth <= kMost &&
         (copy.Height == 0 || copy.WidthInBytes <= kMaxBoxBytes / std::max<uint64_t>(copy.Height, 1)) &&
         copy.WidthInBytes * copy.Height <= kMaxBoxBytes / std::max<uint64_t>(copy.Depth, 1);
}

void pack_source(CUDA_MEMCPY3D& copy, const std::byte* host) {
  copy.srcHost = host;
  copy.srcXInBytes = copy.srcY = copy.srcZ = copy.srcLOD = 0;
  copy.srcPitch = copy.WidthInBytes;
  copy.srcHeight = copy.Height;
}

void pack_target(CUDA_MEMCPY3D& copy, std::byte* host) {
  copy.dstHost = host;
  copy.dstXInBytes = copy.dstY = copy.dstZ = copy.dstLOD = 0;
  copy.dstPitch = copy.WidthInBytes;
  copy.dstHeight = copy.Height;
}

CUresult run_box(Serving& s, Box& box) {
  if ((box.form & kBoxAsync) == 0) return s.table.cuMemcpy3D_v2(&box.copy);
  const CUresult result = s.table.cuMemcpy3DAsync_v2(&box.copy, box.stream);
  // Our copy of the client's memory lives as long as this call.
  if (result != CUDA_SUCCESS || box.host.empty()) return result;
  return s.table.cuStreamSynchronize(box.stream);
}

CUresult copy_box(Serving& s) {
  Box box;
  box.form = s.in.value<uint32_t>();
  box.stream = s.handle<CUstream>(HandleKind::kCUstream, s.in.value<uint64_t>());
  box.copy = s.in.value<CUDA_MEMCPY3D>();
  if (!s.in.whole() || !is_sane(box.copy)) return s.malformed();
  const bool from_client = (box.form & kBoxFromClient) != 0, to_client = (box.form & kBoxToClient) != 0;
  if (from_client && to_client) return s.malformed();
  if ((from_client || to_client) && box.packed_bytes() > kMostBoxPiece) return s.malformed();
  if (from_client || to_client) box.host.resize(padded(std::max<uint64_t>(box.packed_bytes(), 8)));
  if (from_client && !s.read_payload(std::span(box.host).first(padded(box.packed_bytes()))).ok()) {
    return s.malformed();
  }
  if ((box.copy.srcMemoryType == CU_MEMORYTYPE_HOST) != from_client ||
      (box.copy.dstMemoryType == CU_MEMORYTYPE_HOST) != to_client) {
    return s.malformed();  // addresses of this process are not the client's to name
  }
  if (box.copy.srcMemoryType == CU_MEMORYTYPE_ARRAY) s.translate(HandleKind::kCUarray, &box.copy.srcArray, 1);
  if (box.copy.dstMemoryType == CU_MEMORYTYPE_ARRAY) s.translate(HandleKind::kCUarray, &box.copy.dstArray, 1);
  box.copy.reserved0 = box.copy.reserved1 = nullptr;
  if (s.failed != CUDA_SUCCESS) return s.failed;
  if (from_client) pack_source(box.copy, box.host.data());
  if (to_client) pack_target(box.copy, box.host.data());
  s.worker.note_work();
  s.may_wait();
  const CUresult result = run_box(s, box);
  if (result == CUDA_SUCCESS && to_client) {
    s.worker.bring_host_changes();
    s.out.array(box.host.data(), box.packed_bytes());
  } else if (box.copy.dstMemoryType == CU_MEMORYTYPE_DEVICE) {
    look_at_target(s, box.copy.dstDevice);
  }
  return result;
}

// --- An array as a line of its elements, over the ends of its rows

CUresult copy_row(Serving& s) {
  const auto fields = s.in.value<RowFields>();
  const bool from_client = (fields.form & kBoxFromClient) != 0, is_async = (fields.form & kBoxAsync) != 0;
  if (!s.in.whole() || fields.bytes > kMostBoxPiece) return s.malformed();
  const auto stream = s.handle<CUstream>(HandleKind::kCUstream, fields.stream);
  const auto array = s.handle<CUarray>(HandleKind::kCUarray, fields.array);
  std::vector<std::byte> host(padded(std::max<uint64_t>(fields.bytes, 8)));
  if (from_client && !s.read_payload(std::span(host).first(padded(fields.bytes))).ok()) return s.malformed();
  if (s.failed != CUDA_SUCCESS) return s.failed;
  s.worker.note_work();
  s.worker.let_others_lead();
  CUresult result = CUDA_SUCCESS;
  if (is_async) {
    result = from_client
                 ? s.table.cuMemcpyHtoAAsync_v2(array, fields.offset, host.data(), fields.bytes, stream)
                 : s.table.cuMemcpyAtoHAsync_v2(host.data(), array, fields.offset, fields.bytes, stream);
    if (result == CUDA_SUCCESS) result = s.table.cuStreamSynchronize(stream);
  } else {
    result = from_client ? s.table.cuMemcpyHtoA_v2(array, fields.offset, host.data(), fields.bytes)
                         : s.table.cuMemcpyAtoH_v2(host.data(), array, fields.offset, fields.bytes);
  }
  if (result == CUDA_SUCCESS && !from_client) {
    s.worker.bring_host_changes();
    s.out.array(host.data(), fields.bytes);
  }
  return result;
}

// --- Copies with memory that both sides have: graphs and streams keep them, and run them when they come to
// them.

bool translate_host(Serving& s, CUDA_MEMCPY3D& copy) {
  const auto span = [&](uint64_t pitch, uint64_t height, uint64_t x, uint64_t y, uint64_t z) {
    const uint64_t rows = (z + copy.Depth - 1) * height + y + copy.Height;
    return (rows - 1) * pitch + x + copy.WidthInBytes;
  };
  if (!is_sane(copy) || copy.Height == 0 || copy.Depth == 0 || copy.srcPitch > kMaxBoxBytes ||
      copy.dstPitch > kMaxBoxBytes || copy.srcHeight > kMaxBoxBytes || copy.dstHeight > kMaxBoxBytes) {
    return false;
  }
  auto& mirrors = s.worker.mirrors();
  if (copy.srcMemoryType == CU_MEMORYTYPE_HOST) {
    copy.srcHost = mirrors.find((uint64_t)copy.srcHost,
                                span(copy.srcPitch, copy.srcHeight, copy.srcXInBytes, copy.srcY, copy.srcZ));
    if (copy.srcHost == nullptr) return false;
  }
  if (copy.dstMemoryType == CU_MEMORYTYPE_HOST) {
    copy.dstHost = mirrors.find((uint64_t)copy.dstHost,
                                span(copy.dstPitch, copy.dstHeight, copy.dstXInBytes, copy.dstY, copy.dstZ));
    if (copy.dstHost == nullptr) return false;
  }
  if (copy.srcMemoryType == CU_MEMORYTYPE_ARRAY) s.translate(HandleKind::kCUarray, &copy.srcArray, 1);
  if (copy.dstMemoryType == CU_MEMORYTYPE_ARRAY) s.translate(HandleKind::kCUarray, &copy.dstArray, 1);
  copy.reserved0 = copy.reserved1 = nullptr;
  return s.failed == CUDA_SUCCESS;
}

CUresult mirrored_box(Serving& s) {
  auto copy = s.in.value<CUDA_MEMCPY3D>();
  const auto stream = s.handle<CUstream>(HandleKind::kCUstream, s.in.value<uint64_t>());
  if (!s.in.whole()) return s.malformed();
  if (!translate_host(s, copy)) return s.failed != CUDA_SUCCESS ? s.failed : CUDA_ERROR_INVALID_VALUE;
  s.worker.note_launch();
  return s.table.cuMemcpy3DAsync_v2(&copy, stream);
}

CUresult mirrored_in(Serving& s) {
  const auto fields = s.in.value<MirroredCopyFields>();
  if (!s.in.whole()) return s.malformed();
  const auto stream = s.handle<CUstream>(HandleKind::kCUstream, fields.stream);
  const std::byte* source = s.worker.mirrors().find(fields.host, fields.bytes);
  if (s.failed != CUDA_SUCCESS) return s.failed;
  if (source == nullptr) return CUDA_ERROR_INVALID_VALUE;
  s.worker.note_work();
  return s.table.cuMemcpyHtoDAsync_v2(fields.device, source, fields.bytes, stream);
}

CUresult mirrored_out(Serving& s) {
  const auto fields = s.in.value<MirroredCopyFields>();
  if (!s.in.whole()) return s.malformed();
  const auto stream = s.handle<CUstream>(HandleKind::kCUstream, fields.stream);
  std::byte* target = s.worker.mirrors().find(fields.host, fields.bytes);
  if (s.failed != CUDA_SUCCESS) return s.failed;
  if (target == nullptr) return CUDA_ERROR_INVALID_VALUE;
  s.worker.note_launch();
  const CUresult result = s.table.cuMemcpyDtoHAsync_v2(target, fields.device, fields.bytes, stream);
  // In a capture nothing is copied yet: the client has the memory watched.
  if (result == CUDA_SUCCESS && fields.is_captured == 0) {
    s.worker.mirrors().copy_comes(fields.host, fields.bytes, stream);
  }
  return result;
}

// An address on either side, as the driver is to take it. False where it is neither memory of a device nor
// what the program shares: what else is in this process is nobody's to read or write.
bool resolve_unified(Serving& s, CUdeviceptr& address, uint64_t bytes) {
  if (std::byte* place = s.worker.mirrors().find(address, bytes)) {
    address = reinterpret_cast<CUdeviceptr>(place);
    return true;
  }
  auto type = static_cast<CUmemorytype>(0);
  return s.table.cuPointerGetAttribute != nullptr &&
         s.table.cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, address) == CUDA_SUCCESS &&
         type == CU_MEMORYTYPE_DEVICE;
}

CUresult copy_unified(Serving& s) {
  auto target = s.in.value<CUdeviceptr>(), source = s.in.value<CUdeviceptr>();
  const auto bytes = s.in.value<uint64_t>();
  const auto stream = s.handle<CUstream>(HandleKind::kCUstream, s.in.value<uint64_t>());
  if (!s.in.whole()) return s.malformed();
  if (s.failed != CUDA_SUCCESS) return s.failed;
  if (s.table.cuMemcpyAsync == nullptr) return CUDA_ERROR_NOT_SUPPORTED;
  if (!resolve_unified(s, target, bytes) || !resolve_unified(s, source, bytes))
    return CUDA_ERROR_INVALID_VALUE;
  s.worker.note_launch();
  return s.table.cuMemcpyAsync(target, source, bytes, stream);
}

template <bool kIsAsync>
CUresult copy_between(Serving& s) {
  auto target = s.in.value<CUdeviceptr>();
  const auto to = s.handle<CUcontext>(HandleKind::kCUcontext, s.in.value<uint64_t>());
  auto source = s.in.value<CUdeviceptr>();
  const auto from = s.handle<CUcontext>(HandleKind::kCUcontext, s.in.value<uint64_t>());
  const auto bytes = s.in.value<uint64_t>();
  CUstream stream = nullptr;
  if constexpr (kIsAsync) stream = s.handle<CUstream>(HandleKind::kCUstream, s.in.value<uint64_t>());
  if (!s.in.whole()) return s.malformed();
  if (s.failed != CUDA_SUCCESS) return s.failed;
  if (kIsAsync ? s.table.cuMemcpyPeerAsync == nullptr : s.table.cuMemcpyPeer == nullptr)
    return CUDA_ERROR_NOT_SUPPORTED;
  if (!resolve_unified(s, target, bytes) || !resolve_unified(s, source, bytes))
    return CUDA_ERROR_INVALID_VALUE;
  s.worker.note_launch();
  if (kIsAsync) return s.table.cuMemcpyPeerAsync(target, to, source, from, bytes, stream);
  s.may_wait();
  return s.table.cuMemcpyPeer(target, to, source, from, bytes);
}

template <bool kIsExec>
CUresult set_copy_node(Serving& s) {
  CUgraphExec exec = nullptr;
  if constexpr (kIsExec) exec = s.handle<CUgraphExec>(HandleKind::kCUgraphExec, s.in.value<uint64_t>());
  const auto node = s.handle<CUgraphNode>(HandleKind::kCUgraphNode, s.in.value<uint64_t>());
  auto copy = s.in.value<CUDA_MEMCPY3D>();
  const auto context = s.handle<CUcontext>(HandleKind::kCUcontext, s.in.value<uint64_t>());
  if (!s.in.whole()) return s.malformed();
  if (!translate_host(s, copy)) return s.failed != CUDA_SUCCESS ? s.failed : CUDA_ERROR_INVALID_VALUE;
  return kIsExec ? s.table.cuGraphExecMemcpyNodeSetParams(exec, node, &copy, context)
                 : s.table.cuGraphMemcpyNodeSetParams(node, &copy);
}

CUresult add_copy_node(Serving& s) {
  const auto graph_id = s.in.value<uint64_t>();
  const auto graph = s.handle<CUgraph>(HandleKind::kCUgraph, graph_id);
  uint64_t count = 0;
  auto* dependencies = s.in.array<CUgraphNode>(&count);
  s.translate(HandleKind::kCUgraphNode, dependencies, count);
  auto copy = s.in.value<CUDA_MEMCPY3D>();
  const auto context = s.handle<CUcontext>(HandleKind::kCUcontext, s.in.value<uint64_t>());
  if (!s.in.whole()) return s.malformed();
  if (!translate_host(s, copy)) return s.failed != CUDA_SUCCESS ? s.failed : CUDA_ERROR_INVALID_VALUE;
  CUgraphNode node = nullptr;
  const CUresult result = s.table.cuGraphAddMemcpyNode(&node, graph, dependencies, count, &copy, context);
  s.give_handles(HandleKind::kCUgraphNode, &node, 1, graph_id);
  return result;
}

// Host addresses go back as the program knows them.
CUresult get_copy_node(Serving& s) {
  const auto node = s.handle<CUgraphNode>(HandleKind::kCUgraphNode, s.in.value<uint64_t>());
  if (!s.in.whole()) return s.malformed();
  if (s.failed != CUDA_SUCCESS) return s.failed;
  CUDA_MEMCPY3D copy{};
  const CUresult result = s.table.cuGraphMemcpyNodeGetParams(node, &copy);
  if (result != CUDA_SUCCESS) return result;
  auto& mirrors = s.worker.mirrors();
  if (copy.srcMemoryType == CU_MEMORYTYPE_HOST) copy.srcHost = mirrors.clients_address(copy.srcHost);
  if (copy.dstMemoryType == CU_MEMORYTYPE_HOST) copy.dstHost = (void*)mirrors.clients_address(copy.dstHost);
  if (copy.srcMemoryType == CU_MEMORYTYPE_ARRAY) {
    copy.srcArray = (CUarray)s.id_of(HandleKind::kCUarray, (uint64_t)copy.srcArray, 0);
  }
  if (copy.dstMemoryType == CU_MEMORYTYPE_ARRAY) {
    copy.dstArray = (CUarray)s.id_of(HandleKind::kCUarray, (uint64_t)copy.dstArray, 0);
  }
  s.out.value(copy);
  return result;
}

}  // namespace

std::span<const OwnCall> copy_calls() {
  static constexpr OwnCall kCallsHere[] = {
      own(Message::kCopyIn, copy_in),
      own(Message::kCopyOut, copy_out),
      own(Message::kCopyRow, copy_row),
      own(Message::kCopyBox, copy_box),
      own(Op::cuMemcpyAsync, copy_unified),
      own(Op::cuMemcpyPeer, copy_between<false>),
      own(Op::cuMemcpyPeerAsync, copy_between<true>),
      own(Op::cuMemcpy3DAsync_v2, mirrored_box),
      own(Op::cuMemcpyHtoDAsync_v2, mirrored_in),
      own(Op::cuMemcpyDtoHAsync_v2, mirrored_out),
      own(Op::cuGraphAddMemcpyNode, add_copy_node),
      own(Op::cuGraphMemcpyNodeGetParams, get_copy_node),
      own(Op::cuGraphMemcpyNodeSetParams, set_copy_node<false>),
      own(Op::cuGraphExecMemcpyNodeSetParams, set_copy_node<true>),
  };
  return kCallsHere;
}

}  // namespace tessera::remote
