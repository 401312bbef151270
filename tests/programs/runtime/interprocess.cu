// Two processes on one device by the runtime's calls: memory and an event by handles, a pool by a descriptor,
// kernels of both on the same memory in the order of events; everything that is wrong is refused.
#include "../driver/two_processes.h"
#include "cuda_check.h"

namespace {

constexpr unsigned kCount = 70001;
constexpr size_t kBytes = kCount * sizeof(unsigned);

__global__ void scale_and_add(unsigned* values, unsigned count, unsigned factor, unsigned addend) {
  for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < count; i += gridDim.x * blockDim.x)
    values[i] = values[i] * factor + addend + i;
}

std::vector<unsigned> after(std::vector<unsigned> values, unsigned factor, unsigned addend) {
  for (unsigned i = 0; i < kCount; ++i) values[i] = values[i] * factor + addend + i;
  return values;
}

std::vector<unsigned> first_values() {
  std::vector<unsigned> values(kCount);
  for (unsigned i = 0; i < kCount; ++i) values[i] = i * 2654435761u;
  return values;
}

void require(const unsigned* memory, const std::vector<unsigned>& want, const char* when) {
  std::vector<unsigned> got(kCount);
  CUDA_CHECK(cudaMemcpy(got.data(), memory, kBytes, cudaMemcpyDeviceToHost));
  check::require_equal(got, want, when);
}

struct Offer {
  cudaIpcMemHandle_t memory;
  cudaIpcEventHandle_t written, answered;
  cudaMemPoolPtrExportData pooled;
};

cudaEvent_t make_event() {
  cudaEvent_t event;
  CUDA_CHECK(cudaEventCreateWithFlags(&event, cudaEventInterprocess | cudaEventDisableTiming));
  return event;
}

cudaMemPool_t make_pool() {
  cudaMemPoolProps properties{};
  properties.allocType = cudaMemAllocationTypePinned;
  properties.handleTypes = cudaMemHandleTypePosixFileDescriptor;
  properties.location.type = cudaMemLocationTypeDevice;
  cudaMemPool_t pool;
  CUDA_CHECK(cudaMemPoolCreate(&pool, &properties));
  return pool;
}

void export_all(const check::Peer& peer) {
  cudaStream_t stream;
  CUDA_CHECK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  const cudaMemPool_t pool = make_pool();
  int fd = -1;
  CUDA_CHECK(cudaMemPoolExportToShareableHandle(&fd, pool, cudaMemHandleTypePosixFileDescriptor, 0));
  peer.send_descriptor(fd);
  close(fd);

  unsigned *memory = nullptr, *pooled = nullptr;
  CUDA_CHECK(cudaMalloc(&memory, kBytes));
  CUDA_CHECK(cudaMallocFromPoolAsync(&pooled, kBytes, pool, stream));
  CUDA_CHECK(cudaMemcpy(memory, first_values().data(), kBytes, cudaMemcpyHostToDevice));
  CUDA_CHECK(cudaMemcpyAsync(pooled, memory, kBytes, cudaMemcpyDeviceToDevice, stream));
  scale_and_add<<<9, 128, 0, stream>>>(memory, kCount, 3, 1);
  scale_and_add<<<9, 128, 0, stream>>>(pooled, kCount, 5, 2);
  Offer offered{};
  const cudaEvent_t written = make_event(), answered = make_event();
  CUDA_CHECK(cudaEventRecord(written, stream));
  CUDA_CHECK(cudaIpcGetMemHandle(&offered.memory, memory));
  CUDA_CHECK(cudaIpcGetEventHandle(&offered.written, written));
  CUDA_CHECK(cudaIpcGetEventHandle(&offered.answered, answered));
  CUDA_CHECK(cudaMemPoolExportPointer(&offered.pooled, pooled));
  void* own = nullptr;
  CUDA_EXPECT(cudaErrorDeviceUninitialized,
              cudaIpcOpenMemHandle(&own, offered.memory, cudaIpcMemLazyEnablePeerAccess));
  (void)cudaGetLastError();
  peer.send(offered);
  peer.await_turn();  // the answer is recorded
  CUDA_CHECK(cudaStreamWaitEvent(stream, answered, 0));
  scale_and_add<<<9, 128, 0, stream>>>(memory, kCount, 11, 5);
  CUDA_CHECK(cudaStreamSynchronize(stream));
  require(memory, after(after(after(first_values(), 3, 1), 7, 3), 11, 5), "three kernels of two processes");
  require(pooled, after(after(first_values(), 5, 2), 9, 4), "two kernels on memory of a pool");
  peer.turn();
  peer.await_turn();  // all is closed
  CUDA_CHECK(cudaFreeAsync(pooled, stream));
  CUDA_CHECK(cudaStreamSynchronize(stream));
  CUDA_CHECK(cudaFree(memory));
  CUDA_CHECK(cudaMemPoolDestroy(pool));
  CUDA_CHECK(cudaEventDestroy(written));
  CUDA_CHECK(cudaEventDestroy(answered));
  peer.turn();
}

