#include "remote/program/measure.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <memory>
#include <vector>

#include "common/clock.h"
#include "cuda/result_names.h"
#include "remote/client/connection.h"
#include "remote/program/raw_wire.h"

namespace tessera::remote {
namespace {

const char kKernel[] =
    ".version 6.3\n.target sm_50\n.address_size 64\n.visible .entry nothing(.param .u64 a, .param .u32 b) { "
    "ret; }\n";
constexpr int kBurst = 200;
constexpr double kSecond = 1e9;

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// Nanoseconds of one of `count`, the median of the rounds.
double each(const MeasureOptions& options, int count, const std::function<void()>& body) {
  std::vector<double> rounds;
  for (int round = 0; round < options.rounds; ++round) {
    const uint64_t start = monotonic_ns();
    for (int i = 0; i < count; ++i) body();
    rounds.push_back(static_cast<double>(monotonic_ns() - start) / count);
  }
  return median(rounds);
}

// Bytes that nothing makes smaller.
std::vector<std::byte> noise(size_t bytes) {
  std::vector<std::byte> data(bytes);
  uint64_t word = 0x2545f4914f6cdd1d;
  for (size_t i = 0; i + 8 <= bytes; i += 8) {
    word ^= word << 13;
    word ^= word >> 7;
    word ^= word << 17;
    memcpy(&data[i], &word, 8);
  }
  return data;
}

// A program of one kernel.
class Program {
 public:
  explicit Program(const std::string& address, const std::string& ca) {
    RemoteConfig config;
    config.server = address;
    config.ca = ca;
    config.wishes = "{}";
    config.grace_seconds = 5;
    install_remote(table_, table_, config);
  }
  CUresult result() const { return result_; }

  void begin(size_t bytes) {
    CUmodule module = nullptr;
    check(table_.cuDevicePrimaryCtxRetain(&context_, 0));
    check(table_.cuCtxSetCurrent(context_));
    check(table_.cuModuleLoadData(&module, kKernel));
    check(table_.cuModuleGetFunction(&function_, module, "nothing"));
    check(table_.cuStreamCreate(&stream_, CU_STREAM_NON_BLOCKING));
    check(table_.cuMemAlloc_v2(&memory_, bytes));
    launch();
    wait();
  }
  void init() { check(table_.cuInit(0)); }
  void launch() {
    uint64_t a = memory_;
    uint32_t b = 1;
    void* parameters[] = {&a, &b};
    check(table_.cuLaunchKernel(function_, 1, 1, 1, 1, 1, 1, 0, stream_, parameters, nullptr));
  }
  void wait() { check(table_.cuStreamSynchronize(stream_)); }
  void query() { check(table_.cuStreamQuery(stream_)); }
  void put(const std::vector<std::byte>& data) {
    check(table_.cuMemcpyHtoD_v2(memory_, data.data(), data.size()));
    check(table_.cuCtxSynchronize());
  }
  void get(std::vector<std::byte>& data) { check(table_.cuMemcpyDtoH_v2(data.data(), memory_, data.size())); }

 private:
  void check(CUresult result) {
    if (result_ == CUDA_SUCCESS) result_ = result;
  }

