// One tenant of the demo: an ordinary CUDA program that knows nothing of Tessera. It holds the memory it was
// told to hold, runs kernels whose results it checks against the CPU, may ask for more than it should get,
// and reports what happened.
#include <algorithm>
#include <chrono>
#include <cstring>

#include "common/size.h"
#include "demo_workloads.h"

namespace {

using Clock = std::chrono::steady_clock;

constexpr const char* kUsage =
    "usage: tessera-demo-tenant [--name NAME] [--work matmul|mandelbrot|reduce] [--memory SIZE] "
    "[--ask-beyond SIZE]\n"
    "                           [--rounds N | --seconds N] [--json]\n";

struct Options {
  std::string name = "tenant";
  std::string work = "matmul";
  uint64_t memory = 256 * tessera::kMiB;
  uint64_t ask_beyond = 0;  // 0: asks for nothing
  uint64_t rounds = 10;     // 0: as many as fit into `seconds`
  double seconds = 0;
  bool json = false;
};

struct Outcome {
  uint64_t rounds = 0, wrong = 0, refusals = 0, granted_beyond = 0;
  uint64_t held = 0, peak = 0, device_total = 0;
  double gpu_ms = 0, elapsed_ms = 0;
  std::string refused_with;  // CUDA's name of the error
};

[[noreturn]] void usage_error(const std::string& why) {
  std::fprintf(stderr, "tessera-demo-tenant: %s\n%s", why.c_str(), kUsage);
  std::exit(2);
}

uint64_t size_option(const std::string& option, const char* text) {
  const tessera::Result<uint64_t> size = tessera::parse_size(text);
  if (!size.ok()) usage_error(option + ": " + size.status().message());
  return *size;
}

double number_option(const std::string& option, const char* text) {
  char* end = nullptr;
  const double number = std::strtod(text, &end);
  if (end == text || *end != '\0' || !(number > 0 && number <= 1e6)) {
    usage_error(option + ": '" + text + "' is not a number from 1 to 1000000");
  }
  return number;
}

std::string name_option(const char* text) {
  const size_t length = std::strlen(text);
  const bool plain =
      std::strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == length;
  if (length == 0 || length > 64 || !plain) usage_error("--name: up to 64 letters, digits, '.', '_' and '-'");
  return text;
}

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string option = argv[i];
    if (option == "--help") {
      std::fputs(kUsage, stdout);
      std::exit(0);
    }
    if (option == "--json") {
      options.json = true;
      continue;
    }
    if (i + 1 == argc) usage_error("'" + option + "' is unknown or lacks its value");
    const char* value = argv[++i];
    if (option == "--name") {
      options.name = name_option(value);
    } else if (option == "--work") {
      if (!demo::is_workload(value)) usage_error(std::string("--work: no work called '") + value + "'");
      options.work = value;
    } else if (option == "--memory") {
      options.memory = size_option(option, value);
    } else if (option == "--ask-beyond") {
      options.ask_beyond = size_option(option, value);
    } else if (option == "--rounds") {
      options.rounds = static_cast<uint64_t>(number_option(option, value));
    } else if (option == "--seconds") {
      options.seconds = number_option(option, value);
      options.rounds = 0;
    } else {
      usage_error("unknown option '" + option + "'");
    }
  }
  return options;
}

void hold(Outcome& outcome, uint64_t bytes) {
  outcome.held += bytes;
  outcome.peak = std::max(outcome.peak, outcome.held);
}

// Notes a refusal and goes on; any other error ends the program.
CUdeviceptr try_allocate(uint64_t bytes, Outcome& outcome) {
  CUdeviceptr address = 0;
  const CUresult result = cuMemAlloc_v2(&address, bytes);
  if (result == CUDA_ERROR_OUT_OF_MEMORY) {
    ++outcome.refusals;
    outcome.refused_with = cu_name(result);
    return 0;
  }
  CU_CHECK(result);
  hold(outcome, bytes);
  return address;
}

// The tenant's working memory in blocks, so that it fits into a fragmented device; every round uses one of
// them.
std::vector<CUdeviceptr> allocate_working_memory(uint64_t bytes, Outcome& outcome) {
  constexpr uint64_t kBlock = 64 * tessera::kMiB;
  std::vector<CUdeviceptr> blocks;
  while (bytes >= sizeof(uint32_t)) {
    const uint64_t size = std::min(bytes, kBlock);
    const CUdeviceptr block = try_allocate(size, outcome);
    if (!block) break;
    blocks.push_back(block);
    bytes -= size;
  }
  return blocks;
}

bool block_holds(CUdeviceptr block, uint32_t word, CUstream stream) {
  uint32_t seen = ~word;
  CU_CHECK(cuMemsetD32Async(block, word, 1, stream));
  CU_CHECK(cuMemcpyDtoHAsync_v2(&seen, block, sizeof(seen), stream));
  CU_CHECK(cuStreamSynchronize(stream));
  return seen == word;
}

