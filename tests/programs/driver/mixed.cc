// Everything at once: threads of one process that work side by side in one context, each with streams of its
// own and another part of the driver, for some rounds; every result is verified. With the limit of the slice
// in bytes as argument another thread takes all the memory that is left, again and again: what the others
// need is then refused at times and has to come when they try again; and at the end all of it is back.
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <set>
#include <string>
#include <thread>
#include <utility>

#include "physical.h"

extern "C" const char cooperative_ptx[];
extern "C" const char memory_ptx[];
extern "C" const char mixed_ptx[];
extern "C" const char streams_ptx[];

namespace {

constexpr uint32_t kCount = 5000, kRounds = 30;
constexpr size_t kBytes = kCount * sizeof(uint32_t);

uint32_t advanced(uint32_t state, uint32_t steps) {
  for (uint32_t step = 0; step < steps; ++step) state = state * 1664525u + 1013904223u;
  return state;
}

std::atomic<size_t> refusals{0};

// A call that takes memory, which may all be taken at the moment.
template <typename Call>
void take(Call call) {
  CUresult result = call();
  while (result == CUDA_ERROR_OUT_OF_MEMORY) {
    ++refusals;
    std::this_thread::yield();
    result = call();
  }
  CU_CHECK(result);
}

class Stream {
 public:
  Stream() { CU_CHECK(cuStreamCreate(&stream_, CU_STREAM_NON_BLOCKING)); }
  ~Stream() { CU_CHECK(cuStreamDestroy_v2(stream_)); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  CUstream get() const { return stream_; }
  void synchronize() const { CU_CHECK(cuStreamSynchronize(stream_)); }
  // Whatever is in this stream now comes before what the other gets from now on.
  void before(const Stream& other) const {
    CUevent event = nullptr;
    CU_CHECK(cuEventCreate(&event, CU_EVENT_DISABLE_TIMING));
    CU_CHECK(cuEventRecord(event, stream_));
    CU_CHECK(cuStreamWaitEvent(other.stream_, event, 0));
    CU_CHECK(cuEventDestroy_v2(event));
  }

 private:
  CUstream stream_ = nullptr;
};

struct Scene {
  const check::Context context;
  const check::Module cooperative{cooperative_ptx}, memory{memory_ptx}, mixed{mixed_ptx},
      streams{streams_ptx};