  cuda::DriverTable table_{};
  CUresult result_ = CUDA_SUCCESS;
  CUcontext context_ = nullptr;
  CUfunction function_ = nullptr;
  CUstream stream_ = nullptr;
  CUdeviceptr memory_ = 0;
};

struct Told {
  CUresult result = CUDA_SUCCESS;
  bool is_same = false;
  WireFigures figures;
};

Told measure_here(const std::string& address, const std::string& ca, const MeasureOptions& options) {
  Told told;
  WireFigures& figures = told.figures;
  auto& program = *new Program(address, ca);
  const uint64_t start = monotonic_ns();
  program.init();
  figures.connect_ms = static_cast<double>(monotonic_ns() - start) / 1e6;
  if (program.result() == CUDA_SUCCESS) program.begin(options.copy_bytes);
  told.result = program.result();
  if (told.result != CUDA_SUCCESS) return told;
  figures.sync_call_us = each(options, options.calls, [&] { program.query(); }) / 1e3;
  figures.round_trip_us = figures.sync_call_us;
  for (int i = 0; i < options.calls; ++i) {
    const uint64_t before = monotonic_ns();
    program.query();
    figures.round_trip_us =
        std::min(figures.round_trip_us, static_cast<double>(monotonic_ns() - before) / 1e3);
  }
  figures.launch_and_wait_us = each(options, options.calls,
                                    [&] {
                                      program.launch();
                                      program.wait();
                                    }) /
                               1e3;
  std::vector<double> bursts;
  for (int round = 0; round < options.rounds * 4; ++round) {
    const uint64_t before = monotonic_ns();
    for (int i = 0; i < kBurst; ++i) program.launch();
    bursts.push_back(static_cast<double>(monotonic_ns() - before) / kBurst);
    program.wait();
  }
  figures.enqueue_ns = median(bursts);
  const std::vector<std::byte> data = noise(options.copy_bytes);
  std::vector<std::byte> back(data.size());
  const auto size = static_cast<double>(data.size());
  figures.to_device = size / each(options, 1, [&] { program.put(data); }) * kSecond;
  figures.from_device = size / each(options, 1, [&] { program.get(back); }) * kSecond;
  told.result = program.result();
  told.is_same = back == data;
  return told;
}

}  // namespace

Result<Floors> measure_floors(const MeasureOptions& options) {
  TESSERA_ASSIGN_OR_RETURN(const RawWire wire, RawWire::start());
  const std::vector<std::byte> data = noise(options.copy_bytes);
  std::vector<std::byte> back(data.size());
  const auto size = static_cast<double>(data.size());
  bool goes = true;
  Floors floors;
  floors.ping_us = each(options, options.calls, [&] { goes = wire.ping() && goes; }) / 1e3;
  floors.send =
      size / each(options, 1, [&] { goes = wire.send(data.data(), data.size()) && goes; }) * kSecond;
  floors.receive =
      size / each(options, 1, [&] { goes = wire.receive(back.data(), back.size()) && goes; }) * kSecond;
  floors.memcpy = size / each(options, 1, [&] { memcpy(back.data(), data.data(), data.size()); }) * kSecond;
  if (!goes || back != data) return Status(Code::kUnavailable, "the bare connection has broken");
  return floors;
}

Result<WireFigures> measure_wire(const std::string& address, const std::string& ca,
                                 const MeasureOptions& options) {
  int ends[2];
  if (pipe(ends) != 0) return Status::from_errno(errno, "cannot make a pipe");
  const UniqueFd from(ends[0]);
  UniqueFd to(ends[1]);
  const pid_t child = fork();
  if (child < 0) return Status::from_errno(errno, "cannot start a process");
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    const Told told = measure_here(address, ca, options);
    const bool is_told = write(to.get(), &told, sizeof told) == static_cast<ssize_t>(sizeof told);
    exit(is_told ? 0 : 1);  // with its farewell to the server
  }
  to.reset();
  Told told;
  const ssize_t count = read(from.get(), &told, sizeof told);
  int status = 0;
  (void)waitpid(child, &status, 0);
  if (count != static_cast<ssize_t>(sizeof told) || status != 0)
    return Status::error(Code::kInternal, "the program that measures has ended with status %d", status);
  if (told.result != CUDA_SUCCESS) {
    const char* name = cuda::result_name(told.result);
    return Status::error(Code::kUnavailable, "a call has failed: %s", name == nullptr ? "an error" : name);
  }
  if (!told.is_same) return Status(Code::kInternal, "what came back from the device is not what went there");
  return told.figures;
}

}  // namespace tessera::remote