class Timer {
 public:
  Timer() {
    CU_CHECK(cuEventCreate(&begin_, CU_EVENT_DEFAULT));
    CU_CHECK(cuEventCreate(&end_, CU_EVENT_DEFAULT));
  }
  ~Timer() {
    (void)cuEventDestroy_v2(begin_);
    (void)cuEventDestroy_v2(end_);
  }
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;
  void start(CUstream stream) { CU_CHECK(cuEventRecord(begin_, stream)); }
  double stop(CUstream stream) {
    float milliseconds = 0;
    CU_CHECK(cuEventRecord(end_, stream));
    CU_CHECK(cuEventSynchronize(end_));
    CU_CHECK(cuEventElapsedTime_v2(&milliseconds, begin_, end_));
    return milliseconds;
  }

 private:
  CUevent begin_ = nullptr, end_ = nullptr;
};

// Asks once for more than the tenant should get. Granted memory is given back: only the answer matters.
void ask_beyond(uint64_t bytes, Outcome& outcome) {
  const CUdeviceptr beyond = try_allocate(bytes, outcome);
  if (!beyond) return;
  outcome.granted_beyond = bytes;
  outcome.held -= bytes;
  CU_CHECK(cuMemFree_v2(beyond));
}

double milliseconds_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

Outcome work(const Options& options) {
  const Clock::time_point start = Clock::now();
  const check::Context context;
  Outcome outcome;
  size_t free_bytes = 0, total = 0;
  CU_CHECK(cuMemGetInfo_v2(&free_bytes, &total));
  outcome.device_total = total;
  CUstream stream = nullptr;
  CU_CHECK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
  {
    const std::unique_ptr<demo::Workload> workload = demo::make_workload(options.work);
    hold(outcome, workload->bytes());
    const std::vector<CUdeviceptr> blocks = allocate_working_memory(options.memory, outcome);
    Timer timer;
    const auto unfinished = [&] {
      return options.rounds > 0 ? outcome.rounds < options.rounds
                                : milliseconds_since(start) < 1000 * options.seconds;
    };
    while (unfinished()) {
      timer.start(stream);
      workload->run(stream);
      outcome.gpu_ms += timer.stop(stream);
      bool right = workload->correct();
      if (!blocks.empty()) {
        right &= block_holds(blocks[outcome.rounds % blocks.size()], static_cast<uint32_t>(outcome.rounds),
                             stream);
      }
      outcome.wrong += !right;
      if (++outcome.rounds == 1 && options.ask_beyond > 0) ask_beyond(options.ask_beyond, outcome);
    }
    for (const CUdeviceptr block : blocks) CU_CHECK(cuMemFree_v2(block));
  }
  CU_CHECK(cuStreamDestroy_v2(stream));
  outcome.elapsed_ms = milliseconds_since(start);
  return outcome;
}

using Count = unsigned long long;

void print_json(const Options& options, const Outcome& o) {
  std::printf(
      "{\"name\": \"%s\", \"work\": \"%s\", \"ok\": %s, \"rounds\": %llu, \"wrong_rounds\": %llu, "
      "\"refusals\": %llu, "
      "\"refused_with\": \"%s\", \"asked_beyond_bytes\": %llu, \"granted_beyond_bytes\": %llu, "
      "\"peak_bytes\": %llu, "
      "\"device_total_bytes\": %llu, \"gpu_ms\": %.3f, \"elapsed_ms\": %.3f}\n",
      options.name.c_str(), options.work.c_str(), o.wrong == 0 ? "true" : "false", Count{o.rounds},
      Count{o.wrong}, Count{o.refusals}, o.refused_with.c_str(), Count{options.ask_beyond},
      Count{o.granted_beyond}, Count{o.peak}, Count{o.device_total}, o.gpu_ms, o.elapsed_ms);
}

void print_line(const Options& options, const Outcome& o) {
  std::printf("%s: %s, %llu rounds %s, device shows %s, peak %s, ", options.name.c_str(),
              options.work.c_str(), Count{o.rounds}, o.wrong == 0 ? "all right" : "WITH WRONG RESULTS",
              tessera::format_size(o.device_total).c_str(), tessera::format_size(o.peak).c_str());
  if (o.refusals > 0) std::printf("%llu refused with %s, ", Count{o.refusals}, o.refused_with.c_str());
  if (o.granted_beyond > 0)
    std::printf("%s beyond granted, ", tessera::format_size(o.granted_beyond).c_str());
  std::printf("GPU %.1f ms of %.1f ms\n", o.gpu_ms, o.elapsed_ms);
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = parse(argc, argv);
  const Outcome outcome = work(options);
  if (options.json) {
    print_json(options, outcome);
  } else {
    print_line(options, outcome);
  }
  return outcome.wrong == 0 ? 0 : 1;
}
