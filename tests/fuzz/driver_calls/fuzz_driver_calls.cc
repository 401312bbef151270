// Programs of driver calls on the software GPU, good ones and bad ones: whatever is called in whatever order,
// with handles that are stale, of another kind or made up and sizes that make no sense, the driver answers
// with an error of CUDA's, does not crash, does not hang, hands out no memory twice, and has all of it back
// once the contexts are gone. In a slice the same holds for the guest, and nothing stays charged.
//
// FUZZ_TRACE=1 prints every call and its answer.
#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "tests/fuzz/driver_calls/world.h"

namespace tessera::fuzz {
namespace {

constexpr int kMostCalls = 64;         // of one program
constexpr unsigned kMostSeconds = 60;  // for one program; most take milliseconds
constexpr long kMostResidentKib = 2l << 20;

// Devices that are nobody else's, and a context on each that no program sees.
class Devices {
 public:
  Devices() {
    if (getenv("TESSERA_SLICE") == nullptr) choose_devices();  // a slice has those of its daemon
    require(cuInit(0) == CUDA_SUCCESS, "cuInit");
    for (CUdevice ordinal = 0; ordinal < kDevices; ++ordinal) {
      require(cuCtxCreate_v2(&contexts_[ordinal], 0, ordinal) == CUDA_SUCCESS, "a context");
      keep_condition_values();
      require(cuCtxPopCurrent_v2(&contexts_[ordinal]) == CUDA_SUCCESS, "to pop it");
      free_[ordinal] = free_bytes(ordinal);
    }
  }
  ~Devices() { std::filesystem::remove_all(folder_); }

  void require_all_back() const {
    for (CUdevice ordinal = 0; ordinal < kDevices; ++ordinal) {
      const size_t now = free_bytes(ordinal);
      if (now == free_[ordinal]) continue;
      std::fprintf(stderr, "device %d has %zu bytes free, not %zu\n", ordinal, now, free_[ordinal]);
      std::abort();
    }
  }

 private:
  void choose_devices() {
    char folder[] = "/tmp/fuzz-driver-calls-XXXXXX";
    require(mkdtemp(folder) != nullptr, "a folder for the devices");
    folder_ = folder;
    setenv("SOFTGPU_STATE_DIR", folder, 1);
    setenv("SOFTGPU_DEVICES", "2", 1);
    setenv("SOFTGPU_MEMORY", "64MiB", 1);
    setenv("SOFTGPU_SMS", "2", 1);
    setenv("SOFTGPU_LOG", "error", 1);
    unsetenv("SOFTGPU_CONFIG");
    unsetenv("CUDA_VISIBLE_DEVICES");
  }
  // The one block of device memory that outlives graphs: it has room for 128 handles.
  static void keep_condition_values() {
    static_assert(kMostCalls < 128);
    CUgraph graph = nullptr;
    CUgraphConditionalHandle handle = 0;
    require(cuGraphCreate(&graph, 0) == CUDA_SUCCESS, "a graph");
    require(cuGraphConditionalHandleCreate(&handle, graph, nullptr, 0, 0) == CUDA_SUCCESS, "a handle");
    require(cuGraphDestroy(graph) == CUDA_SUCCESS, "to destroy it");
  }
  static void require(bool condition, const char* what) {
    if (condition) return;
    std::fprintf(stderr, "there is no %s\n", what);
    std::abort();
  }
  size_t free_bytes(CUdevice ordinal) const {
    size_t free = 0, total = 0;
    CUcontext context = contexts_[ordinal];
    require(cuCtxPushCurrent_v2(context) == CUDA_SUCCESS, "to push it");
    require(cuMemGetInfo_v2(&free, &total) == CUDA_SUCCESS, "free memory");
    require(cuCtxPopCurrent_v2(&context) == CUDA_SUCCESS, "to pop it");
    return free;
  }

  std::filesystem::path folder_;
  CUcontext contexts_[kDevices]{};
  size_t free_[kDevices]{};
};

// Every program begins with a context that has memory; the rest is made when it is wanted.
void begin(World& world) {
  make(world, Kind::kContext);
  make(world, Kind::kDevicePointer);
  if (world.living(Kind::kDevicePointer).empty()) std::abort();
}

std::vector<Call> all_calls() {
  std::vector<Call> calls;
  for (auto area : {context_calls, memory_calls, virtual_calls, copy_calls, code_calls, array_calls,
                    graph_calls, capture_calls}) {
    const auto found = area();
    calls.insert(calls.end(), found.begin(), found.end());
  }
  return calls;
}

void require_bounded_memory() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  if (usage.ru_maxrss <= kMostResidentKib) return;
  std::fprintf(stderr, "the process has grown to %ld KiB\n", usage.ru_maxrss);
  std::abort();
}

}  // namespace
}  // namespace tessera::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tessera::fuzz;
  static const Devices devices;
  static const std::vector<Call> calls = all_calls();
  alarm(kMostSeconds);  // a hang ends the process, with the input that made it known
  World world({data, size});
  begin(world);
  for (int i = 0; i < kMostCalls && !world.bytes.empty(); ++i) {
    world.settle();
    calls[world.bytes.byte() % calls.size()](world);
  }
  world.clean_up();
  alarm(0);
  devices.require_all_back();
  require_bounded_memory();
  return 0;
}
