// Everything at once on the runtime API: threads of one process that work side by side on one device, each
// with streams of its own and another part of CUDA, for some rounds; every result is verified. With the limit
// of the slice in bytes as argument another thread takes all the memory that is left, again and again: what
// the others need is then refused at times and has to come when they try again; and at the end all of it is
// back.
#include <cooperative_groups.h>
#include <cuda.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <set>
#include <string>
#include <thread>
#include <utility>

#include "cuda_check.h"

namespace {

constexpr uint32_t kCount = 5000, kRounds = 20;
constexpr size_t kBytes = kCount * sizeof(uint32_t);
constexpr unsigned kBlock = 128;
const unsigned kBlocks = check::blocks_for(kCount, kBlock);

__host__ __device__ uint32_t advanced(uint32_t state, uint32_t steps) {
  for (uint32_t step = 0; step < steps; ++step) state = state * 1664525u + 1013904223u;
  return state;
}

__global__ void set(uint32_t* values, uint32_t value) {
  const uint32_t i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < kCount) values[i] = value;
}

__global__ void advance(uint32_t* values, uint32_t steps) {
  const uint32_t i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < kCount) values[i] = advanced(values[i], steps);
}

__global__ void add_index(uint32_t* values) {
  const uint32_t i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < kCount) values[i] += i;
}

__global__ void fetch(cudaTextureObject_t texture, float* out, uint32_t width) {
  const uint32_t i = blockIdx.x * blockDim.x + threadIdx.x;
  out[i] = tex2D<float>(texture, i % width + 0.5f, i / width + 0.5f);
}

// Each block's value goes to the next, `rounds` times, around the ring of blocks.
__global__ void pass_on(uint32_t* values, uint32_t* next, uint32_t rounds) {
  const auto grid = cooperative_groups::this_grid();
  for (uint32_t round = 0; round < rounds; ++round) {
    if (threadIdx.x == 0) next[blockIdx.x] = values[(blockIdx.x + gridDim.x - 1) % gridDim.x];
    grid.sync();
    if (threadIdx.x == 0) values[blockIdx.x] = next[blockIdx.x];
    grid.sync();
  }
}

__global__ void say(uint32_t round) { printf("mixed %u.%u\n", round, blockIdx.x * blockDim.x + threadIdx.x); }

std::atomic<size_t> refusals{0};

// A call that takes memory, which may all be taken at the moment.
template <typename Call>
void take(Call call) {
  for (;;) {
    const cudaError_t status = call();
    if (status != cudaErrorMemoryAllocation) {
      CUDA_CHECK(status);
      return;
    }
    (void)cudaGetLastError();
    ++refusals;
    std::this_thread::yield();
  }
}

