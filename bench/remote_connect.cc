// How long a program waits for a GPU across a wire when it starts: cuInit, which connects and learns what the
// server has, and the first calls after it, in programs that are started anew each time. Beside it the least
// that it could be: a TCP connection for which the other side forks a process that answers one byte, each
// taken right before a program. Run under bench_remote.sh, which starts a server.
//
//   remote_connect [COUNT]     medians and the least, in milliseconds
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "bench/median.h"
#include "common/clock.h"
#include "cuda/abi.h"
#include "cuda/driver_api.h"

namespace {

constexpr int kUsualCount = 40;
constexpr int kFirst = 3;               // not counted: files are read, caches filled
constexpr useconds_t kApart = 100'000;  // for the server to get ready for the next one

using tessera::bench::median;

double now_ms() { return static_cast<double>(tessera::monotonic_ns()) * 1e-6; }

[[noreturn]] void fail(const char* what) {
  perror(what);
  exit(1);
}

// A server that does nothing but fork.
class Floor {
 public:
  Floor() {
    const int listener = socket(AF_INET, SOCK_STREAM, 0);
    address_.sin_family = AF_INET;
    address_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address_;
    if (bind(listener, reinterpret_cast<sockaddr*>(&address_), length) != 0 || listen(listener, 4) != 0)
      fail("listen");
    getsockname(listener, reinterpret_cast<sockaddr*>(&address_), &length);
    pid_ = fork();
    if (pid_ < 0) fail("fork");
    if (pid_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      serve(listener);
    }
    close(listener);
  }
  ~Floor() { kill(pid_, SIGKILL); }
  double connect_ms() const {
    const double before = now_ms();
    const int peer = socket(AF_INET, SOCK_STREAM, 0);
    char byte = 0;
    if (connect(peer, reinterpret_cast<const sockaddr*>(&address_), sizeof address_) != 0 ||
        send(peer, &byte, 1, MSG_NOSIGNAL) != 1 || recv(peer, &byte, 1, 0) != 1)
      fail("connect");
    const double took = now_ms() - before;
    close(peer);
    return took;
  }

 private:
  [[noreturn]] static void serve(int listener) {
    signal(SIGCHLD, SIG_IGN);
    for (;;) {
      const int peer = accept(listener, nullptr, nullptr);
      if (fork() == 0) {
        char byte = 0;
        if (recv(peer, &byte, 1, 0) == 1) (void)send(peer, &byte, 1, MSG_NOSIGNAL);
        _exit(0);
      }
      close(peer);
    }
  }

  sockaddr_in address_{};
  pid_t pid_ = -1;
};

// In a program of its own: prints both times.
int begin_once() {
  const double before = now_ms();
  if (cuInit(0) != CUDA_SUCCESS) return 1;
  const double connected = now_ms();
  CUcontext context = nullptr;
  CUdeviceptr memory = 0;
  if (cuDevicePrimaryCtxRetain(&context, 0) != CUDA_SUCCESS || cuCtxSetCurrent(context) != CUDA_SUCCESS ||
      cuMemAlloc_v2(&memory, 1 << 20) != CUDA_SUCCESS)
    return 1;
  printf("%.6f %.6f\n", connected - before, now_ms() - connected);
  return 0;
}

struct Begun {
  double connect_ms = 0, first_calls_ms = 0;
};

Begun begin_program(const std::string& self) {
  FILE* const told = popen(("exec '" + self + "' once").c_str(), "r");
  Begun begun;
  if (told == nullptr || fscanf(told, "%lf %lf", &begun.connect_ms, &begun.first_calls_ms) != 2 ||
      pclose(told) != 0) {
    fprintf(stderr, "a program does not start\n");
    exit(1);
  }
  return begun;
}

void print(const char* what, const std::vector<double>& figures) {
  printf("%-38s %12.2f ms, least %.2f\n", what, median(figures),
         *std::min_element(figures.begin(), figures.end()));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1 && strcmp(argv[1], "once") == 0) return begin_once();
  const int count = argc > 1 ? std::max(1, atoi(argv[1])) : kUsualCount;
  const std::string self = std::filesystem::canonical("/proc/self/exe");
  const Floor floor;
  std::vector<double> least, connects, firsts, both;
  for (int i = -kFirst; i < count; ++i) {
    usleep(kApart);
    const double floor_ms = floor.connect_ms();
    const Begun begun = begin_program(self);
    if (i < 0) continue;
    least.push_back(floor_ms);
    connects.push_back(begun.connect_ms);
    firsts.push_back(begun.first_calls_ms);
    both.push_back(begun.connect_ms + begun.first_calls_ms);
  }
  print("raw: connect to a process that forks", least);
  print("connect, and what the server has", connects);
  print("first calls after it", firsts);
  print("both", both);
  return 0;
}