  void advance(CUdeviceptr states, uint32_t steps, const Stream& stream) const {
    check::launch(streams.function("advance"), {check::blocks_for(kCount, 128)}, {128}, stream.get(), states,
                  kCount, steps);
  }
  void add_index(CUdeviceptr values, const Stream& stream) const {
    check::launch(memory.function("add_index"), {5}, {128}, stream.get(), values, kCount);
  }
};

template <typename Want>
void require(const uint32_t* got, Want want, const char* what) {
  for (uint32_t i = 0; i < kCount; ++i) {
    REQUIRE(got[i] == want(i), "%s: [%u] is %u, not %u", what, i, got[i], want(i));
  }
}

void copy_back(std::vector<uint32_t>& to, CUdeviceptr from, const Stream& stream) {
  CU_CHECK(cuMemcpyDtoHAsync_v2(to.data(), from, kBytes, stream.get()));
}

// Memory in the order of two streams, from the device's pool and from one of its own.
void pools(const Scene& scene, uint32_t round) {
  const Stream first, second;
  CUmemPoolProps properties{};
  properties.allocType = CU_MEM_ALLOCATION_TYPE_PINNED;
  properties.location = {CU_MEM_LOCATION_TYPE_DEVICE, {0}};
  CUmemoryPool pool = nullptr;
  CU_CHECK(cuMemPoolCreate(&pool, &properties));
  CUdeviceptr a = 0, b = 0;
  take([&] { return cuMemAllocAsync(&a, kBytes, first.get()); });
  take([&] { return cuMemAllocFromPoolAsync(&b, kBytes, pool, second.get()); });
  CU_CHECK(cuMemsetD32Async(a, round, kCount, first.get()));
  scene.advance(a, 20, first);
  first.before(second);
  CU_CHECK(cuMemcpyDtoDAsync_v2(b, a, kBytes, second.get()));
  scene.add_index(b, second);
  std::vector<uint32_t> got(kCount);
  copy_back(got, b, second);
  CU_CHECK(cuMemFreeAsync(b, second.get()));
  second.before(first);
  CU_CHECK(cuMemFreeAsync(a, first.get()));
  first.synchronize();
  CU_CHECK(cuMemPoolDestroy(pool));
  require(
      got.data(), [&](uint32_t i) { return advanced(round, 20) + i; }, "pools");
}

// A capture with a fork, memory of its own and a host function, launched three times.
void captured(const Scene& scene, uint32_t round) {
  const Stream stream, side;
  std::atomic<uint32_t> called{0};
  std::vector<uint32_t> got(kCount);
  CUdeviceptr values = 0;
  CU_CHECK(cuStreamBeginCapture_v2(stream.get(), CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
  CU_CHECK(cuMemAllocAsync(&values, kBytes, stream.get()));
  CU_CHECK(cuMemsetD32Async(values, round, kCount, stream.get()));
  stream.before(side);
  scene.advance(values, 10, side);
  side.before(stream);
  scene.add_index(values, stream);
  copy_back(got, values, stream);
  CU_CHECK(cuMemFreeAsync(values, stream.get()));
  CU_CHECK(cuLaunchHostFunc(
      stream.get(), [](void* count) { ++*static_cast<std::atomic<uint32_t>*>(count); }, &called));
  CUgraph graph = nullptr;
  CUgraphExec exec = nullptr;
  CU_CHECK(cuStreamEndCapture(stream.get(), &graph));
  CU_CHECK(cuGraphInstantiateWithFlags(&exec, graph, 0));
  for (uint32_t i = 1; i <= 3; ++i) {
    std::fill(got.begin(), got.end(), 0);
    take([&] { return cuGraphLaunch(exec, stream.get()); });
    stream.synchronize();
    REQUIRE(called == i, "the host function ran %u times after %u launches", called.load(), i);
    require(
        got.data(), [&](uint32_t k) { return advanced(round, 10) + k; }, "captured");
  }
  CU_CHECK(cuGraphExecDestroy(exec));
  CU_CHECK(cuGraphDestroy(graph));
}

// Written by the host, worked on by kernels, read by the host.
void managed(const Scene& scene, uint32_t round) {
  const Stream stream;
  CUdeviceptr values = 0;
  take([&] { return cuMemAllocManaged(&values, kBytes, CU_MEM_ATTACH_GLOBAL); });
  auto* host = reinterpret_cast<uint32_t*>(values);
  for (uint32_t i = 0; i < kCount; ++i) host[i] = round * i;
  scene.advance(values, 7, stream);
  stream.synchronize();
  require(
      host, [&](uint32_t i) { return advanced(round * i, 7); }, "managed");
  for (uint32_t i = 0; i < kCount; ++i) host[i] += 1;
  scene.add_index(values, stream);
  stream.synchronize();
  require(
      host, [&](uint32_t i) { return advanced(round * i, 7) + 1 + i; }, "managed again");
  CU_CHECK(cuMemFree_v2(values));
}

void textures(const Scene& scene, uint32_t round) {
  constexpr uint32_t kWidth = 64, kHeight = 48;
  const Stream stream;
  const CUDA_ARRAY_DESCRIPTOR shape{kWidth, kHeight, CU_AD_FORMAT_FLOAT, 1};
  CUarray array = nullptr;
  take([&] { return cuArrayCreate_v2(&array, &shape); });
  std::vector<float> texels(kWidth * kHeight), got(texels.size());
  for (size_t i = 0; i < texels.size(); ++i) texels[i] = static_cast<float>(i * 3 + round);
  CUDA_MEMCPY2D copy{};
  copy.srcMemoryType = CU_MEMORYTYPE_HOST;
  copy.srcHost = texels.data();
  copy.srcPitch = copy.WidthInBytes = kWidth * sizeof(float);
  copy.Height = kHeight;
  copy.dstMemoryType = CU_MEMORYTYPE_ARRAY;
  copy.dstArray = array;
  CU_CHECK(cuMemcpy2DAsync_v2(&copy, stream.get()));
  CUDA_RESOURCE_DESC resource{};
  resource.resType = CU_RESOURCE_TYPE_ARRAY;
  resource.res.array.hArray = array;
  CUDA_TEXTURE_DESC how{};
  how.filterMode = CU_TR_FILTER_MODE_POINT;
  CUtexObject texture = 0;
  CU_CHECK(cuTexObjectCreate(&texture, &resource, &how, nullptr));
  CUdeviceptr out = 0;
  const size_t bytes = got.size() * sizeof(float);
  take([&] { return cuMemAlloc_v2(&out, bytes); });
  check::launch(scene.mixed.function("fetch"), {kWidth * kHeight / 128}, {128}, stream.get(), texture, out,
                kWidth);
  CU_CHECK(cuMemcpyDtoHAsync_v2(got.data(), out, bytes, stream.get()));
  stream.synchronize();
  check::require_equal(got, texels, "fetched");
  CU_CHECK(cuMemFree_v2(out));
  CU_CHECK(cuTexObjectDestroy(texture));
  CU_CHECK(cuArrayDestroy(array));
}

// Kernels and functions of the host take turns at the same values.
void host_functions(const Scene& scene, uint32_t round) {
  const Stream stream;
  void* pinned = nullptr;
  CU_CHECK(cuMemHostAlloc(&pinned, kBytes, CU_MEMHOSTALLOC_DEVICEMAP));
  CUdeviceptr values = 0;
  CU_CHECK(cuMemHostGetDevicePointer_v2(&values, pinned, 0));
  auto* host = static_cast<uint32_t*>(pinned);
  std::fill_n(host, kCount, round);
  for (int turn = 0; turn < 4; ++turn) {
    scene.advance(values, 3, stream);
    CU_CHECK(cuLaunchHostFunc(
        stream.get(),
        [](void* all) {
          for (uint32_t i = 0; i < kCount; ++i) static_cast<uint32_t*>(all)[i] ^= i;
        },
        pinned));
  }
  stream.synchronize();
  require(
      host,
      [&](uint32_t i) {
        uint32_t value = round;
        for (int turn = 0; turn < 4; ++turn) value = advanced(value, 3) ^ i;
        return value;
      },
      "by host functions");
  CU_CHECK(cuMemFreeHost(pinned));
}

void cooperative(const Scene& scene, uint32_t round) {
  constexpr uint32_t kBlocks = 6;
  const Stream stream;
  CUdeviceptr values = 0;
  take([&] { return cuMemAlloc_v2(&values, (2 * kBlocks + 1) * sizeof(uint32_t)); });
  std::vector<uint32_t> start(2 * kBlocks + 1), got(start.size());
  for (uint32_t i = 0; i < kBlocks; ++i) start[i] = round * 100 + i;
  CU_CHECK(cuMemcpyHtoDAsync_v2(values, start.data(), start.size() * sizeof(uint32_t), stream.get()));
  CUdeviceptr next = values + kBlocks * sizeof(uint32_t), found = next + kBlocks * sizeof(uint32_t);
  uint32_t rounds = 1 + round % 4;
  void* parameters[] = {&values, &next, &rounds, &found};
  CU_CHECK(cuLaunchCooperativeKernel(scene.cooperative.function("pass_on"), kBlocks, 1, 1, 64, 1, 1, 0,
                                     stream.get(), parameters));
  CU_CHECK(cuMemcpyDtoHAsync_v2(got.data(), values, got.size() * sizeof(uint32_t), stream.get()));
  stream.synchronize();
  for (uint32_t i = 0; i < kBlocks; ++i) {
    const uint32_t want = round * 100 + (i + kBlocks - rounds) % kBlocks;
    REQUIRE(got[i] == want, "block %u has %u, not %u", i, got[i], want);
  }
  CU_CHECK(cuMemFree_v2(values));
}

// Physical memory that grows behind one range of addresses, and is seen at another one too.
void mapped(const Scene& scene, uint32_t round) {
  const Stream stream;
  const size_t step = check::physical_granularity();
  const CUmemAllocationProp properties = check::physical_properties();
  CUmemGenericAllocationHandle parts[2] = {};
  const CUdeviceptr range = check::reserve(2 * step), again = check::reserve(step);
  for (size_t i = 0; i < 2; ++i) {
    take([&] { return cuMemCreate(&parts[i], step, &properties, 0); });
    CU_CHECK(cuMemMap(range + i * step, step, 0, parts[i], 0));
    check::allow(range + i * step, step);
  }
  CU_CHECK(cuMemMap(again, step, 0, parts[1], 0));
  check::allow(again, step);
  const CUdeviceptr across = range + step - kBytes / 2;
  CU_CHECK(cuMemsetD32Async(across, round, kCount, stream.get()));
  scene.advance(across, 5, stream);
  std::vector<uint32_t> got(kCount), half(kCount / 2);
  copy_back(got, across, stream);
  CU_CHECK(cuMemcpyDtoHAsync_v2(half.data(), again, kBytes / 2, stream.get()));
  stream.synchronize();
  require(
      got.data(), [&](uint32_t) { return advanced(round, 5); }, "mapped");
  check::require_equal(half, std::vector<uint32_t>(kCount / 2, advanced(round, 5)), "at the other address");
  CU_CHECK(cuMemUnmap(range, 2 * step));
  CU_CHECK(cuMemUnmap(again, step));
  for (const CUmemGenericAllocationHandle part : parts) CU_CHECK(cuMemRelease(part));
  CU_CHECK(cuMemAddressFree(range, 2 * step));
  CU_CHECK(cuMemAddressFree(again, step));
}

constexpr uint32_t kPrinting = 64;  // threads

void printing(const Scene& scene, uint32_t round) {
  const Stream stream;
  CUdeviceptr results = 0;
  take([&] { return cuMemAlloc_v2(&results, kPrinting * sizeof(int)); });
  check::launch(scene.mixed.function("say"), {2}, {kPrinting / 2}, stream.get(), round, results);
  std::vector<int> got(kPrinting);
  CU_CHECK(cuMemcpyDtoHAsync_v2(got.data(), results, kPrinting * sizeof(int), stream.get()));
  stream.synchronize();
  check::require_equal(got, std::vector<int>(kPrinting, 2), "arguments printed");
  CU_CHECK(cuMemFree_v2(results));
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
    std::vector<CUdeviceptr> all;
    for (size_t bytes = 64u << 20; bytes >= 4096;) {
      CUdeviceptr address = 0;
      const CUresult result = turn % 2 == 0 ? cuMemAlloc_v2(&address, bytes)
                                            : cuMemAllocManaged(&address, bytes, CU_MEM_ATTACH_GLOBAL);
      if (result == CUDA_ERROR_OUT_OF_MEMORY) {
        ++refused;
        bytes /= 2;
        continue;
      }
      CU_CHECK(result);
      all.push_back(address);
    }
    taken = true;
    await_refusal();
    for (const CUdeviceptr address : all) CU_CHECK(cuMemFree_v2(address));
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
      if (std::string(line).starts_with("mixed ")) {
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
  CU_CHECK(cuMemGetInfo_v2(&free, &total));
  return free;
}

// All roads side by side, for kRounds rounds.
void run_all(const Scene& scene, uint32_t first_round, bool pressed) {
  void (*const roads[])(const Scene&, uint32_t) = {pools,          captured,    managed, textures,
                                                   host_functions, cooperative, mapped,  printing};
  std::atomic<bool> taken{!pressed}, done{false};
  std::vector<std::thread> threads;
  for (const auto road : roads) {
    threads.emplace_back([&, road] {
      CU_CHECK(cuCtxSetCurrent(scene.context.get()));
      while (!taken) std::this_thread::yield();
      for (uint32_t i = 0; i < kRounds; ++i) road(scene, first_round + i);
    });
  }
  std::thread presser;
  if (pressed) {
    presser = std::thread([&] {
      CU_CHECK(cuCtxSetCurrent(scene.context.get()));
      press(taken, done);
    });
  }
  for (std::thread& thread : threads) thread.join();
  done = true;
  if (presser.joinable()) presser.join();
}

}  // namespace

int main(int argc, char** argv) {
  const Printed printed;
  const Scene scene;
  run_all(scene, 0, false);
  if (argc == 1) {
    printed.require(kRounds);
    return check::pass("8 threads, %u rounds", kRounds);
  }
  // All that is loaded and kept for later is there now.
  CU_CHECK(cuDeviceGraphMemTrim(0));
  const size_t limit = std::strtoull(argv[1], nullptr, 10), before = free_memory();
  REQUIRE(before < limit && before > limit / 2, "%zu bytes are free of %zu", before, limit);
  run_all(scene, kRounds, true);
  CU_CHECK(cuDeviceGraphMemTrim(0));
  REQUIRE(refusals > 0, "nobody was refused");
  REQUIRE(free_memory() == before, "%zu bytes were free, %zu are at the end", before, free_memory());
  printed.require(2 * kRounds);
  return check::pass(
      "8 threads, %u rounds, and as many with all memory taken: %zu refusals; %zu bytes are the code's",
      kRounds, refusals.load(), limit - before);
}
