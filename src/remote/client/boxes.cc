#include "remote/client/boxes.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "cuda/box_copies.h"
#include "remote/client/connection.h"
#include "remote/client/host_ranges.h"
#include "remote/client/request.h"
#include "remote/client/servers.h"
#include "remote/rpc.h"
#include "remote/wire/copy.h"

namespace tessera::remote {
namespace {

// One side of a box in the program's memory.
struct HostSide {
  std::byte* start;  // of the first row
  uint64_t pitch, slice;
};

struct BoxSize {
  uint64_t width, height, depth;
  uint64_t packed() const { return width * height * depth; }
  bool is_above(uint64_t bytes) const { return width > bytes / height || width * height > bytes / depth; }
};

HostSide side_of(const void* host, uint64_t x, uint64_t y, uint64_t z, uint64_t pitch, uint64_t rows,
                 const BoxSize& size) {
  if (pitch == 0) pitch = x + size.width;
  if (rows == 0) rows = y + size.height;
  auto* base = static_cast<std::byte*>(const_cast<void*>(host));
  return {base + (z * rows + y) * pitch + x, pitch, pitch * rows};
}

template <typename Row>
void each_row(const HostSide& side, const BoxSize& size, Row row) {
  uint64_t at = 0;
  for (uint64_t z = 0; z < size.depth; ++z) {
    for (uint64_t y = 0; y < size.height; ++y) {
      row(side.start + z * side.slice + y * side.pitch, at);
      at += size.width;
    }
  }
}

void resolve(CUmemorytype& type, const void*& host, CUdeviceptr& device) {
  if (type != CU_MEMORYTYPE_UNIFIED) return;
  if (is_host_address(device)) {
    type = CU_MEMORYTYPE_HOST;
    host = reinterpret_cast<const void*>(device);
  } else {
    type = CU_MEMORYTYPE_DEVICE;
  }
}

void resolve(CUDA_MEMCPY3D& copy) {
  const void* target = copy.dstHost;
  resolve(copy.srcMemoryType, copy.srcHost, copy.srcDevice);
  resolve(copy.dstMemoryType, target, copy.dstDevice);
  copy.dstHost = const_cast<void*>(target);
}

CUresult copy_on_host(const HostSide& source, const HostSide& target, const BoxSize& size) {
  each_row(source, size, [&](const std::byte* row, uint64_t at) {
    const uint64_t line = at / size.width, y = line % size.height, z = line / size.height;
    memmove(target.start + z * target.slice + y * target.pitch, row, size.width);
  });
  return CUDA_SUCCESS;
}

struct How {
  bool is_async = false;
  bool per_thread = false;
  CUstream stream = nullptr;
  int server = -1;  // whose memory it is; below 0: as stream and handles say
};

// As a captured stream keeps it.
CUresult capture_box(CUDA_MEMCPY3D copy, const How& how) {
  const CUresult result = share_box_memory(copy);
  if (result != CUDA_SUCCESS) return result;
  return Request(Op::cuMemcpy3DAsync_v2, how.per_thread).value(copy).value(how.stream).run();
}

CUresult copy_box(CUDA_MEMCPY3D copy, const How& how);

// Whose that side is; below 0 where it is the program's, or not known.
int server_of_side(CUmemorytype type, CUdeviceptr device, CUarray array) {
  if (type == CU_MEMORYTYPE_DEVICE) return Known::server_of(device);
  return type == CU_MEMORYTYPE_ARRAY ? static_cast<int>(server_of_handle(array)) : -1;
}

// Between two servers: through memory of the program.
CUresult copy_box_across(CUDA_MEMCPY3D copy, How how, int from, int to) {
  std::vector<std::byte> between(copy.WidthInBytes * copy.Height * copy.Depth);
  CUDA_MEMCPY3D out = copy;
  out.dstMemoryType = CU_MEMORYTYPE_HOST;
  out.dstHost = between.data();
  out.dstXInBytes = out.dstY = out.dstZ = 0;
  out.dstPitch = copy.WidthInBytes;
  out.dstHeight = copy.Height;
  CUDA_MEMCPY3D in = copy;
  in.srcMemoryType = CU_MEMORYTYPE_HOST;
  in.srcHost = between.data();
  in.srcXInBytes = in.srcY = in.srcZ = 0;
  in.srcPitch = copy.WidthInBytes;
  in.srcHeight = copy.Height;
  const auto at = [&](int server) {
    How side = how;
    side.server = server;
    // A stream orders what its own server does.
    if (static_cast<int>(server_of_handle(how.stream)) != server)
      side.stream = nullptr, side.is_async = false;
    return side;
  };
  const CUresult result = copy_box(out, at(from));
  return result != CUDA_SUCCESS ? result : copy_box(in, at(to));
}

CUresult copy_whole(const CUDA_MEMCPY3D& copy, const How& how);

// As two: one message has so much at most. Whoever gives no pitch means rows without gaps, of the whole.
CUresult copy_halves(CUDA_MEMCPY3D first, const How& how) {
  if (first.srcMemoryType == CU_MEMORYTYPE_HOST && first.srcPitch == 0)
    first.srcPitch = first.srcXInBytes + first.WidthInBytes;
  if (first.dstMemoryType == CU_MEMORYTYPE_HOST && first.dstPitch == 0)
    first.dstPitch = first.dstXInBytes + first.WidthInBytes;
  CUDA_MEMCPY3D second = first;
  if (first.Depth > 1) {
    if (first.srcHeight == 0) first.srcHeight = second.srcHeight = first.srcY + first.Height;
    if (first.dstHeight == 0) first.dstHeight = second.dstHeight = first.dstY + first.Height;
    first.Depth /= 2;
    second.Depth -= first.Depth;
    second.srcZ += first.Depth;
    second.dstZ += first.Depth;
  } else if (first.Height > 1) {
    first.Height /= 2;
    second.Height -= first.Height;
    second.srcY += first.Height;
    second.dstY += first.Height;
  } else {
    constexpr uint64_t kTexels = 512;  // a multiple of every texel's size
    first.WidthInBytes = (first.WidthInBytes / 2 + kTexels - 1) / kTexels * kTexels;
    second.WidthInBytes -= first.WidthInBytes;
    second.srcXInBytes += first.WidthInBytes;
    second.dstXInBytes += first.WidthInBytes;
  }
  const CUresult result = copy_whole(first, how);
  return result != CUDA_SUCCESS ? result : copy_whole(second, how);
}

CUresult copy_box(CUDA_MEMCPY3D copy, const How& how) {
  if (!is_initialised()) return CUDA_ERROR_NOT_INITIALIZED;
  if (how.is_async && is_captured_stream(how.stream, how.per_thread)) return capture_box(copy, how);
  resolve(copy);
  return copy_whole(copy, how);
}

CUresult copy_whole(const CUDA_MEMCPY3D& copy, const How& how) {
  const BoxSize size{copy.WidthInBytes, copy.Height, copy.Depth};
  const bool from_host = copy.srcMemoryType == CU_MEMORYTYPE_HOST,
             to_host = copy.dstMemoryType == CU_MEMORYTYPE_HOST;
  if ((from_host && copy.srcHost == nullptr) || (to_host && copy.dstHost == nullptr))
    return CUDA_ERROR_INVALID_VALUE;
  if (size.width == 0 || size.height == 0 || size.depth == 0) {
    return CUDA_SUCCESS;
  }
  const bool too_narrow = (from_host && copy.srcPitch != 0 && copy.srcPitch < size.width) ||
                          (to_host && copy.dstPitch != 0 && copy.dstPitch < size.width);
  if (too_narrow) return CUDA_ERROR_INVALID_VALUE;
  const HostSide source =
      side_of(copy.srcHost, copy.srcXInBytes, copy.srcY, copy.srcZ, copy.srcPitch, copy.srcHeight, size);
  const HostSide target =
      side_of(copy.dstHost, copy.dstXInBytes, copy.dstY, copy.dstZ, copy.dstPitch, copy.dstHeight, size);
  if (from_host && to_host) return copy_on_host(source, target, size);
  const int from = server_of_side(copy.srcMemoryType, copy.srcDevice, copy.srcArray);
  const int to = server_of_side(copy.dstMemoryType, copy.dstDevice, copy.dstArray);
  if (has_several_servers() && from >= 0 && to >= 0 && from != to)
    return copy_box_across(copy, how, from, to);
  if ((from_host || to_host) && size.is_above(kMostBoxPiece)) return copy_halves(copy, how);
  std::vector<std::byte> packed;
  if (from_host) {
    packed.resize(size.packed());
    each_row(source, size,
             [&](const std::byte* row, uint64_t at) { memcpy(packed.data() + at, row, size.width); });
  }
  Request request(Message::kCopyBox, how.per_thread);
  if (has_several_servers() && how.server >= 0) request.to(static_cast<unsigned>(how.server));
  if (has_several_servers() && !is_handle_id(reinterpret_cast<uint64_t>(how.stream)) &&
      std::max(from, to) >= 0)
    request.to(static_cast<unsigned>(std::max(from, to)));
  const uint32_t form =
      (how.is_async ? kBoxAsync : 0) | (from_host ? kBoxFromClient : 0) | (to_host ? kBoxToClient : 0);
  const CUresult result = request.value(form).value(how.stream).value(copy).run(packed);
  if (result != CUDA_SUCCESS || !to_host) return result;
  uint64_t bytes = 0;
  const auto* found = request.next_array<std::byte>(&bytes);
  if (bytes != size.packed()) return CUDA_ERROR_UNKNOWN;
  each_row(target, size, [&](std::byte* row, uint64_t at) { memcpy(row, found + at, size.width); });
  return result;
}

// The synchronous per-thread forms wait for their own stream.
How waits(bool per_thread) { return {per_thread, per_thread, per_thread ? CU_STREAM_PER_THREAD : nullptr}; }

template <bool kPerThread>
CUresult copy_2d(const CUDA_MEMCPY2D* copy) {
  return copy == nullptr ? CUDA_ERROR_INVALID_VALUE : copy_box(cuda::box_of(*copy), waits(kPerThread));
}
template <bool kPerThread>
CUresult copy_2d_async(const CUDA_MEMCPY2D* copy, CUstream stream) {
  return copy == nullptr ? CUDA_ERROR_INVALID_VALUE
                         : copy_box(cuda::box_of(*copy), {true, kPerThread, stream});
}
template <bool kPerThread>
CUresult copy_3d(const CUDA_MEMCPY3D* copy) {
  return copy == nullptr ? CUDA_ERROR_INVALID_VALUE : copy_box(*copy, waits(kPerThread));
}
template <bool kPerThread>
CUresult copy_3d_async(const CUDA_MEMCPY3D* copy, CUstream stream) {
  return copy == nullptr ? CUDA_ERROR_INVALID_VALUE : copy_box(*copy, {true, kPerThread, stream});
}

// --- Arrays, as a line of their elements

CUresult row_in(CUarray target, size_t offset, const void* source, size_t bytes, const How& how) {
  if (!is_initialised()) return CUDA_ERROR_NOT_INITIALIZED;
  if (source == nullptr) return CUDA_ERROR_INVALID_VALUE;
  for (; bytes > kMostBoxPiece; bytes -= kMostBoxPiece) {
    const CUresult result = row_in(target, offset, source, kMostBoxPiece, how);
    if (result != CUDA_SUCCESS) return result;
    offset += kMostBoxPiece;
    source = static_cast<const std::byte*>(source) + kMostBoxPiece;
  }
  RowFields fields{reinterpret_cast<uint64_t>(target), offset, bytes, reinterpret_cast<uint64_t>(how.stream)};
  fields.form = kBoxFromClient | (how.is_async ? kBoxAsync : 0);
  return Request(Message::kCopyRow, how.per_thread)
      .about(fields.array)
      .value(fields)
      .run({static_cast<const std::byte*>(source), bytes});
}

CUresult row_out(void* target, CUarray source, size_t offset, size_t bytes, const How& how) {
  if (!is_initialised()) return CUDA_ERROR_NOT_INITIALIZED;
  if (target == nullptr) return CUDA_ERROR_INVALID_VALUE;
  for (; bytes > kMostBoxPiece; bytes -= kMostBoxPiece) {
    const CUresult result = row_out(target, source, offset, kMostBoxPiece, how);
    if (result != CUDA_SUCCESS) return result;
    offset += kMostBoxPiece;
    target = static_cast<std::byte*>(target) + kMostBoxPiece;
  }
  RowFields fields{reinterpret_cast<uint64_t>(source), offset, bytes, reinterpret_cast<uint64_t>(how.stream)};
  fields.form = kBoxToClient | (how.is_async ? kBoxAsync : 0);
  Request request(Message::kCopyRow, how.per_thread);
  const CUresult result = request.about(fields.array).value(fields).run();
  request.take_array(static_cast<std::byte*>(target), bytes);
  return result;
}

template <bool kPerThread>
CUresult htoa(CUarray target, size_t offset, const void* source, size_t bytes) {
  return row_in(target, offset, source, bytes, waits(kPerThread));
}
template <bool kPerThread>
CUresult htoa_async(CUarray target, size_t offset, const void* source, size_t bytes, CUstream stream) {
  return row_in(target, offset, source, bytes, {true, kPerThread, stream});
}
template <bool kPerThread>
CUresult atoh(void* target, CUarray source, size_t offset, size_t bytes) {
  return row_out(target, source, offset, bytes, waits(kPerThread));
}
template <bool kPerThread>
CUresult atoh_async(void* target, CUarray source, size_t offset, size_t bytes, CUstream stream) {
  return row_out(target, source, offset, bytes, {true, kPerThread, stream});
}
template <bool kPerThread>
CUresult dtoa(CUarray target, size_t offset, CUdeviceptr source, size_t bytes) {
  return rpc::cuMemcpyDtoA_v2(kPerThread, target, offset, source, bytes);
}
template <bool kPerThread>
CUresult atod(CUdeviceptr target, CUarray source, size_t offset, size_t bytes) {
  return rpc::cuMemcpyAtoD_v2(kPerThread, target, source, offset, bytes);
}
template <bool kPerThread>
CUresult atoa(CUarray target, size_t target_offset, CUarray source, size_t source_offset, size_t bytes) {
  return rpc::cuMemcpyAtoA_v2(kPerThread, target, target_offset, source, source_offset, bytes);
}

// --- Between devices: as one device sees both

template <bool kPerThread>
CUresult copy_3d_peer(const CUDA_MEMCPY3D_PEER* copy) {
  return copy == nullptr ? CUDA_ERROR_INVALID_VALUE : copy_box(cuda::box_of(*copy), waits(kPerThread));
}
template <bool kPerThread>
CUresult copy_3d_peer_async(const CUDA_MEMCPY3D_PEER* copy, CUstream stream) {
  return copy == nullptr ? CUDA_ERROR_INVALID_VALUE
                         : copy_box(cuda::box_of(*copy), {true, kPerThread, stream});
}

template <bool kPerThread>
void install_form(cuda::DriverTable& table);

template <>
void install_form<false>(cuda::DriverTable& table) {
  table.cuMemcpy2D_v2 = copy_2d<false>;
  table.cuMemcpy2DUnaligned_v2 = copy_2d<false>;
  table.cuMemcpy2DAsync_v2 = copy_2d_async<false>;
  table.cuMemcpy3D_v2 = copy_3d<false>;
  table.cuMemcpy3DAsync_v2 = copy_3d_async<false>;
  table.cuMemcpy3DPeer = copy_3d_peer<false>;
  table.cuMemcpy3DPeerAsync = copy_3d_peer_async<false>;
  table.cuMemcpyHtoA_v2 = htoa<false>;
  table.cuMemcpyHtoAAsync_v2 = htoa_async<false>;
  table.cuMemcpyAtoH_v2 = atoh<false>;
  table.cuMemcpyAtoHAsync_v2 = atoh_async<false>;
  table.cuMemcpyDtoA_v2 = dtoa<false>;
  table.cuMemcpyAtoD_v2 = atod<false>;
  table.cuMemcpyAtoA_v2 = atoa<false>;
}

template <>
void install_form<true>(cuda::DriverTable& table) {
  table.cuMemcpy2D_v2_ptds = copy_2d<true>;
  table.cuMemcpy2DUnaligned_v2_ptds = copy_2d<true>;
  table.cuMemcpy2DAsync_v2_ptsz = copy_2d_async<true>;
  table.cuMemcpy3D_v2_ptds = copy_3d<true>;
  table.cuMemcpy3DAsync_v2_ptsz = copy_3d_async<true>;
  table.cuMemcpy3DPeer_ptds = copy_3d_peer<true>;
  table.cuMemcpy3DPeerAsync_ptsz = copy_3d_peer_async<true>;
  table.cuMemcpyHtoA_v2_ptds = htoa<true>;
  table.cuMemcpyHtoAAsync_v2_ptsz = htoa_async<true>;
  table.cuMemcpyAtoH_v2_ptds = atoh<true>;
  table.cuMemcpyAtoHAsync_v2_ptsz = atoh_async<true>;
  table.cuMemcpyDtoA_v2_ptds = dtoa<true>;
  table.cuMemcpyAtoD_v2_ptds = atod<true>;
  table.cuMemcpyAtoA_v2_ptds = atoa<true>;
}

}  // namespace

CUresult share_box_memory(CUDA_MEMCPY3D& copy) {
  resolve(copy);
  const BoxSize size{copy.WidthInBytes, copy.Height, copy.Depth};
  if (size.packed() == 0) return CUDA_ERROR_INVALID_VALUE;
  if (copy.srcPitch == 0) copy.srcPitch = copy.srcXInBytes + size.width;
  if (copy.dstPitch == 0) copy.dstPitch = copy.dstXInBytes + size.width;
  if (copy.srcHeight == 0) copy.srcHeight = copy.srcY + size.height;
  if (copy.dstHeight == 0) copy.dstHeight = copy.dstY + size.height;
  const auto share = [&](const void* host, uint64_t x, uint64_t y, uint64_t z, uint64_t pitch,
                         uint64_t rows) {
    const uint64_t last = ((z + size.depth - 1) * rows + y + size.height - 1) * pitch + x + size.width;
    return share_host_memory(host, last);
  };
  CUresult result = CUDA_SUCCESS;
  if (copy.srcMemoryType == CU_MEMORYTYPE_HOST) {
    result = share(copy.srcHost, copy.srcXInBytes, copy.srcY, copy.srcZ, copy.srcPitch, copy.srcHeight);
  }
  if (result == CUDA_SUCCESS && copy.dstMemoryType == CU_MEMORYTYPE_HOST) {
    result = share(copy.dstHost, copy.dstXInBytes, copy.dstY, copy.dstZ, copy.dstPitch, copy.dstHeight);
  }
  return result;
}

CUresult copy_box_async(const CUDA_MEMCPY3D& copy, CUstream stream, bool per_thread) {
  return copy_box(copy, {true, per_thread, stream});
}

void install_box_calls(cuda::DriverTable& table) {
  install_form<false>(table);
  install_form<true>(table);
  install_box_batches(table);
  install_early_boxes(table);
}

}  // namespace tessera::remote
