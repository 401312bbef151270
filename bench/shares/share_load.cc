// One tenant of the share measurements: an ordinary CUDA program that keeps a GPU busy in one of several
// ways, and says what it got done between two moments.
//
//   share_load --begin NS --seconds S [--steps N] [--mode MODE] [--depth N] [--think-us N] [--blocks N]
//              [--name NAME] [--window S --solos N --together M [--solo I]]
//
// It launches until S seconds after CLOCK_MONOTONIC reads NS, and counts the work its kernels did in that
// time; what they do is counted on the device. MODE:
//   async     up to `depth` kernels in flight
//   sync      launch, wait, think, again; the times from launch to end are what is reported as latency
//   mixed     async, with kernels of N, N/10 and 3N steps in turn
//   graph     as async, with graphs of four kernels
//   copies    as async, and a copy of 1 MiB each way around each kernel
//   flood     never waits for anything
//
// With --window the time is cut into windows that go round in cycles, so that what is compared is measured in
// turns, in the same processes, and a machine whose speed drifts disturbs all alike. In the first N windows
// of a cycle one tenant works alone, in window I this one, and the others rest; in the M after these all
// work. The two kinds are counted apart, each from kSettle of a window on.
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <string>
#include <thread>

#include "../../tests/programs/driver/driver_check.h"

extern "C" const char share_load_ptx[];

namespace {

struct Options {
  uint64_t begin_ns = 0;
  double seconds = 5;
  uint32_t steps = 20'000;
  std::string mode = "async";
  size_t depth = 4;
  unsigned think_us = 0;
  unsigned blocks = 0;  // of each kernel; 0: as many as there are SMs
  std::string name = "tenant";
  double window_s = 0;  // 0: one, for all of the time
  uint64_t solos = 0, together = 1, solo = UINT64_MAX;
};

constexpr double kSettle = 0.2;  // of a window, in which others come to rest and turns settle

struct Tally {
  uint64_t work = 0, ns = 0;
  double seconds() const { return static_cast<double>(ns) / 1e9; }
};

uint64_t now_ns() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string option = argv[i], value = argv[i + 1];
    if (option == "--begin")
      options.begin_ns = std::stoull(value);
    else if (option == "--seconds")
      options.seconds = std::stod(value);
    else if (option == "--steps")
      options.steps = static_cast<uint32_t>(std::stoul(value));
    else if (option == "--mode")
      options.mode = value;
    else if (option == "--depth")
      options.depth = std::stoul(value);
    else if (option == "--think-us")
      options.think_us = static_cast<unsigned>(std::stoul(value));
    else if (option == "--blocks")
      options.blocks = static_cast<unsigned>(std::stoul(value));
    else if (option == "--name")
      options.name = value;
    else if (option == "--window")
      options.window_s = std::stod(value);
    else if (option == "--solos")
      options.solos = std::stoul(value);
    else if (option == "--together")
      options.together = std::max<uint64_t>(std::stoul(value), 1);
    else if (option == "--solo")
      options.solo = std::stoul(value);
    else
      check::fail("unknown option %s", option.c_str());
  }
  return options;
}

class Load {
 public:
  explicit Load(const Options& options)
      : options_(options), module_(share_load_ptx), burn_(module_.function("burn")) {
    int sms = 0;
    CU_CHECK(cuDeviceGetAttribute(&sms, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, context_.device()));
    blocks_ = options.blocks != 0 ? options.blocks : static_cast<unsigned>(sms);
    CU_CHECK(cuMemAlloc_v2(&states_, blocks_ * kThreads * sizeof(uint32_t)));
    CU_CHECK(cuMemsetD8_v2(states_, 1, blocks_ * kThreads * sizeof(uint32_t)));
    void* done = nullptr;
    CU_CHECK(cuMemHostAlloc(&done, sizeof(uint64_t), CU_MEMHOSTALLOC_DEVICEMAP));
    done_ = static_cast<uint64_t*>(done);
    *done_ = 0;
    CU_CHECK(cuMemHostGetDevicePointer_v2(&done_on_device_, done, 0));
    CU_CHECK(cuStreamCreate(&stream_, CU_STREAM_NON_BLOCKING));
    if (options.mode == "copies") {
      CU_CHECK(cuMemAlloc_v2(&buffer_, kCopyBytes));
      CU_CHECK(cuMemHostAlloc(&host_, kCopyBytes, 0));
    }
    if (options.mode == "graph") make_graph();
  }