void require_refusals(const Offer& offered, cudaMemPool_t pool) {
  Offer damaged = offered;
  reinterpret_cast<char*>(&damaged.memory)[17] ^= 4;
  reinterpret_cast<char*>(&damaged.written)[33] ^= 1;
  reinterpret_cast<char*>(&damaged.pooled)[8] ^= 64;
  void* none = nullptr;
  cudaEvent_t event = nullptr;
  CUDA_EXPECT(cudaErrorInvalidValue,
              cudaIpcOpenMemHandle(&none, damaged.memory, cudaIpcMemLazyEnablePeerAccess));
  CUDA_EXPECT(cudaErrorInvalidValue, cudaIpcOpenMemHandle(&none, offered.memory, 0));
  CUDA_EXPECT(cudaErrorInvalidValue, cudaIpcOpenEventHandle(&event, damaged.written));
  CUDA_EXPECT(cudaErrorInvalidValue, cudaMemPoolImportPointer(&none, pool, &damaged.pooled));
  CUDA_EXPECT(cudaErrorInvalidValue, cudaMallocFromPoolAsync(&none, 64, pool, nullptr));
  (void)cudaGetLastError();
}

void import_all(const check::Peer& peer) {
  cudaStream_t stream;
  CUDA_CHECK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  const int fd = peer.receive_descriptor();
  cudaMemPool_t pool;
  CUDA_CHECK(cudaMemPoolImportFromShareableHandle(&pool, reinterpret_cast<void*>(static_cast<intptr_t>(fd)),
                                                  cudaMemHandleTypePosixFileDescriptor, 0));
  close(fd);
  Offer offered = peer.receive<Offer>();
  require_refusals(offered, pool);
  void *memory = nullptr, *pooled = nullptr;
  cudaEvent_t written, answered;
  CUDA_CHECK(cudaIpcOpenMemHandle(&memory, offered.memory, cudaIpcMemLazyEnablePeerAccess));
  CUDA_CHECK(cudaIpcOpenEventHandle(&written, offered.written));
  CUDA_CHECK(cudaIpcOpenEventHandle(&answered, offered.answered));
  CUDA_CHECK(cudaMemPoolImportPointer(&pooled, pool, &offered.pooled));
  cudaPointerAttributes attributes{};
  CUDA_CHECK(cudaPointerGetAttributes(&attributes, memory));
  REQUIRE(attributes.type == cudaMemoryTypeDevice && attributes.device == 0, "imported memory is of type %d",
          static_cast<int>(attributes.type));
  CUDA_CHECK(cudaStreamWaitEvent(stream, written, 0));
  scale_and_add<<<9, 128, 0, stream>>>(static_cast<unsigned*>(memory), kCount, 7, 3);
  scale_and_add<<<9, 128, 0, stream>>>(static_cast<unsigned*>(pooled), kCount, 9, 4);
  CUDA_CHECK(cudaEventRecord(answered, stream));
  peer.turn();
  peer.await_turn();
  require(static_cast<unsigned*>(memory), after(after(after(first_values(), 3, 1), 7, 3), 11, 5),
          "three kernels, seen by the importer");
  CUDA_CHECK(cudaFreeAsync(pooled, stream));
  CUDA_CHECK(cudaStreamSynchronize(stream));
  CUDA_CHECK(cudaIpcCloseMemHandle(memory));
  CUDA_EXPECT(cudaErrorInvalidValue, cudaIpcCloseMemHandle(memory));
  (void)cudaGetLastError();
  CUDA_CHECK(cudaEventDestroy(written));
  CUDA_CHECK(cudaEventDestroy(answered));
  CUDA_CHECK(cudaMemPoolDestroy(pool));
  peer.turn();
  peer.await_turn();
}

}  // namespace

int main() {
  check::in_two_processes("sharing", export_all, import_all);
  return check::pass("%u words, an event each way and a pool between two processes", kCount);
}
