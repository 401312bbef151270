// Events between processes: recorded in one, waited for in the other by streams, by the host and by queries,
// both ways round; a recorder that is killed keeps nobody waiting; handles of anything else are refused.
#include <signal.h>

#include "driver_check.h"
#include "two_processes.h"

extern "C" const char memory_ptx[];

namespace {

constexpr uint32_t kCount = 100000;
constexpr unsigned kFlags = CU_EVENT_INTERPROCESS | CU_EVENT_DISABLE_TIMING;

// What stays closed until it is opened: work in a stream behind it does not begin.
class Gate {
 public:
  explicit Gate(CUstream stream) {
    CU_CHECK(cuMemHostAlloc(reinterpret_cast<void**>(&word_), sizeof *word_, 0));
    *word_ = 0;
    CUdeviceptr address = 0;
    CU_CHECK(cuMemHostGetDevicePointer_v2(&address, word_, 0));
    CU_CHECK(cuStreamWaitValue32_v2(stream, address, 1, CU_STREAM_WAIT_VALUE_EQ));
  }
  ~Gate() { (void)cuMemFreeHost(word_); }
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;
  void open() const { *static_cast<volatile uint32_t*>(word_) = 1; }

 private:
  uint32_t* word_ = nullptr;
};

CUstream make_stream() {
  CUstream stream = nullptr;
  CU_CHECK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
  return stream;
}

CUevent make_event() {
  CUevent event = nullptr;
  CU_CHECK(cuEventCreate(&event, kFlags));
  return event;
}

struct Handles {
  CUipcMemHandle memory;
  CUipcEventHandle event;
};

Handles handles_of(CUdeviceptr memory, CUevent event) {
  Handles handles{};
  CU_CHECK(cuIpcGetMemHandle(&handles.memory, memory));
  CU_CHECK(cuIpcGetEventHandle(&handles.event, event));
  return handles;
}

// The importer's side of both.
struct Opened {
  explicit Opened(const Handles& handles) {
    CU_CHECK(cuIpcOpenMemHandle_v2(&memory, handles.memory, CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS));
    CU_CHECK(cuIpcOpenEventHandle(&event, handles.event));
  }
  void close() const {
    CU_CHECK(cuEventDestroy_v2(event));
    CU_CHECK(cuIpcCloseMemHandle(memory));
  }
  CUdeviceptr memory = 0;
  CUevent event = nullptr;
};

std::vector<uint32_t> words(uint32_t base, uint32_t factor) {
  std::vector<uint32_t> values(kCount);
  for (uint32_t i = 0; i < kCount; ++i) values[i] = base + factor * i;
  return values;
}

void add_index(const check::Module& module, CUdeviceptr memory, CUstream stream) {
  check::launch(module.function("add_index"), {7}, {128}, stream, memory, kCount);
}

// Records, then waits for what the other records in the same event.
void record(const check::Peer& peer) {
  const check::Context context;
  const check::Module module(memory_ptx);
  const check::DeviceArray<uint32_t> shared(words(3, 0));
  const CUstream stream = make_stream();
  const CUevent event = make_event();
  const Gate gate(stream);
  add_index(module, shared.get(), stream);
  CU_CHECK(cuEventRecord(event, stream));
  CU_EXPECT(CUDA_ERROR_NOT_READY, cuEventQuery(event));
  peer.send(handles_of(shared.get(), event));
  peer.await_turn();  // a stream of it waits
  gate.open();
  peer.await_turn();  // its own recording is submitted, and waits for ours
  CU_CHECK(cuStreamWaitEvent(stream, event, 0));
  add_index(module, shared.get(), stream);
  CU_CHECK(cuStreamSynchronize(stream));
  check::require_equal(shared.download(), words(3, 3), "after the other's recording");
  CU_CHECK(cuEventQuery(event));
  CU_CHECK(cuEventRecord(event, stream));
  CU_CHECK(cuEventSynchronize(event));
  peer.turn();
  peer.await_turn();
  CU_CHECK(cuEventDestroy_v2(event));
}

void await_and_record(const check::Peer& peer) {
  const check::Context context;
  const check::Module module(memory_ptx);
  const Opened opened(peer.receive<Handles>());
  const CUstream stream = make_stream();
  CU_EXPECT(CUDA_ERROR_NOT_READY, cuEventQuery(opened.event));
  CU_CHECK(cuStreamWaitEvent(stream, opened.event, 0));
  add_index(module, opened.memory, stream);
  CU_EXPECT(CUDA_ERROR_NOT_READY, cuStreamQuery(stream));
  const Gate gate(stream);
  CUevent marker = opened.event;
  CU_CHECK(cuEventRecord(marker, stream));
  peer.turn();
  peer.turn();
  gate.open();
  CU_CHECK(cuEventSynchronize(opened.event));
  peer.await_turn();
  CU_CHECK(cuEventQuery(opened.event));
  std::vector<uint32_t> got(kCount);
  CU_CHECK(cuMemcpyDtoH_v2(got.data(), opened.memory, kCount * sizeof(uint32_t)));
  check::require_equal(got, words(3, 3), "what both wrote");
  opened.close();
  peer.turn();
}

// Each adds in its turn, ordered by two events alone.
constexpr int kRounds = 200;

void ping(const check::Peer& peer) {
  const check::Context context;
  const check::Module module(memory_ptx);
  const check::DeviceArray<uint32_t> shared(words(0, 0));
  const CUstream stream = make_stream();
  const CUevent event = make_event();
  const Handles handles = handles_of(shared.get(), event);
  peer.send(handles);
  const Opened answer(peer.receive<Handles>());
  for (int round = 0; round < kRounds; ++round) {
    add_index(module, shared.get(), stream);
    CU_CHECK(cuEventRecord(event, stream));
    peer.turn();
    peer.await_turn();  // the answer is recorded, be it over or not
    CU_CHECK(cuStreamWaitEvent(stream, answer.event, 0));
  }
  CU_CHECK(cuStreamSynchronize(stream));
  check::require_equal(shared.download(), words(0, 2 * kRounds), "after all rounds");
  answer.close();
  peer.turn();
  peer.await_turn();
}

void pong(const check::Peer& peer) {
  const check::Context context;
  const check::Module module(memory_ptx);
  const Opened opened(peer.receive<Handles>());
  const check::DeviceArray<uint32_t> unused(words(0, 0));
  const CUstream stream = make_stream();
  const CUevent event = make_event();
  peer.send(handles_of(unused.get(), event));
  for (int round = 0; round < kRounds; ++round) {
    peer.await_turn();
    CU_CHECK(cuStreamWaitEvent(stream, opened.event, 0));
    add_index(module, opened.memory, stream);
    CU_CHECK(cuEventRecord(event, stream));
    peer.turn();
  }
  CU_CHECK(cuStreamSynchronize(stream));
  peer.await_turn();
  opened.close();
  peer.turn();
}

void record_and_be_killed(const check::Peer& peer) {
  const check::Context context;
  const check::DeviceArray<uint32_t> shared(words(3, 0));
  const CUstream stream = make_stream();
  const CUevent event = make_event();
  const Gate gate(stream);  // stays closed
  CU_CHECK(cuEventRecord(event, stream));
  peer.send(handles_of(shared.get(), event));
  peer.await_turn();
  raise(SIGKILL);
}

void wait_for_the_killed(const check::Peer& peer) {
  const check::Context context;
  const check::Module module(memory_ptx);
  const Opened opened(peer.receive<Handles>());
  const CUstream stream = make_stream();
  CU_CHECK(cuStreamWaitEvent(stream, opened.event, 0));
  add_index(module, opened.memory, stream);
  CU_EXPECT(CUDA_ERROR_NOT_READY, cuStreamQuery(stream));
  peer.turn();
  CU_CHECK(cuEventSynchronize(opened.event));
  CU_CHECK(cuStreamSynchronize(stream));
  CU_CHECK(cuEventRecord(opened.event, stream));  // goes on alone
  CU_CHECK(cuEventSynchronize(opened.event));
  opened.close();
}

void export_for_refusals(const check::Peer& peer) {
  const check::Context context;
  CUevent plain = nullptr, none = nullptr;
  CUipcEventHandle handle{};
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuEventCreate(&none, CU_EVENT_INTERPROCESS));
  CU_CHECK(cuEventCreate(&plain, CU_EVENT_DISABLE_TIMING));
  CU_EXPECT(CUDA_ERROR_INVALID_HANDLE, cuIpcGetEventHandle(&handle, plain));
  const CUevent event = make_event();
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuIpcGetEventHandle(nullptr, event));
  CU_CHECK(cuIpcGetEventHandle(&handle, event));
  CU_EXPECT(CUDA_ERROR_INVALID_CONTEXT, cuIpcOpenEventHandle(&none, handle));
  CU_CHECK(cuEventQuery(event));  // never recorded
  CU_CHECK(cuEventSynchronize(event));
  float milliseconds = 0;
  CU_EXPECT(CUDA_ERROR_INVALID_HANDLE, cuEventElapsedTime(&milliseconds, event, event));
  peer.send(handle);
  peer.await_turn();
  CU_CHECK(cuEventDestroy_v2(event));
  peer.turn();
  peer.await_turn();
}