  uint64_t done() const { return __atomic_load_n(done_, __ATOMIC_RELAXED); }

  // Does once what it will do, and waits with the rest until shortly before `begin_ns`: while many programs
  // start, each of them takes the GPU for far longer than it works there, and pays for that long after.
  void warm_up(uint64_t begin_ns) {
    enqueue();
    drain();
    CU_CHECK(cuStreamSynchronize(stream_));
    sleep_until(begin_ns - std::min(begin_ns, kHeadStartNs));
  }

  // Until `end_ns`; what was done from `begin_ns` on, and when exactly it was looked at: by a thread that
  // launches nothing, as a launch may have to wait.
  void run(uint64_t begin_ns, uint64_t end_ns) {
    begin_ns_ = begin_ns;
    window_ns_ = options_.window_s > 0 ? static_cast<uint64_t>(options_.window_s * 1e9) : end_ns - begin_ns;
    if (options_.mode == "flood") {
      std::thread([this, begin_ns, end_ns] { keep_busy(begin_ns, end_ns); }).detach();
      watch(begin_ns, end_ns);
      return;
    }
    std::thread watcher([this, begin_ns, end_ns] { watch(begin_ns, end_ns); });
    keep_busy(begin_ns, end_ns);
    watcher.join();
  }

  Tally together, solo;
  std::atomic<uint64_t> launches{0};
  std::vector<double> latencies;  // us

 private:
  static constexpr unsigned kThreads = 32;
  static constexpr size_t kCopyBytes = 1 << 20;
  static constexpr uint64_t kHeadStartNs = 1'000'000'000;

  static void sleep_until(uint64_t moment_ns) {
    for (uint64_t now = now_ns(); now < moment_ns; now = now_ns()) {
      std::this_thread::sleep_for(std::chrono::nanoseconds(moment_ns - now));
    }
  }

  // Of a cycle.
  uint64_t window_at(uint64_t now) const {
    return now < begin_ns_ ? options_.solos
                           : (now - begin_ns_) / window_ns_ % (options_.solos + options_.together);
  }
  bool is_together(uint64_t window) const { return window >= options_.solos; }
  bool works_in(uint64_t window) const { return is_together(window) || window == options_.solo; }

  void watch(uint64_t begin_ns, uint64_t end_ns) {
    const auto settle_ns =
        options_.window_s > 0 ? static_cast<uint64_t>(kSettle * static_cast<double>(window_ns_)) : 0;
    for (uint64_t start = begin_ns, windows = 1; start + window_ns_ <= end_ns;
         start += windows * window_ns_) {
      const uint64_t window = window_at(start);
      windows = is_together(window) ? options_.together : 1;
      if (!works_in(window)) continue;
      sleep_until(start + settle_ns);
      const uint64_t first_ns = now_ns(), first_done = done();
      sleep_until(start + windows * window_ns_);
      Tally& tally = is_together(window) ? together : solo;
      tally.work += done() - first_done;
      tally.ns += now_ns() - first_ns;
    }
  }

  // Until the next window; what is in flight ends in this one.
  void rest(uint64_t now) {
    drain();
    sleep_until(begin_ns_ + ((now - begin_ns_) / window_ns_ + 1) * window_ns_);
  }

  void drain() {
    for (; !in_flight_.empty(); in_flight_.pop_front()) {
      CU_CHECK(cuEventSynchronize(in_flight_.front()));
      CU_CHECK(cuEventDestroy_v2(in_flight_.front()));
    }
  }