class Stream {
 public:
  Stream() { CUDA_CHECK(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking)); }
  ~Stream() { CUDA_CHECK(cudaStreamDestroy(stream_)); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  cudaStream_t get() const { return stream_; }
  void synchronize() const { CUDA_CHECK(cudaStreamSynchronize(stream_)); }
  // Whatever is in this stream now comes before what the other gets from now on.
  void before(const Stream& other) const {
    cudaEvent_t event = nullptr;
    CUDA_CHECK(cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
    CUDA_CHECK(cudaEventRecord(event, stream_));
    CUDA_CHECK(cudaStreamWaitEvent(other.stream_, event, 0));
    CUDA_CHECK(cudaEventDestroy(event));
  }

 private:
  cudaStream_t stream_ = nullptr;
};

template <typename Want>
void require(const uint32_t* got, Want want, const char* what) {
  for (uint32_t i = 0; i < kCount; ++i) {
    REQUIRE(got[i] == want(i), "%s: [%u] is %u, not %u", what, i, got[i], want(i));
  }
}

void copy_back(std::vector<uint32_t>& to, const uint32_t* from, const Stream& stream) {
  CUDA_CHECK(cudaMemcpyAsync(to.data(), from, kBytes, cudaMemcpyDeviceToHost, stream.get()));
}

// Memory in the order of two streams, from the device's pool and from one of its own.
void pools(uint32_t round) {
  const Stream first, second;
  cudaMemPoolProps properties{};
  properties.allocType = cudaMemAllocationTypePinned;
  properties.location.type = cudaMemLocationTypeDevice;
  cudaMemPool_t pool = nullptr;
  CUDA_CHECK(cudaMemPoolCreate(&pool, &properties));
  uint32_t *a = nullptr, *b = nullptr;
  take([&] { return cudaMallocAsync(&a, kBytes, first.get()); });
  take([&] { return cudaMallocFromPoolAsync(&b, kBytes, pool, second.get()); });
  set<<<kBlocks, kBlock, 0, first.get()>>>(a, round);
  advance<<<kBlocks, kBlock, 0, first.get()>>>(a, 20);
  first.before(second);
  CUDA_CHECK(cudaMemcpyAsync(b, a, kBytes, cudaMemcpyDeviceToDevice, second.get()));
  add_index<<<kBlocks, kBlock, 0, second.get()>>>(b);
  std::vector<uint32_t> got(kCount);
  copy_back(got, b, second);
  CUDA_CHECK(cudaFreeAsync(b, second.get()));
  second.before(first);
  CUDA_CHECK(cudaFreeAsync(a, first.get()));
  first.synchronize();
  CUDA_CHECK(cudaMemPoolDestroy(pool));
  require(
      got.data(), [&](uint32_t i) { return advanced(round, 20) + i; }, "pools");
}

// A capture with a fork, memory of its own and a host function, launched three times.
void captured(uint32_t round) {
  const Stream stream, side;
  std::atomic<uint32_t> called{0};
  std::vector<uint32_t> got(kCount);
  uint32_t* values = nullptr;
  CUDA_CHECK(cudaStreamBeginCapture(stream.get(), cudaStreamCaptureModeThreadLocal));
  CUDA_CHECK(cudaMallocAsync(&values, kBytes, stream.get()));
  set<<<kBlocks, kBlock, 0, stream.get()>>>(values, round);
  stream.before(side);
  advance<<<kBlocks, kBlock, 0, side.get()>>>(values, 10);
  side.before(stream);
  add_index<<<kBlocks, kBlock, 0, stream.get()>>>(values);
  copy_back(got, values, stream);
  CUDA_CHECK(cudaFreeAsync(values, stream.get()));
  const auto count = [](void* counter) { ++*static_cast<std::atomic<uint32_t>*>(counter); };
  CUDA_CHECK(cudaLaunchHostFunc(stream.get(), count, &called));
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t exec = nullptr;
  CUDA_CHECK(cudaStreamEndCapture(stream.get(), &graph));
  CUDA_CHECK(cudaGraphInstantiate(&exec, graph, 0));
  for (uint32_t i = 1; i <= 3; ++i) {
    std::fill(got.begin(), got.end(), 0);
    take([&] { return cudaGraphLaunch(exec, stream.get()); });
    stream.synchronize();
    REQUIRE(called == i, "the host function ran %u times after %u launches", called.load(), i);
    require(
        got.data(), [&](uint32_t k) { return advanced(round, 10) + k; }, "captured");
  }
  CUDA_CHECK(cudaGraphExecDestroy(exec));
  CUDA_CHECK(cudaGraphDestroy(graph));
}

// Written by the host, worked on by kernels, read by the host.
void managed(uint32_t round) {
  const Stream stream;
  uint32_t* values = nullptr;
  take([&] { return cudaMallocManaged(&values, kBytes); });
  for (uint32_t i = 0; i < kCount; ++i) values[i] = round * i;
  advance<<<kBlocks, kBlock, 0, stream.get()>>>(values, 7);
  stream.synchronize();
  require(
      values, [&](uint32_t i) { return advanced(round * i, 7); }, "managed");
  for (uint32_t i = 0; i < kCount; ++i) values[i] += 1;
  add_index<<<kBlocks, kBlock, 0, stream.get()>>>(values);
  stream.synchronize();
  require(
      values, [&](uint32_t i) { return advanced(round * i, 7) + 1 + i; }, "managed again");
  CUDA_CHECK(cudaFree(values));
}

void textures(uint32_t round) {
  constexpr uint32_t kWidth = 64, kHeight = 48;
  const Stream stream;
  const cudaChannelFormatDesc format = cudaCreateChannelDesc<float>();
  cudaArray_t array = nullptr;
  take([&] { return cudaMallocArray(&array, &format, kWidth, kHeight); });
  std::vector<float> texels(kWidth * kHeight), got(texels.size());
  for (size_t i = 0; i < texels.size(); ++i) texels[i] = static_cast<float>(i * 3 + round);
  constexpr size_t kPitch = kWidth * sizeof(float);
  CUDA_CHECK(cudaMemcpy2DToArrayAsync(array, 0, 0, texels.data(), kPitch, kPitch, kHeight,
                                      cudaMemcpyHostToDevice, stream.get()));
  cudaResourceDesc resource{};
  resource.resType = cudaResourceTypeArray;
  resource.res.array.array = array;
  cudaTextureDesc how{};
  how.filterMode = cudaFilterModePoint;
  cudaTextureObject_t texture = 0;
  CUDA_CHECK(cudaCreateTextureObject(&texture, &resource, &how, nullptr));
  float* out = nullptr;
  const size_t bytes = got.size() * sizeof(float);
  take([&] { return cudaMalloc(&out, bytes); });
  fetch<<<kWidth * kHeight / kBlock, kBlock, 0, stream.get()>>>(texture, out, kWidth);
  CUDA_CHECK(cudaMemcpyAsync(got.data(), out, bytes, cudaMemcpyDeviceToHost, stream.get()));
  stream.synchronize();
  check::require_equal(got, texels, "fetched");
  CUDA_CHECK(cudaFree(out));
  CUDA_CHECK(cudaDestroyTextureObject(texture));
  CUDA_CHECK(cudaFreeArray(array));
}

// Kernels and functions of the host take turns at the same values.
void host_functions(uint32_t round) {
  const Stream stream;
  uint32_t* values = nullptr;
  CUDA_CHECK(cudaMallocHost(&values, kBytes));
  std::fill_n(values, kCount, round);
  const auto mark = [](void* all) {
    for (uint32_t i = 0; i < kCount; ++i) static_cast<uint32_t*>(all)[i] ^= i;
  };
  for (int turn = 0; turn < 4; ++turn) {
    advance<<<kBlocks, kBlock, 0, stream.get()>>>(values, 3);
    CUDA_CHECK(cudaLaunchHostFunc(stream.get(), mark, values));
  }
  stream.synchronize();
  const auto want = [&](uint32_t i) {
    uint32_t value = round;
    for (int turn = 0; turn < 4; ++turn) value = advanced(value, 3) ^ i;
    return value;
  };
  require(values, want, "by host functions");
  CUDA_CHECK(cudaFreeHost(values));
}

void cooperative(uint32_t round) {
  constexpr uint32_t kRing = 6;
  const Stream stream;
  uint32_t* values = nullptr;
  take([&] { return cudaMalloc(&values, 2 * kRing * sizeof(uint32_t)); });
  std::vector<uint32_t> start(kRing), got(kRing);
  for (uint32_t i = 0; i < kRing; ++i) start[i] = round * 100 + i;
  const size_t bytes = kRing * sizeof(uint32_t);
  CUDA_CHECK(cudaMemcpyAsync(values, start.data(), bytes, cudaMemcpyHostToDevice, stream.get()));
  uint32_t *next = values + kRing, rounds = 1 + round % 4;
  void* arguments[] = {&values, &next, &rounds};
  CUDA_CHECK(cudaLaunchCooperativeKernel(pass_on, dim3(kRing), dim3(64), arguments, 0, stream.get()));
  CUDA_CHECK(cudaMemcpyAsync(got.data(), values, bytes, cudaMemcpyDeviceToHost, stream.get()));
  stream.synchronize();
  std::rotate(start.begin(), start.end() - rounds, start.end());
  check::require_equal(got, start, "passed on");
  CUDA_CHECK(cudaFree(values));
}

// The runtime has no calls for physical memory: the driver's, as the runtime finds them.
template <typename Function>
Function* driver_function(const char* name) {
  void* entry = nullptr;
  cudaDriverEntryPointQueryResult found{};
  CUDA_CHECK(cudaGetDriverEntryPointByVersion(name, &entry, 12000, cudaEnableDefault, &found));
  REQUIRE(found == cudaDriverEntryPointSuccess, "the driver has no %s", name);
  return reinterpret_cast<Function*>(entry);
}
#define DRIVER(function) driver_function<decltype(function)>(#function)
#define DRIVER_CHECK(call)                                                        \
  do {                                                                            \
    const CUresult result_ = (call);                                              \
    REQUIRE(result_ == CUDA_SUCCESS, "%s: %d", #call, static_cast<int>(result_)); \
  } while (0)

// Physical memory that grows behind one range of addresses, and is seen at another one too.
void mapped(uint32_t round) {
  const Stream stream;
  constexpr size_t kStep = 2u << 20;
  CUmemAllocationProp properties{};
  properties.type = CU_MEM_ALLOCATION_TYPE_PINNED;
  properties.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
  CUmemAccessDesc access{};
  access.location = properties.location;
  access.flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
  CUmemGenericAllocationHandle parts[2] = {};
  CUdeviceptr range = 0, again = 0;
  DRIVER_CHECK(DRIVER(cuMemAddressReserve)(&range, 2 * kStep, 0, 0, 0));
  DRIVER_CHECK(DRIVER(cuMemAddressReserve)(&again, kStep, 0, 0, 0));
  for (size_t i = 0; i < 2; ++i) {
    take([&] {
      const CUresult result = DRIVER(cuMemCreate)(&parts[i], kStep, &properties, 0);
      return result == CUDA_ERROR_OUT_OF_MEMORY ? cudaErrorMemoryAllocation
             : result == CUDA_SUCCESS           ? cudaSuccess
                                                : cudaErrorUnknown;
    });
    DRIVER_CHECK(DRIVER(cuMemMap)(range + i * kStep, kStep, 0, parts[i], 0));
  }
  DRIVER_CHECK(DRIVER(cuMemSetAccess)(range, 2 * kStep, &access, 1));
  DRIVER_CHECK(DRIVER(cuMemMap)(again, kStep, 0, parts[1], 0));
  DRIVER_CHECK(DRIVER(cuMemSetAccess)(again, kStep, &access, 1));
  auto* across = reinterpret_cast<uint32_t*>(range + kStep - kBytes / 2);
  set<<<kBlocks, kBlock, 0, stream.get()>>>(across, round);
  advance<<<kBlocks, kBlock, 0, stream.get()>>>(across, 5);
  std::vector<uint32_t> got(kCount), half(kCount / 2);
  copy_back(got, across, stream);
  CUDA_CHECK(cudaMemcpyAsync(half.data(), reinterpret_cast<void*>(again), kBytes / 2, cudaMemcpyDeviceToHost,
                             stream.get()));
  stream.synchronize();
  require(
      got.data(), [&](uint32_t) { return advanced(round, 5); }, "mapped");
  check::require_equal(half, std::vector<uint32_t>(kCount / 2, advanced(round, 5)), "at the other address");
  DRIVER_CHECK(DRIVER(cuMemUnmap)(range, 2 * kStep));
  DRIVER_CHECK(DRIVER(cuMemUnmap)(again, kStep));
  for (const CUmemGenericAllocationHandle part : parts) DRIVER_CHECK(DRIVER(cuMemRelease)(part));
  DRIVER_CHECK(DRIVER(cuMemAddressFree)(range, 2 * kStep));
  DRIVER_CHECK(DRIVER(cuMemAddressFree)(again, kStep));
}

constexpr uint32_t kPrinting = 64;  // threads

void printing(uint32_t round) {
  const Stream stream;
  say<<<2, kPrinting / 2, 0, stream.get()>>>(round);
  stream.synchronize();
}

// While all is taken somebody is refused sooner or later: the first time that is waited for.
void await_refusal() {
  const size_t before = refusals;
  for (int i = 0; (before == 0 || i < 100) && refusals == before; ++i)
    std::this_thread::sleep_for(std::chrono::microseconds(50));
}

// Takes what is left, and lets go when somebody was refused, or does not need any.
void press(std::atomic<bool>& taken, const std::atomic<bool>& done) {
  size_t refused = 0;
  for (size_t turn = 0; !done; ++turn) {
    std::vector<void*> all;
    for (size_t bytes = 64u << 20; bytes >= 4096;) {
      void* memory = nullptr;
      const cudaError_t status =
          turn % 2 == 0 ? cudaMalloc(&memory, bytes) : cudaMallocManaged(&memory, bytes);
      if (status == cudaErrorMemoryAllocation) {
        (void)cudaGetLastError();
        ++refused;
        bytes /= 2;
        continue;
      }
      CUDA_CHECK(status);
      all.push_back(memory);
    }
    taken = true;
    await_refusal();
    for (void* memory : all) CUDA_CHECK(cudaFree(memory));
    std::this_thread::yield();
  }
  REQUIRE(refused > 0, "nothing was refused");
}

// What is printed goes into a file until the end; then all of it to where it belongs.
class Printed {
 public:
  Printed() {
    std::fflush(stdout);
    saved_ = dup(STDOUT_FILENO);
    file_ = std::tmpfile();
    REQUIRE(saved_ >= 0 && file_ != nullptr && dup2(fileno(file_), STDOUT_FILENO) >= 0,
            "no file to print to");
    std::atexit(end);
  }
  // Also where the program fails: then the verdict is in it.
  static void end() {
    if (file_ == nullptr) return;
    std::fflush(stdout);
    (void)dup2(saved_, STDOUT_FILENO);
    std::rewind(file_);
    char line[256];
    while (std::fgets(line, sizeof line, file_) != nullptr) {
      if (std::strncmp(line, "mixed ", 6) == 0) {
        lines_.insert(line);
      } else {
        std::fputs(line, stdout);
      }
    }
    std::fclose(std::exchange(file_, nullptr));
  }
  void require(uint32_t rounds) const {
    end();
    std::multiset<std::string> want;
    for (uint32_t round = 0; round < rounds; ++round) {
      for (uint32_t i = 0; i < kPrinting; ++i)
        want.insert("mixed " + std::to_string(round) + "." + std::to_string(i) + "\n");
    }
    REQUIRE(lines_ == want, "%zu lines printed, not the %zu", lines_.size(), want.size());
  }

 private:
  static inline int saved_ = -1;
  static inline std::FILE* file_ = nullptr;
  static inline std::multiset<std::string> lines_;
};

size_t free_memory() {
  size_t free = 0, total = 0;
  CUDA_CHECK(cudaMemGetInfo(&free, &total));
  return free;
}

// All roads side by side, for kRounds rounds.
void run_all(uint32_t first_round, bool pressed) {
  void (*const roads[])(uint32_t) = {pools,          captured,    managed, textures,
                                     host_functions, cooperative, mapped,  printing};
  std::atomic<bool> taken{!pressed}, done{false};
  std::vector<std::thread> threads;
  for (const auto road : roads) {
    threads.emplace_back([&, road] {
      while (!taken) std::this_thread::yield();
      for (uint32_t i = 0; i < kRounds; ++i) road(first_round + i);
      CUDA_CHECK(cudaGetLastError());  // of launches
    });
  }
  std::thread presser;
  if (pressed) presser = std::thread([&] { press(taken, done); });
  for (std::thread& thread : threads) thread.join();
  done = true;
  if (presser.joinable()) presser.join();
}

}  // namespace

int main(int argc, char** argv) {
  const Printed printed;
  run_all(0, false);
  if (argc == 1) {
    printed.require(kRounds);
    return check::pass("8 threads, %u rounds", kRounds);
  }
  // All that is loaded and kept for later is there now.
  CUDA_CHECK(cudaDeviceGraphMemTrim(0));
  const size_t limit = std::strtoull(argv[1], nullptr, 10), before = free_memory();
  REQUIRE(before < limit && before > limit / 2, "%zu bytes are free of %zu", before, limit);
  run_all(kRounds, true);
  CUDA_CHECK(cudaDeviceGraphMemTrim(0));
  REQUIRE(refusals > 0, "nobody was refused");
  REQUIRE(free_memory() == before, "%zu bytes were free, %zu are at the end", before, free_memory());
  printed.require(2 * kRounds);
  return check::pass(
      "8 threads, %u rounds, and as many with all memory taken: %zu refusals; %zu bytes are the code's",
      kRounds, refusals.load(), limit - before);
}
