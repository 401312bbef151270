#include "demos/space_work.h"

#include <chrono>
#include <cstdio>
#include <cstdlib>

#include "demos/demo_driver.h"

extern "C" const char streams_ptx[];

namespace demo {
namespace {

constexpr unsigned kThreads = 256;

uint32_t first_state(size_t block, uint64_t word) {
  return static_cast<uint32_t>(block * 0x9e3779b9u + word);
}

// As the kernel advance().
uint32_t advanced(uint32_t state, uint32_t steps) {
  for (uint32_t step = 0; step < steps; ++step) state = state * 1664525u + 1013904223u;
  return state;
}

}  // namespace

void require_space(tessera_memory_status status, const char* what) {
  if (status == TESSERA_MEMORY_OK) return;
  std::fprintf(stderr, "%s: %s: %s\n", what, tessera_memory_status_name(status), tessera_memory_message());
  std::exit(1);
}

SpaceWork::SpaceWork(const tessera::cuda::DriverTable& driver, uint64_t device_bytes, uint64_t block_bytes,
                     int blocks)
    : driver_(driver), words_(block_bytes / sizeof(uint32_t)), steps_(static_cast<size_t>(blocks)) {
  require(driver_.cuModuleLoadData(&module_, streams_ptx) == CUDA_SUCCESS &&
              driver_.cuModuleGetFunction(&advance_, module_, "advance") == CUDA_SUCCESS,
          "loading the kernel");
  tessera_memory_options options{};
  options.size = sizeof options;
  options.device_bytes = device_bytes;
  require_space(tessera_memory_space_create(&options, &space_), "making a space");
  std::vector<uint32_t> words(words_);
  for (size_t block = 0; block < steps_.size(); ++block) {
    uint64_t address = 0;
    require_space(tessera_memory_allocate(space_, block_bytes, &address), "allocating");
    for (uint64_t i = 0; i < words_; ++i) words[i] = first_state(block, i);
    require_space(tessera_memory_write(space_, address, words.data(), words_ * sizeof(uint32_t)), "writing");
    addresses_.push_back(address);
  }
}

SpaceWork::~SpaceWork() {
  wait();
  tessera_memory_space_destroy(space_);
  (void)driver_.cuModuleUnload(module_);
}

void SpaceWork::advance(size_t block, uint32_t steps) {
  const uint64_t address = addresses_[block];
  require_space(tessera_memory_acquire(space_, &address, 1), "acquiring");
  CUdeviceptr states = address;
  auto count = static_cast<uint32_t>(words_);
  void* arguments[] = {&states, &count, &steps};
  const unsigned blocks = (count + kThreads - 1) / kThreads;
  require(driver_.cuLaunchKernel(advance_, blocks, 1, 1, kThreads, 1, 1, 0, nullptr, arguments, nullptr) ==
              CUDA_SUCCESS,
          "cuLaunchKernel");
  require_space(tessera_memory_release(space_, &address, 1), "releasing");
  steps_[block] += steps;
}

double SpaceWork::round(uint32_t steps) {
  const auto begin = std::chrono::steady_clock::now();
  for (size_t block = 0; block < addresses_.size(); ++block) advance(block, steps);
  wait();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

void SpaceWork::wait() { require(driver_.cuCtxSynchronize() == CUDA_SUCCESS, "the kernels"); }

bool SpaceWork::correct() {
  std::vector<uint32_t> words(words_);
  for (size_t block = 0; block < addresses_.size(); ++block) {
    require_space(tessera_memory_read(space_, addresses_[block], words.data(), words_ * sizeof(uint32_t)),
                  "reading");
    for (uint64_t i = 0; i < words_; ++i)
      if (words[i] != advanced(first_state(block, i), steps_[block])) return false;
  }
  return true;
}

tessera_memory_figures SpaceWork::figures() {
  tessera_memory_figures figures{};
  figures.size = sizeof figures;
  require_space(tessera_memory_space_query(space_, &figures), "asking");
  return figures;
}

}  // namespace demo
