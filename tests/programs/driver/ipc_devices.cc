// Memory and events between processes that number two devices in different orders, or see only one of them: a
// handle means the device that it was made on. A context of one device opens memory of the other, and its
// kernels see it.
#include <algorithm>

#include "driver_check.h"
#include "two_processes.h"

extern "C" const char memory_ptx[];

namespace {

constexpr uint32_t kCount = 5000;
constexpr unsigned kFlags = CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS;

struct Handles {
  CUuuid device;
  CUipcMemHandle memory;
  CUipcEventHandle event;
};

CUcontext use(CUdevice device) {
  CUcontext context = nullptr;
  CU_CHECK(cuDevicePrimaryCtxRetain(&context, device));
  CU_CHECK(cuCtxSetCurrent(context));
  return context;
}

// Memory of device 1, where each word is 3, and an event that was recorded behind that.
void export_second(const check::Peer& peer) {
  CU_CHECK(cuInit(0));
  use(1);
  Handles handles{};
  CU_CHECK(cuDeviceGetUuid_v2(&handles.device, 1));
  const check::DeviceArray<uint32_t> shared(kCount);
  CU_CHECK(cuMemsetD32Async(shared.get(), 3, kCount, nullptr));
  CUevent event = nullptr;
  CU_CHECK(cuEventCreate(&event, CU_EVENT_INTERPROCESS | CU_EVENT_DISABLE_TIMING));
  CU_CHECK(cuEventRecord(event, nullptr));
  CU_CHECK(cuIpcGetMemHandle(&handles.memory, shared.get()));
  CU_CHECK(cuIpcGetEventHandle(&handles.event, event));
  peer.send(handles);
  peer.await_turn();
  std::vector<uint32_t> want(kCount);
  for (uint32_t i = 0; i < kCount; ++i) want[i] = 3 + i;
  check::require_equal(shared.download(), want, "what the importer's kernel wrote");
}

void require_same_device(const Handles& handles, CUdeviceptr memory, const char* when) {
  int ordinal = -1;
  CUuuid uuid{};
  CU_CHECK(cuPointerGetAttribute(&ordinal, CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, memory));
  CU_CHECK(cuDeviceGetUuid_v2(&uuid, ordinal));
  REQUIRE(std::equal(std::begin(uuid.bytes), std::end(uuid.bytes), handles.device.bytes),
          "%s: the memory is on another device, %d", when, ordinal);
}

void open_and_add(const check::Peer& peer, CUdevice device, const char* when) {
  const auto handles = peer.receive<Handles>();
  use(device);
  const check::Module module(memory_ptx);
  CUevent event = nullptr;
  CU_CHECK(cuIpcOpenEventHandle(&event, handles.event));
  CUdeviceptr memory = 0;
  CU_CHECK(cuIpcOpenMemHandle_v2(&memory, handles.memory, kFlags));
  require_same_device(handles, memory, when);
  CU_CHECK(cuStreamWaitEvent(nullptr, event, 0));
  check::launch(module.function("add_index"), {4}, {128}, nullptr, memory, kCount);
  CU_CHECK(cuCtxSynchronize());
  CU_CHECK(cuIpcCloseMemHandle(memory));
  CU_CHECK(cuEventDestroy_v2(event));
  peer.turn();
}

void import_by_the_first(const check::Peer& peer) {
  CU_CHECK(cuInit(0));
  open_and_add(peer, 0, "opened by the other device's context");
}

// Peer access that comes and goes does not take from the context what it has opened.
void import_with_peer_access(const check::Peer& peer) {
  CU_CHECK(cuInit(0));
  const auto handles = peer.receive<Handles>();
  const CUcontext second = use(1);
  use(0);
  const check::Module module(memory_ptx);
  CUdeviceptr memory = 0;
  CU_CHECK(cuIpcOpenMemHandle_v2(&memory, handles.memory, kFlags));
  CUevent event = nullptr;
  CU_CHECK(cuIpcOpenEventHandle(&event, handles.event));
  CU_CHECK(cuEventSynchronize(event));
  CU_CHECK(cuCtxEnablePeerAccess(second, 0));
  CU_CHECK(cuCtxDisablePeerAccess(second));
  check::launch(module.function("add_index"), {4}, {128}, nullptr, memory, kCount);
  CU_CHECK(cuCtxSynchronize());
  CU_CHECK(cuIpcCloseMemHandle(memory));
  peer.turn();
}

void import_seeing_one(const check::Peer& peer) {
  REQUIRE(setenv("CUDA_VISIBLE_DEVICES", "1", 1) == 0, "setenv failed");
  CU_CHECK(cuInit(0));
  open_and_add(peer, 0, "the only device");
}

void import_seeing_the_other(const check::Peer& peer) {
  REQUIRE(setenv("CUDA_VISIBLE_DEVICES", "0", 1) == 0, "setenv failed");
  CU_CHECK(cuInit(0));
  use(0);
  const auto handles = peer.receive<Handles>();
  CUdeviceptr memory = 0;
  CUevent event = nullptr;
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuIpcOpenMemHandle_v2(&memory, handles.memory, kFlags));
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuIpcOpenEventHandle(&event, handles.event));
}

void export_in_vain(const check::Peer& peer) {
  CU_CHECK(cuInit(0));
  use(1);
  Handles handles{};
  const check::DeviceArray<uint32_t> shared(kCount);
  CUevent event = nullptr;
  CU_CHECK(cuEventCreate(&event, CU_EVENT_INTERPROCESS | CU_EVENT_DISABLE_TIMING));
  CU_CHECK(cuIpcGetMemHandle(&handles.memory, shared.get()));
  CU_CHECK(cuIpcGetEventHandle(&handles.event, event));
  peer.send(handles);
  peer.await_end();
}

}  // namespace

int main() {
  check::in_child("two devices", [] {
    int count = 0;
    CU_CHECK(cuInit(0));
    CU_CHECK(cuDeviceGetCount(&count));
    if (count < 2) check::skip("needs two devices");
  });
  check::in_two_processes("the other device's context", export_second, import_by_the_first);
  check::in_two_processes("with peer access", export_second, import_with_peer_access);
  check::in_two_processes("one visible device", export_second, import_seeing_one);
  check::in_two_processes("the other visible device", export_in_vain, import_seeing_the_other);
  return check::pass("memory of one device in four processes");
}
