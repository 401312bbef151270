// Copies. Ordinary memory is read, and written, while the call lasts; pinned memory may be used by both sides
// later.
#include <algorithm>
#include <cstring>
#include <mutex>

#include "common/log.h"
#include "remote/client/boxes.h"
#include "remote/client/bulk.h"
#include "remote/client/connection.h"
#include "remote/client/host_ranges.h"
#include "remote/client/installs.h"
#include "remote/client/launch.h"
#include "remote/client/request.h"
#include "remote/client/servers.h"
#include "remote/rpc.h"
#include "remote/wire/copy.h"

namespace tessera::remote {
namespace {

constexpr size_t kBulkBytes = 256 << 10;  // such copies go in pieces, of which each finds its own way

bool is_host(uint64_t address, uint64_t bytes) {
  if (Known::device(address, 1)) return false;
  HostRange range;
  if (find_host_range(address, 1, &range) != nullptr) return range.kind != HostKind::kManaged;
  // Memory of devices that was not had by one of the calls that we follow: mapped, imported, a variable.
  CUmemorytype type{};
  (void)bytes;
  const CUresult result = Request(Op::cuPointerGetAttribute, false)
                              .value(CU_POINTER_ATTRIBUTE_MEMORY_TYPE)
                              .address(CUdeviceptr{address})
                              .run_take(&type);
  return result != CUDA_SUCCESS || type == CU_MEMORYTYPE_HOST;
}

// Small pieces that name pinned memory: a kernel may follow what is in them.
void note_addresses(unsigned server, const void* source, size_t bytes) {
  constexpr size_t kMostScanned = 64 << 10;
  Session* its = session_of(server);
  if (its != nullptr && (its->host().has_any() || has_several_servers())) {
    publish_host_memory(*its, {static_cast<const std::byte*>(source), std::min(bytes, kMostScanned)});
  }
}

// Whose a copy between the program and a device is: where the stream is made, or where the memory is.
unsigned server_of_copy(CUdeviceptr device, CUstream stream) {
  if (!has_several_servers()) return 0;
  if (is_handle_id(reinterpret_cast<uint64_t>(stream))) return server_of_handle(stream);
  const int known = Known::server_of(device);
  return known < 0 ? current_server() : static_cast<unsigned>(known);
}

CUresult copy_in(CUdeviceptr target, const void* source, size_t bytes, CUstream stream, bool per_thread) {
  if (!is_initialised()) return CUDA_ERROR_NOT_INITIALIZED;
  if (bytes == 0) return CUDA_SUCCESS;
  if (source == nullptr) return CUDA_ERROR_INVALID_VALUE;
  const unsigned server = server_of_copy(target, stream);
  note_addresses(server, source, bytes);
  const ByteSpan payload(static_cast<const std::byte*>(source), bytes);
  const bool may_queue =
      Known::healthy() && Known::device(target, bytes) && Known::stream(per_thread, stream);
  if (may_queue && bytes >= kBulkBytes)
    return copy_in_pieces(server, target, payload, reinterpret_cast<uint64_t>(stream), per_thread);
  Request request(Message::kCopyIn, per_thread);
  request.to(server).value(
      CopyFields{target, bytes, reinterpret_cast<uint64_t>(stream), PieceForm::kPlain, 0, bytes, 0});
  return may_queue ? request.queue(payload) : request.run(payload);
}

CUresult copy_out(void* target, CUdeviceptr source, size_t bytes, CUstream stream, bool per_thread) {
  if (!is_initialised()) return CUDA_ERROR_NOT_INITIALIZED;
  if (bytes == 0) return CUDA_SUCCESS;
  if (target == nullptr) return CUDA_ERROR_INVALID_VALUE;
  const unsigned server = server_of_copy(source, stream);
  Session* const found = session_of(server);
  const size_t stripes = found == nullptr ? 0 : found->bulk().stripes_down(bytes);
  Request request(Message::kCopyOut, per_thread);
  request.to(server).value(CopyFields{source, bytes, reinterpret_cast<uint64_t>(stream), PieceForm::kPlain,
                                      static_cast<uint32_t>(stripes), 0, 0});
  const CUresult result =
      request.run({}, {static_cast<std::byte*>(target), bytes > kInlineBytes ? bytes : 0});
  if (result != CUDA_SUCCESS) return result;
  if (bytes <= kInlineBytes) request.take_array(static_cast<std::byte*>(target), bytes);
  Session* its = session_of(request.server());
  if (its == nullptr) return result;
  its->host().arrived(reinterpret_cast<uint64_t>(target), {static_cast<std::byte*>(target), bytes});
  return its->take_earlier();
}

// --- In streams

MirroredCopyFields mirrored(CUdeviceptr device, const void* host, size_t bytes, CUstream stream,
                            bool captured) {
  return {device, reinterpret_cast<uint64_t>(host), bytes, reinterpret_cast<uint64_t>(stream),
          captured ? uint64_t{1} : uint64_t{0}};
}

// A stream that is being captured keeps the address, not what is there now: both sides need to have the
// memory.
template <Op kOp>
CUresult captured(CUdeviceptr device, const void* host, size_t bytes, CUstream stream, bool per_thread) {
  const CUresult result = share_host_memory(host, bytes);
  if (result != CUDA_SUCCESS) return result;
  return Request(kOp, per_thread)
      .to(server_of_copy(device, stream))
      .value(mirrored(device, host, bytes, stream, true))
      .run();
}

// Other streams may be captured meanwhile; which have joined a capture only the server knows.
bool is_captured(CUstream stream, bool per_thread) {
  if (!Known::capturing()) return false;
  auto status = CU_STREAM_CAPTURE_STATUS_NONE;
  return rpc::cuStreamIsCapturing(per_thread, stream, &status) == CUDA_SUCCESS &&
         status != CU_STREAM_CAPTURE_STATUS_NONE;
}

CUresult copy_in_async(CUdeviceptr target, const void* source, size_t bytes, CUstream stream,
                       bool per_thread) {
  if (is_captured(stream, per_thread))
    return captured<Op::cuMemcpyHtoDAsync_v2>(target, source, bytes, stream, per_thread);
  return copy_in(target, source, bytes, stream, per_thread);
}

CUresult copy_out_async(void* target, CUdeviceptr source, size_t bytes, CUstream stream, bool per_thread) {
  if (is_captured(stream, per_thread))
    return captured<Op::cuMemcpyDtoHAsync_v2>(source, target, bytes, stream, per_thread);
  HostRange range;
  const unsigned server = server_of_copy(source, stream);
  Session* its = session_of(server);
  // What comes later than the call could come twice where the session is made again.
  const bool is_pinned = its != nullptr && bytes != 0 && !its->is_durable() &&
                         its->host().find(reinterpret_cast<uint64_t>(target), bytes, &range) &&
                         range.kind != HostKind::kManaged;
  if (!is_pinned) return copy_out(target, source, bytes, stream, per_thread);
  // What the program has written there comes before what the copy writes.
  publish_host_memory(*its, {});
  Request request(Op::cuMemcpyDtoHAsync_v2, per_thread);
  request.to(server).value(mirrored(source, target, bytes, stream, false));
  const bool may_queue =
      Known::healthy() && Known::device(source, bytes) && Known::stream(per_thread, stream);
  return may_queue ? request.queue() : request.run();
}

template <bool kPerThread>
CUresult htod(CUdeviceptr target, const void* source, size_t bytes) {
  return copy_in(target, source, bytes, nullptr, kPerThread);
}
template <bool kPerThread>
CUresult dtoh(void* target, CUdeviceptr source, size_t bytes) {
  return copy_out(target, source, bytes, nullptr, kPerThread);
}
template <bool kPerThread>
CUresult htod_async(CUdeviceptr target, const void* source, size_t bytes, CUstream stream) {
  return copy_in_async(target, source, bytes, stream, kPerThread);
}
template <bool kPerThread>
CUresult dtoh_async(void* target, CUdeviceptr source, size_t bytes, CUstream stream) {
  return copy_out_async(target, source, bytes, stream, kPerThread);
}

// Whether they are known to be two servers' memory.
bool are_of_two(CUdeviceptr target, CUdeviceptr source) {
  if (!has_several_servers()) return false;
  const int to = Known::server_of(target), from = Known::server_of(source);
  return to >= 0 && from >= 0 && to != from;
}

// From one server to another, through here. It is over when it returns: what the program has in other streams
// later finds it there.
CUresult copy_across(CUdeviceptr target, unsigned to, CUdeviceptr source, unsigned from, size_t bytes,
                     CUstream stream, bool per_thread) {
  if (!is_initialised()) return CUDA_ERROR_NOT_INITIALIZED;
  if (is_captured(stream, per_thread)) return not_over_the_wire("a copy between two servers in a capture");
  constexpr size_t kPieceBytes = 8 << 20;
  const unsigned streams = server_of_handle(stream);
  const uint64_t theirs = from == streams ? reinterpret_cast<uint64_t>(stream) : 0;
  const uint64_t ours = to == streams ? reinterpret_cast<uint64_t>(stream) : 0;
  CUresult result = CUDA_SUCCESS;
  std::vector<std::byte> piece(std::min(bytes, kPieceBytes));
  for (size_t at = 0; at < bytes && result == CUDA_SUCCESS; at += piece.size()) {
    const std::span<std::byte> part = std::span(piece).first(std::min(piece.size(), bytes - at));
    Request out(Message::kCopyOut, per_thread && from == streams);
    out.to(from).value(CopyFields{source + at, part.size(), theirs});
    result = out.run({}, part.size() > kInlineBytes ? part : std::span<std::byte>());
    if (result != CUDA_SUCCESS) break;
    if (part.size() <= kInlineBytes) out.take_array(part.data(), part.size());
    Request in(Message::kCopyIn, per_thread && to == streams);
    result = in.to(to)
                 .value(CopyFields{target + at, part.size(), ours, PieceForm::kPlain, 0, part.size()})
                 .run(part);
  }
  if (result != CUDA_SUCCESS) return result;
  return Request(Op::cuStreamSynchronize, per_thread && to == streams).to(to).value(ours).run_and_tell();
}

template <bool kPerThread>
CUresult dtod_async(CUdeviceptr target, CUdeviceptr source, size_t bytes, CUstream stream) {
  if (!are_of_two(target, source))
    return rpc::cuMemcpyDtoDAsync_v2(kPerThread, target, source, bytes, stream);
  return copy_across(target, static_cast<unsigned>(Known::server_of(target)), source,
                     static_cast<unsigned>(Known::server_of(source)), bytes, stream, kPerThread);
}

CUresult dtod(CUdeviceptr target, CUdeviceptr source, size_t bytes) {
  if (!is_initialised()) return CUDA_ERROR_NOT_INITIALIZED;
  if (are_of_two(target, source)) return dtod_async<false>(target, source, bytes, nullptr);
  Request request(Op::cuMemcpyDtoD_v2, false);
  request.address(target).address(source).value(bytes);
  const bool may_queue = Known::healthy() && Known::device(target, bytes) && Known::device(source, bytes) &&
                         Known::stream(false, nullptr);
  return may_queue ? request.queue() : request.run();
}
CUresult dtod_per_thread(CUdeviceptr target, CUdeviceptr source, size_t bytes) {
  return dtod_async<true>(target, source, bytes, CU_STREAM_PER_THREAD);
}

// --- Either side anywhere

template <bool kPerThread, bool kAsync>
CUresult copy_any(CUdeviceptr target, CUdeviceptr source, size_t bytes, CUstream stream) {
  if (!is_initialised()) return CUDA_ERROR_NOT_INITIALIZED;
  if (bytes == 0) return CUDA_SUCCESS;
  const bool to_host = is_host(target, bytes), from_host = is_host(source, bytes);
  auto* host_target = reinterpret_cast<void*>(target);
  const auto* host_source = reinterpret_cast<const void*>(source);
  if (to_host && from_host) {
    if (is_captured(stream, kPerThread)) {
      CUresult result = share_host_memory(host_target, bytes);
      if (result == CUDA_SUCCESS) result = share_host_memory(host_source, bytes);
      return result != CUDA_SUCCESS ? result : rpc::cuMemcpyAsync(kPerThread, target, source, bytes, stream);
    }
    if (kAsync) {
      const CUresult waited = Request(Op::cuStreamSynchronize, kPerThread).value(stream).run_and_tell();
      if (waited != CUDA_SUCCESS) return waited;
    }
    memcpy(host_target, host_source, bytes);
    return CUDA_SUCCESS;
  }
  if (to_host) {
    return kAsync ? copy_out_async(host_target, source, bytes, stream, kPerThread)
                  : copy_out(host_target, source, bytes, stream, kPerThread);
  }
  if (from_host) {
    return kAsync ? copy_in_async(target, host_source, bytes, stream, kPerThread)
                  : copy_in(target, host_source, bytes, stream, kPerThread);
  }
  if (kAsync || kPerThread) return dtod_async<kPerThread>(target, source, bytes, stream);
  return dtod(target, source, bytes);
}

template <bool kPerThread>
CUresult copy(CUdeviceptr target, CUdeviceptr source, size_t bytes) {
  return copy_any<kPerThread, false>(target, source, bytes, nullptr);
}
template <bool kPerThread>
CUresult copy_async(CUdeviceptr target, CUdeviceptr source, size_t bytes, CUstream stream) {
  return copy_any<kPerThread, true>(target, source, bytes, stream);
}

template <bool kPerThread>
CUresult copy_peer(CUdeviceptr target, CUcontext to, CUdeviceptr source, CUcontext from, size_t bytes) {
  if (are_apart(to, from)) {
    return copy_across(target, server_of_handle(to), source, server_of_handle(from), bytes,
                       kPerThread ? CU_STREAM_PER_THREAD : nullptr, kPerThread);
  }
  return kPerThread ? rpc::cuMemcpyPeerAsync(true, target, to, source, from, bytes, CU_STREAM_PER_THREAD)
                    : rpc::cuMemcpyPeer(false, target, to, source, from, bytes);
}
template <bool kPerThread>
CUresult copy_peer_async(CUdeviceptr target, CUcontext to, CUdeviceptr source, CUcontext from, size_t bytes,
                         CUstream stream) {
  if (are_apart(to, from)) {
    return copy_across(target, server_of_handle(to), source, server_of_handle(from), bytes, stream,
                       kPerThread);
  }
  return rpc::cuMemcpyPeerAsync(kPerThread, target, to, source, from, bytes, stream);
}

// --- Many at once: one after the other in the stream. What is wrong with one is said before the first of
// them is made, as far as it can be told here.

constexpr size_t kNoneOfThem = SIZE_MAX;  // what an index answers where no single copy is to blame

bool are_sound(const CUmemcpyAttributes* attributes, const size_t* starts, size_t entries, size_t count) {
  if (attributes == nullptr || starts == nullptr || entries == 0 || entries > count || starts[0] != 0)
    return false;
  for (size_t i = 0; i < entries; ++i) {
    const bool follows = i == 0 || (starts[i] > starts[i - 1] && starts[i] < count);
    const bool is_ordered = attributes[i].srcAccessOrder >= CU_MEMCPY_SRC_ACCESS_ORDER_STREAM &&
                            attributes[i].srcAccessOrder <= CU_MEMCPY_SRC_ACCESS_ORDER_ANY;
    if (!follows || !is_ordered || attributes[i].flags > CU_MEMCPY_FLAG_PREFER_OVERLAP_WITH_COMPUTE)
      return false;
  }
  return true;
}

// What is not memory of devices that we know is the driver's to judge.
bool is_inside(CUdeviceptr address, size_t bytes) {
  return address != 0 && (!Known::device(address, 1) || Known::device(address, bytes));
}

template <bool kPerThread>
CUresult copy_batch(CUdeviceptr* targets, CUdeviceptr* sources, size_t* sizes, size_t count,
                    CUmemcpyAttributes* attributes, size_t* starts, size_t entries, size_t* failed,
                    CUstream stream) {
  if (!is_initialised()) return CUDA_ERROR_NOT_INITIALIZED;
  size_t unused = 0;
  if (failed == nullptr) failed = &unused;
  *failed = kNoneOfThem;
  const bool is_legacy = stream == CU_STREAM_LEGACY || (stream == nullptr && !kPerThread);
  if (is_legacy || targets == nullptr || sources == nullptr || sizes == nullptr ||
      !are_sound(attributes, starts, entries, count)) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  for (size_t i = 0; i < count; ++i) {
    *failed = i;
    if (sizes[i] != 0 && (!is_inside(targets[i], sizes[i]) || !is_inside(sources[i], sizes[i])))
      return CUDA_ERROR_INVALID_VALUE;
  }
  for (size_t i = 0; i < count; ++i) {
    *failed = i;
    const CUresult result = copy_async<kPerThread>(targets[i], sources[i], sizes[i], stream);
    if (result != CUDA_SUCCESS) return result;
  }
  *failed = kNoneOfThem;
  return CUDA_SUCCESS;
}

template <bool kPerThread>
CUresult copy_batch_v2(CUdeviceptr* targets, CUdeviceptr* sources, size_t* sizes, size_t count,
                       CUmemcpyAttributes* attributes, size_t* starts, size_t entries, CUstream stream) {
  return copy_batch<kPerThread>(targets, sources, sizes, count, attributes, starts, entries, nullptr, stream);
}

// The forms of CUDA 2, with addresses of 32 bits.
CUresult htod_v1(CUdeviceptr_v1 target, const void* source, unsigned int bytes) {
  return copy_in(target, source, bytes, nullptr, false);
}
CUresult dtoh_v1(void* target, CUdeviceptr_v1 source, unsigned int bytes) {
  return copy_out(target, source, bytes, nullptr, false);
}
CUresult htod_async_v1(CUdeviceptr_v1 target, const void* source, unsigned int bytes, CUstream stream) {
  return copy_in_async(target, source, bytes, stream, false);
}
CUresult dtoh_async_v1(void* target, CUdeviceptr_v1 source, unsigned int bytes, CUstream stream) {
  return copy_out_async(target, source, bytes, stream, false);
}

}  // namespace

bool is_captured_stream(CUstream stream, bool per_thread) { return is_captured(stream, per_thread); }
bool is_host_address(uint64_t address) { return is_host(address, 1); }

CUresult share_host_memory(const void* host, uint64_t bytes) {
  static std::mutex sharing;  // ranges that touch each other are made one by one
  std::lock_guard lock(sharing);
  HostRange range;
  const auto address = reinterpret_cast<uint64_t>(host);
  if (host == nullptr || session() == nullptr) return CUDA_ERROR_INVALID_VALUE;
  if (!session()->host().find(address, bytes, &range)) {
    uint64_t begin = address, all = bytes;
    if (!session()->host().join_implicit(&begin, &all))
      return not_over_the_wire("a copy over the end of pinned memory");
    Request request(Message::kHostAdd, false);
    const CUresult result = request.value(begin).value(all).value(kHostUnregistered).run();
    if (result != CUDA_SUCCESS) return result;
    range = {begin, all, HostKind::kImplicit, 0, request.next_value<CUdeviceptr>(), nullptr};
    session()->host().add(range);
  }
  if (!session()->host().watch(address)) return CUDA_SUCCESS;
  return Request(Message::kHostWatch, false).value(range.address).run();
}

void install_copy_calls(cuda::DriverTable& table) {
  table.cuMemcpyHtoD_v2 = htod<false>;
  table.cuMemcpyHtoD_v2_ptds = htod<true>;
  table.cuMemcpyDtoH_v2 = dtoh<false>;
  table.cuMemcpyDtoH_v2_ptds = dtoh<true>;
  table.cuMemcpyDtoD_v2 = dtod;
  table.cuMemcpyDtoD_v2_ptds = dtod_per_thread;
  table.cuMemcpyDtoDAsync_v2 = dtod_async<false>;
  table.cuMemcpyDtoDAsync_v2_ptsz = dtod_async<true>;
  table.cuMemcpyHtoDAsync_v2 = htod_async<false>;
  table.cuMemcpyHtoDAsync_v2_ptsz = htod_async<true>;
  table.cuMemcpyDtoHAsync_v2 = dtoh_async<false>;
  table.cuMemcpyDtoHAsync_v2_ptsz = dtoh_async<true>;
  table.cuMemcpy = copy<false>;
  table.cuMemcpy_ptds = copy<true>;
  table.cuMemcpyAsync = copy_async<false>;
  table.cuMemcpyAsync_ptsz = copy_async<true>;
  table.cuMemcpyPeer = copy_peer<false>;
  table.cuMemcpyPeer_ptds = copy_peer<true>;
  table.cuMemcpyPeerAsync = copy_peer_async<false>;
  table.cuMemcpyPeerAsync_ptsz = copy_peer_async<true>;
  table.cuMemcpyBatchAsync = copy_batch<false>;
  table.cuMemcpyBatchAsync_ptsz = copy_batch<true>;
  table.cuMemcpyBatchAsync_v2 = copy_batch_v2<false>;
  table.cuMemcpyBatchAsync_v2_ptsz = copy_batch_v2<true>;
  table.cuMemcpyHtoD = htod_v1;
  table.cuMemcpyDtoH = dtoh_v1;
  table.cuMemcpyHtoDAsync = htod_async_v1;
  table.cuMemcpyDtoHAsync = dtoh_async_v1;
  install_box_calls(table);
}

}  // namespace tessera::remote
