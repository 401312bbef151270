// Memory of devices that we place ourselves (placed_memory.h); elsewhere the driver's own calls.
#include "remote/wire/extents.h"
#include "remote/worker/own_calls.h"
#include "remote/worker/worker.h"

namespace tessera::remote {
namespace {

CUresult generated(Serving& s, Op op) { return kServes[static_cast<size_t>(op)](s); }

CUresult give_address(Serving& s, CUresult result, CUdeviceptr address) {
  s.out.array(&address, 1);
  return result;
}

// While something is captured the driver says what may be called: what it gives then is at addresses of its
// own.
bool places(const Serving& s) { return s.worker.placed().is_on() && !s.worker.is_capturing(); }

CUresult mem_alloc(Serving& s) {
  if (!places(s)) return generated(s, Op::cuMemAlloc_v2);
  (void)s.in.wanted();
  const auto bytes = s.in.value<size_t>();
  if (!s.in.whole()) return s.malformed();
  CUdeviceptr address = 0;
  const CUresult result = s.worker.placed().allocate(bytes, 0, &address);
  return give_address(s, result, address);
}

CUresult mem_alloc_pitch(Serving& s) {
  if (!places(s)) return generated(s, Op::cuMemAllocPitch_v2);
  constexpr uint64_t kPitch = 512;
  (void)s.in.wanted();
  (void)s.in.wanted();
  const auto width = s.in.value<size_t>(), height = s.in.value<size_t>();
  const auto element = s.in.value<unsigned int>();
  if (!s.in.whole()) return s.malformed();
  if (element != 4 && element != 8 && element != 16) return CUDA_ERROR_INVALID_VALUE;
  if (width == 0 || height == 0) return CUDA_ERROR_INVALID_VALUE;
  if (width > (uint64_t{1} << 40) || height > (uint64_t{1} << 40) / width) return CUDA_ERROR_OUT_OF_MEMORY;
  size_t pitch = (width + kPitch - 1) / kPitch * kPitch;
  CUdeviceptr address = 0;
  const CUresult result = s.worker.placed().allocate(pitch * height, 0, &address);
  s.out.array(&address, 1);
  s.out.array(&pitch, 1);
  return result;
}

// Of a session that is made again.
CUresult alloc_at(Serving& s) {
  const auto address = s.in.value<CUdeviceptr>();
  const auto bytes = s.in.value<uint64_t>();
  if (!s.in.whole() || address == 0) return s.malformed();
  if (!s.worker.placed().is_on()) return CUDA_ERROR_NOT_SUPPORTED;
  CUdeviceptr got = 0;
  return s.worker.placed().allocate(bytes, address, &got);
}

CUresult rename(Serving& s) {
  const auto from = s.in.value<uint64_t>(), to = s.in.value<uint64_t>();
  if (!s.in.whole()) return s.malformed();
  if (!s.handles.rename(from, to)) return CUDA_ERROR_INVALID_HANDLE;
  s.worker.code().rename(from, to);
  return CUDA_SUCCESS;
}

// In a capture it is a node of the graph, whose memory is the driver's.
bool is_captured(Serving& s, CUstream stream) {
  CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;
  return s.worker.is_capturing() && s.table.cuStreamIsCapturing != nullptr &&
         s.table.cuStreamIsCapturing(stream, &status) == CUDA_SUCCESS &&
         status != CU_STREAM_CAPTURE_STATUS_NONE;
}

// It may be used at once, which is sooner than the stream comes to it.
CUresult mem_alloc_async(Serving& s) {
  const bool from_pool = s.op == static_cast<uint16_t>(Op::cuMemAllocFromPoolAsync);
  const auto op = static_cast<Op>(s.op);
  if (!s.worker.placed().is_on()) return generated(s, op);
  (void)s.in.wanted();
  const auto bytes = s.in.value<size_t>();
  if (from_pool) (void)s.handle<CUmemoryPool>(HandleKind::kCUmemoryPool, s.in.value<uint64_t>());
  const auto stream = s.handle<CUstream>(HandleKind::kCUstream, s.in.value<uint64_t>());
  if (!s.in.whole()) return s.malformed();
  if (s.failed != CUDA_SUCCESS) return s.failed;
  if (is_captured(s, stream)) {
    s.in.begin(s.body);
    return generated(s, op);
  }
  CUdeviceptr address = 0;
  const CUresult result = s.worker.placed().allocate(bytes, 0, &address);
  return give_address(s, result, address);
}

CUresult mem_free_async(Serving& s) {
  const auto address = s.in.value<CUdeviceptr>();
  const auto stream = s.handle<CUstream>(HandleKind::kCUstream, s.in.value<uint64_t>());
  if (!s.in.whole()) return s.malformed();
  if (s.failed != CUDA_SUCCESS) return s.failed;
  PlacedMemory::Block block;
  if (s.worker.placed().find(address, &block)) return s.worker.placed().free_later(address, stream);
  s.in.begin(s.body);
  return generated(s, Op::cuMemFreeAsync);
}

CUresult get_address_range(Serving& s) {
  const bool wants_base = s.in.wanted(), wants_bytes = s.in.wanted();
  const auto address = s.in.value<CUdeviceptr>();
  if (!s.in.whole()) return s.malformed();
  PlacedMemory::Block block;
  if (!s.worker.placed().find(address, &block)) {
    s.in.begin(s.body);
    return generated(s, Op::cuMemGetAddressRange_v2);
  }
  const size_t bytes = block.bytes;
  s.out.array(wants_base ? &block.address : nullptr, 1);
  s.out.array(wants_bytes ? &bytes : nullptr, 1);
  return CUDA_SUCCESS;
}

// Kernels of the current context's device and memory of another's.
template <Op kOp, bool kMay>
CUresult peer_access(Serving& s) {
  const CUresult result = generated(s, kOp);
  if (result != CUDA_SUCCESS || !s.worker.placed().is_on()) return result;
  s.in.begin(s.body);
  const auto peer = s.handle<CUcontext>(HandleKind::kCUcontext, s.in.value<uint64_t>());
  CUdevice user = 0, owner = 0;
  CUcontext popped = nullptr;
  if (s.table.cuCtxGetDevice(&user) != CUDA_SUCCESS || s.table.cuCtxPushCurrent_v2(peer) != CUDA_SUCCESS)
    return result;
  const CUresult found = s.table.cuCtxGetDevice(&owner);
  (void)s.table.cuCtxPopCurrent_v2(&popped);
  return found == CUDA_SUCCESS ? s.worker.placed().share_with(owner, user, kMay) : result;
}

}  // namespace

std::span<const OwnCall> memory_calls() {
  static constexpr OwnCall kCallsHere[] = {
      own(Message::kAllocAt, alloc_at),
      own(Message::kRename, rename),
      own(Op::cuMemAlloc_v2, mem_alloc),
      own(Op::cuMemAllocPitch_v2, mem_alloc_pitch),
      own(Op::cuMemAllocAsync, mem_alloc_async),
      own(Op::cuMemAllocFromPoolAsync, mem_alloc_async),
      own(Op::cuMemFreeAsync, mem_free_async),
      own(Op::cuMemGetAddressRange_v2, get_address_range),
      own(Op::cuCtxEnablePeerAccess, peer_access<Op::cuCtxEnablePeerAccess, true>),
      own(Op::cuCtxDisablePeerAccess, peer_access<Op::cuCtxDisablePeerAccess, false>),
  };
  return kCallsHere;
}

}  // namespace tessera::remote