  void keep_busy(uint64_t begin_ns, uint64_t end_ns) {
    CU_CHECK(cuCtxSetCurrent(context_.get()));
    bool begun = false;
    for (uint64_t now = now_ns(); now < end_ns; now = now_ns()) {
      if (!begun && now >= begin_ns) {
        begun = true;
        latencies.clear();
      }
      if (!works_in(window_at(now))) {
        rest(now);
        continue;
      }
      if (options_.mode == "sync") {
        timed_launch();
      } else {
        enqueue();
      }
      ++launches;
    }
  }

  void launch(uint32_t steps) {
    check::launch(burn_, {blocks_}, {kThreads}, stream_, done_on_device_, states_, steps);
  }

  void make_graph() {
    CUgraph graph;
    CU_CHECK(cuStreamBeginCapture_v2(stream_, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
    for (int i = 0; i < 4; ++i) launch(options_.steps);
    CU_CHECK(cuStreamEndCapture(stream_, &graph));
    CU_CHECK(cuGraphInstantiateWithFlags(&graph_, graph, 0));
  }

  void enqueue() {
    if (options_.mode == "graph") {
      CU_CHECK(cuGraphLaunch(graph_, stream_));
    } else if (options_.mode == "mixed") {
      const uint32_t n = options_.steps;
      launch(std::max(std::array<uint32_t, 3>{n, n / 10, 3 * n}[launches % 3], 1u));
    } else {
      if (buffer_ != 0) CU_CHECK(cuMemcpyHtoDAsync_v2(buffer_, host_, kCopyBytes, stream_));
      launch(options_.steps);
      if (buffer_ != 0) CU_CHECK(cuMemcpyDtoHAsync_v2(host_, buffer_, kCopyBytes, stream_));
    }
    if (options_.mode == "flood") return;
    CUevent event;
    CU_CHECK(cuEventCreate(&event, CU_EVENT_DISABLE_TIMING));
    CU_CHECK(cuEventRecord(event, stream_));
    in_flight_.push_back(event);
    if (in_flight_.size() < options_.depth) return;
    CU_CHECK(cuEventSynchronize(in_flight_.front()));
    CU_CHECK(cuEventDestroy_v2(in_flight_.front()));
    in_flight_.pop_front();
  }

  void timed_launch() {
    const uint64_t began = now_ns();
    launch(options_.steps);
    CU_CHECK(cuStreamSynchronize(stream_));
    latencies.push_back(static_cast<double>(now_ns() - began) / 1e3);
    if (options_.think_us != 0) usleep(options_.think_us);
  }

  const Options& options_;
  uint64_t begin_ns_ = 0, window_ns_ = 0;
  const check::Context context_;
  const check::Module module_;
  const CUfunction burn_;
  unsigned blocks_ = 1;
  CUdeviceptr states_ = 0, done_on_device_ = 0, buffer_ = 0;
  void* host_ = nullptr;
  uint64_t* done_ = nullptr;
  CUstream stream_ = nullptr;
  CUgraphExec graph_ = nullptr;
  std::deque<CUevent> in_flight_;
};

double quantile(std::vector<double> values, double q) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  return values[static_cast<size_t>(q * static_cast<double>(values.size() - 1))];
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = parse(argc, argv);
  Load load(options);
  const uint64_t begin = options.begin_ns != 0 ? options.begin_ns : now_ns();
  load.warm_up(begin);
  load.run(begin, begin + static_cast<uint64_t>(options.seconds * 1e9));
  std::printf(
      "{\"name\": \"%s\", \"work\": %llu, \"seconds\": %.6f, \"solo_work\": %llu, \"solo_seconds\": %.6f, "
      "\"launches\": %llu, \"p50_us\": %.1f, \"p99_us\": %.1f, \"samples\": %zu}\n",
      options.name.c_str(), static_cast<unsigned long long>(load.together.work), load.together.seconds(),
      static_cast<unsigned long long>(load.solo.work), load.solo.seconds(),
      static_cast<unsigned long long>(load.launches.load()), quantile(load.latencies, 0.5),
      quantile(load.latencies, 0.99), load.latencies.size());
  std::fflush(stdout);
  // What still waits in streams is nobody's loss.
  _exit(0);
}
