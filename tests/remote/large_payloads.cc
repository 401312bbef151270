// A program that sends much to its GPU, and looks whether it is there.
//
//   large_payloads modules COUNT BYTES           loads so many modules, each of so many bytes
//   large_payloads random|text|zeros COUNT BYTES [ROUNDS]   copies so many tensors there and back
//
// Prints what things took: NAME=VALUE, in microseconds and megabytes a second. What it sends is the same each
// time.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "common/clock.h"
#include "cuda/abi.h"
#include "cuda/driver_api.h"

namespace {

void check(CUresult result, const char* what) {
  if (result == CUDA_SUCCESS) return;
  fprintf(stderr, "%s: %d\n", what, result);
  exit(1);
}

double since(uint64_t start_ns) { return static_cast<double>(tessera::monotonic_ns() - start_ns); }

void start() {
  const uint64_t before = tessera::monotonic_ns();
  check(cuInit(0), "cuInit");
  printf("connect_us=%.0f\n", since(before) / 1e3);
  const uint64_t connected = tessera::monotonic_ns();
  CUcontext context = nullptr;
  check(cuDevicePrimaryCtxRetain(&context, 0), "cuDevicePrimaryCtxRetain");
  check(cuCtxSetCurrent(context), "cuCtxSetCurrent");
  CUdeviceptr memory = 0;
  check(cuMemAlloc_v2(&memory, 4096), "cuMemAlloc");
  printf("first_call_us=%.0f\n", since(connected) / 1e3);
}

// A kernel with its number, and so much beside it that it is large: as instructions would be, never twice the
// same.
std::string module_text(int number, size_t bytes) {
  std::string text =
      ".version 6.3\n.target sm_70\n.address_size 64\n.visible .entry kernel(.param .u64 out) {\n"
      ".reg .u64 %rd<2>; .reg .u32 %r<2>;\nld.param.u64 %rd1, [out];\nmov.u32 %r1, " +
      std::to_string(number) + ";\nst.global.u32 [%rd1], %r1;\nret;\n}\n";
  std::mt19937_64 random(static_cast<uint64_t>(number) + 1);
  while (text.size() < bytes) {
    char line[128];
    snprintf(line, sizeof line, "// %016llx%016llx%016llx\n", static_cast<unsigned long long>(random()),
             static_cast<unsigned long long>(random()), static_cast<unsigned long long>(random()));
    text += line;
  }
  return text;
}

void modules(int count, size_t bytes) {
  std::vector<std::string> texts;
  for (int i = 0; i < count; ++i) texts.push_back(module_text(i, bytes));
  const uint64_t before = tessera::monotonic_ns();
  CUdeviceptr memory = 0;
  check(cuMemAlloc_v2(&memory, 4), "cuMemAlloc");
  for (int i = 0; i < count; ++i) {
    CUmodule module = nullptr;
    CUfunction function = nullptr;
    check(cuModuleLoadData(&module, texts[static_cast<size_t>(i)].c_str()), "cuModuleLoadData");
    check(cuModuleGetFunction(&function, module, "kernel"), "cuModuleGetFunction");
    void* parameters[] = {&memory};
    check(cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, nullptr, parameters, nullptr), "cuLaunchKernel");
    int found = -1;
    check(cuMemcpyDtoH_v2(&found, memory, sizeof found), "cuMemcpyDtoH");
    if (found != i) exit(1);
  }
  printf("modules_us=%.0f\n", since(before) / 1e3);
}

std::vector<char> tensor(const std::string& kind, int number, size_t bytes) {
  std::vector<char> content(bytes);
  std::mt19937_64 random(static_cast<uint64_t>(number) + 7);
  for (size_t i = 0; kind != "zeros" && i + 8 <= bytes; i += 8) {
    uint64_t word = random();
    if (kind == "text") word = (word & 0x0f0f0f0f0f0f0f0f) | 0x4040404040404040;
    memcpy(&content[i], &word, 8);
  }
  return content;
}

void tensors(const std::string& kind, int count, size_t bytes, int rounds) {
  std::vector<CUdeviceptr> places(static_cast<size_t>(count));
  std::vector<std::vector<char>> contents;
  for (int i = 0; i < count; ++i) contents.push_back(tensor(kind, i, bytes));
  for (CUdeviceptr& place : places) check(cuMemAlloc_v2(&place, bytes), "cuMemAlloc");
  std::vector<char> back(bytes);
  double best_up = 1e30, best_down = 1e30;
  for (int round = 0; round < rounds; ++round) {
    const uint64_t up = tessera::monotonic_ns();
    for (size_t i = 0; i < places.size(); ++i)
      check(cuMemcpyHtoD_v2(places[i], contents[i].data(), bytes), "cuMemcpyHtoD");
    check(cuCtxSynchronize(), "cuCtxSynchronize");
    best_up = std::min(best_up, since(up));
    double down = 0;
    for (size_t i = 0; i < places.size(); ++i) {
      const uint64_t before = tessera::monotonic_ns();
      check(cuMemcpyDtoH_v2(back.data(), places[i], bytes), "cuMemcpyDtoH");
      down += since(before);
      if (back != contents[i]) {
        fprintf(stderr, "tensor %zu is not what was sent\n", i);
        exit(1);
      }
    }
    best_down = std::min(best_down, down);
  }
  const double megabytes = static_cast<double>(bytes) * count * 1e-6;
  printf("up_mb_s=%.0f\ndown_mb_s=%.0f\n", megabytes / best_up * 1e9, megabytes / best_down * 1e9);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) {
    fprintf(stderr, "usage: large_payloads modules|random|text|zeros COUNT BYTES [ROUNDS]\n");
    return 2;
  }
  const std::string kind = argv[1];
  const int count = atoi(argv[2]), rounds = argc > 4 ? atoi(argv[4]) : 1;
  const size_t bytes = strtoull(argv[3], nullptr, 10);
  start();
  if (kind == "modules") {
    modules(count, bytes);
  } else {
    tensors(kind, count, bytes, rounds);
  }
  puts("PASS");
  return 0;
}
