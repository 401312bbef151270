// What a GPU across a wire costs its program, beside what the wire itself costs. Run under bench_remote.sh,
// which starts a server; prints one line a figure. Times are medians of several rounds.
//
//   bench_remote
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <thread>
#include <vector>

#include "common/clock.h"
#include "cuda/abi.h"
#include "cuda/driver_api.h"

namespace {

constexpr int kRounds = 9;
constexpr size_t kCopyBytes = size_t{256} << 20;
const char kKernel[] =
    ".version 6.3\n.target sm_70\n.address_size 64\n.visible .entry nothing(.param .u64 a, .param .u32 b) { "
    "ret; }\n";

void check(CUresult result, const char* what) {
  if (result == CUDA_SUCCESS) return;
  fprintf(stderr, "%s: %d\n", what, result);
  exit(1);
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// Nanoseconds of one of `count` runs, the median of the rounds.
double each(int count, const std::function<void()>& body) {
  std::vector<double> rounds;
  for (int round = 0; round < kRounds; ++round) {
    const uint64_t start = tessera::monotonic_ns();
    for (int i = 0; i < count; ++i) body();
    rounds.push_back(static_cast<double>(tessera::monotonic_ns() - start) / count);
  }
  return median(rounds);
}

void all(int socket, void* data, size_t bytes, bool sends) {
  for (size_t at = 0; at < bytes;) {
    char* place = static_cast<char*>(data) + at;
    const ssize_t done =
        sends ? send(socket, place, bytes - at, MSG_NOSIGNAL) : recv(socket, place, bytes - at, 0);
    if (done <= 0) exit(1);
    at += static_cast<size_t>(done);
  }
}

// A peer of its own: answers 64 bytes with 64 bytes, and takes what is longer.
struct Raw {
  int socket = -1;

  Raw() {
    const int listener = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    if (bind(listener, reinterpret_cast<sockaddr*>(&address), length) != 0 || listen(listener, 1) != 0)
      exit(1);
    getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length);
    if (fork() == 0) {
      const int peer = accept(listener, nullptr, nullptr);
      const int on = 1;
      setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      std::vector<char> space(1 << 20);
      for (;;) {
        uint64_t head[8];
        for (size_t at = 0; at < sizeof head;) {
          const ssize_t got = recv(peer, reinterpret_cast<char*>(head) + at, sizeof head - at, 0);
          if (got <= 0) _exit(0);
          at += static_cast<size_t>(got);
        }
        for (uint64_t left = head[0]; left > 0;) {
          const ssize_t got = recv(peer, space.data(), std::min<uint64_t>(left, space.size()), 0);
          if (got <= 0) _exit(0);
          left -= static_cast<uint64_t>(got);
        }
        all(peer, head, sizeof head, true);
      }
    }
    socket = ::socket(AF_INET, SOCK_STREAM, 0);
    if (connect(socket, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) exit(1);
    const int on = 1;
    setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    close(listener);
  }
  void ask(void* data, uint64_t bytes) const {
    uint64_t head[8] = {bytes};
    all(socket, head, sizeof head, true);
    if (bytes > 0) all(socket, data, bytes, true);
    all(socket, head, sizeof head, false);
  }
};

struct Program {
  CUdevice device = 0;
  CUcontext context = nullptr;
  CUmodule module = nullptr;
  CUfunction function = nullptr;
  CUstream stream = nullptr;
  CUdeviceptr memory = 0;

  Program() {
    check(cuInit(0), "cuInit");
    check(cuDevicePrimaryCtxRetain(&context, device), "cuDevicePrimaryCtxRetain");
    check(cuCtxSetCurrent(context), "cuCtxSetCurrent");
    check(cuModuleLoadData(&module, kKernel), "cuModuleLoadData");
    check(cuModuleGetFunction(&function, module, "nothing"), "cuModuleGetFunction");
    check(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING), "cuStreamCreate");
    check(cuMemAlloc_v2(&memory, kCopyBytes), "cuMemAlloc");
    launch();
    synchronize();
  }
  void launch() const {
    uint64_t a = memory;
    uint32_t b = 1;
    void* parameters[] = {&a, &b};
    check(cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, stream, parameters, nullptr), "cuLaunchKernel");
  }
  void synchronize() const { check(cuStreamSynchronize(stream), "cuStreamSynchronize"); }
};

void print(const char* what, double value, const char* unit) {
  printf("%-34s %12.2f %s\n", what, value, unit);
}

}  // namespace

int main() {
  const Raw raw;
  std::vector<char> host(kCopyBytes);
  for (size_t i = 0; i < host.size(); i += 8) {
    const uint64_t word = i * 0x9e3779b97f4a7c15u;
    memcpy(&host[i], &word, 8);
  }
  const Program program;
  const double gigabytes = kCopyBytes / 1e9;
  print("raw ping-pong of 64 bytes", each(2000, [&] { raw.ask(nullptr, 0); }) / 1e3, "us");
  print("synchronous call", each(2000, [&] { (void)cuStreamQuery(program.stream); }) / 1e3, "us");
  print("launch and synchronise",
        each(1000,
             [&] {
               program.launch();
               program.synchronize();
             }) /
            1e3,
        "us");
  print("enqueue of a launch, in bursts",
        each(9,
             [&] {
               for (int i = 0; i < 200; ++i) program.launch();
               program.synchronize();
             }) /
            200,
        "ns, with the wait for 200");
  print("launches in a stream",
        1e9 /
            each(1,
                 [&] {
                   for (int i = 0; i < 100'000; ++i) program.launch();
                   program.synchronize();
                 }) *
            1e5,
        "/s");
  print("raw stream, to the peer", gigabytes / (each(1, [&] { raw.ask(host.data(), kCopyBytes); }) / 1e9),
        "GB/s");
  print("copy to the device",
        gigabytes / (each(1,
                          [&] {
                            check(cuMemcpyHtoD_v2(program.memory, host.data(), kCopyBytes), "cuMemcpyHtoD");
                            program.synchronize();
                          }) /
                     1e9),
        "GB/s");
  print(
      "copy from the device",
      gigabytes /
          (each(1, [&] { check(cuMemcpyDtoH_v2(host.data(), program.memory, kCopyBytes), "cuMemcpyDtoH"); }) /
           1e9),
      "GB/s");
  return 0;
}