void require_refusals(const check::Peer& peer) {
  const check::Context context;
  const auto handle = peer.receive<CUipcEventHandle>();
  CUevent none = nullptr;
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuIpcOpenEventHandle(nullptr, handle));
  for (size_t bit = 0; bit < sizeof handle * 8; ++bit) {
    CUipcEventHandle damaged = handle;
    damaged.reserved[bit / 8] = static_cast<char>(damaged.reserved[bit / 8] ^ 1 << bit % 8);
    const CUresult result = cuIpcOpenEventHandle(&none, damaged);
    REQUIRE(result == CUDA_ERROR_INVALID_VALUE, "bit %zu damaged: %s", bit, cu_name(result));
  }
  CUdeviceptr memory = 0;
  CUipcMemHandle as_memory{};
  memcpy(&as_memory, &handle, sizeof as_memory);
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE,
            cuIpcOpenMemHandle_v2(&memory, as_memory, CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS));
  CUevent opened = nullptr;
  CU_CHECK(cuIpcOpenEventHandle(&opened, handle));
  CUipcEventHandle again{};
  CU_EXPECT(CUDA_ERROR_INVALID_HANDLE, cuIpcGetEventHandle(&again, opened));
  peer.turn();
  peer.await_turn();  // its creator has destroyed it
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuIpcOpenEventHandle(&none, handle));
  CU_CHECK(cuEventDestroy_v2(opened));
  peer.turn();
}

}  // namespace

int main() {
  check::in_two_processes("recording and waiting", record, await_and_record);
  check::in_two_processes("turns", ping, pong);
  check::in_two_processes("a killed recorder", record_and_be_killed, wait_for_the_killed,
                          check::End::kKilled);
  check::in_two_processes("refusals", export_for_refusals, require_refusals);
  return check::pass("%d rounds of two processes in the order of their events; nobody waited for the killed",
                     kRounds);
}
