// What a GPU across a wire costs its program, beside what the wire itself costs. Run under bench_remote.sh,
// which starts a server; prints one line a figure. Times are medians of several rounds.
//
//   bench_remote [calls|copies|link|apart SERVER_PID]
//
// apart: calls, with the program on one processor, and the server and the peer of the raw ping-pong on
// another. They are put there once they are connected: who begins with one processor does not spin.
// link: copies of data that compress as they do, one line each: name, seconds to the device, seconds back;
// and what the encoding that makes it smallest does by itself, in pieces of 1 MiB: its name, how many times
// less there is of it, bytes a second that it encodes and decodes. bench_remote_link.sh runs it over a link
// that is held to a rate.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "bench/median.h"
#include "bench/pinning.h"
#include "common/clock.h"
#include "cuda/abi.h"
#include "cuda/driver_api.h"
#include "memory/codec/page_codec.h"

namespace {

constexpr int kRounds = 9;
std::atomic<uint64_t> sends_made{0};  // by this process
constexpr size_t kCopyBytes = size_t{256} << 20;
const char kKernel[] =
    ".version 6.3\n.target sm_70\n.address_size 64\n.visible .entry nothing(.param .u64 a, .param .u32 b) { "
    "ret; }\n";

void check(CUresult result, const char* what) {
  if (result == CUDA_SUCCESS) return;
  fprintf(stderr, "%s: %d\n", what, result);
  exit(1);
}

using tessera::bench::median;

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

// A peer of its own: answers 64 bytes with 64 bytes, and takes and sends more where they say so. Its side
// goes through little memory, again and again, as no copy does at the device's; ours through as much as a
// copy.
struct Raw {
  int socket = -1;
  pid_t peer = -1;

  Raw() {
    const int listener = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    if (bind(listener, reinterpret_cast<sockaddr*>(&address), length) != 0 || listen(listener, 1) != 0)
      exit(1);
    getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length);
    if ((peer = fork()) == 0) {
      const int from = accept(listener, nullptr, nullptr);
      const int on = 1;
      setsockopt(from, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      std::vector<char> space(1 << 20);
      for (;;) {
        uint64_t head[8];
        for (size_t at = 0; at < sizeof head;) {
          const ssize_t got = recv(from, reinterpret_cast<char*>(head) + at, sizeof head - at, 0);
          if (got <= 0) _exit(0);
          at += static_cast<size_t>(got);
        }
        for (uint64_t left = head[0]; left > 0;) {
          const ssize_t got = recv(from, space.data(), std::min<uint64_t>(left, space.size()), 0);
          if (got <= 0) _exit(0);
          left -= static_cast<uint64_t>(got);
        }
        all(from, head, sizeof head, true);
        for (uint64_t left = head[1]; left > 0;) {
          const uint64_t part = std::min<uint64_t>(left, space.size());
          all(from, space.data(), part, true);
          left -= part;
        }
      }
    }
    socket = ::socket(AF_INET, SOCK_STREAM, 0);
    if (connect(socket, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) exit(1);
    const int on = 1;
    setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    close(listener);
  }
  void ask(const void* data, uint64_t bytes) const {
    uint64_t head[8] = {bytes};
    all(socket, head, sizeof head, true);
    if (bytes > 0) all(socket, const_cast<void*>(data), bytes, true);
    all(socket, head, sizeof head, false);
  }
  void take(void* data, uint64_t bytes) const {
    uint64_t head[8] = {0, bytes};
    all(socket, head, sizeof head, true);
    all(socket, head, sizeof head, false);
    all(socket, data, bytes, false);
  }
};

struct Program {
  CUdevice device = 0;
  CUcontext context = nullptr;
  CUmodule module = nullptr;
  CUfunction function = nullptr;
  CUstream stream = nullptr;
  CUdeviceptr memory = 0;
  double connect_ns = 0, first_call_ns = 0;

  Program() {
    const uint64_t before = tessera::monotonic_ns();
    check(cuInit(0), "cuInit");
    const uint64_t connected = tessera::monotonic_ns();
    check(cuDevicePrimaryCtxRetain(&context, device), "cuDevicePrimaryCtxRetain");
    check(cuCtxSetCurrent(context), "cuCtxSetCurrent");
    check(cuMemAlloc_v2(&memory, kCopyBytes), "cuMemAlloc");
    connect_ns = static_cast<double>(connected - before);
    first_call_ns = static_cast<double>(tessera::monotonic_ns() - connected);
    check(cuModuleLoadData(&module, kKernel), "cuModuleLoadData");
    check(cuModuleGetFunction(&function, module, "nothing"), "cuModuleGetFunction");
    stream = new_stream();
    launch(stream);
    synchronize(stream);
  }
  static CUstream new_stream() {
    CUstream made = nullptr;
    check(cuStreamCreate(&made, CU_STREAM_NON_BLOCKING), "cuStreamCreate");
    return made;
  }
  void launch(CUstream in) const {
    uint64_t a = memory;
    uint32_t b = 1;
    void* parameters[] = {&a, &b};
    check(cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, in, parameters, nullptr), "cuLaunchKernel");
  }
  static void synchronize(CUstream in) { check(cuStreamSynchronize(in), "cuStreamSynchronize"); }
};

void print(const char* what, double value, const char* unit) {
  printf("%-38s %12.2f %s\n", what, value, unit);
}

// Launches a second of so many threads together, each in a stream of its own, waits included.
double launches(const Program& program, int threads) {
  constexpr int kEach = 100'000;
  std::vector<CUstream> streams;
  streams.reserve(static_cast<size_t>(threads));
  for (int i = 0; i < threads; ++i) streams.push_back(Program::new_stream());
  std::vector<double> rounds;
  for (int round = 0; round < kRounds; ++round) {
    const uint64_t start = tessera::monotonic_ns();
    std::vector<std::thread> all;
    all.reserve(streams.size());
    for (CUstream stream : streams) {
      all.emplace_back([&program, stream] {
        check(cuCtxSetCurrent(program.context), "cuCtxSetCurrent");
        for (int i = 0; i < kEach; ++i) program.launch(stream);
        Program::synchronize(stream);
      });
    }
    for (std::thread& thread : all) thread.join();
    rounds.push_back(threads * kEach * 1e9 / static_cast<double>(tessera::monotonic_ns() - start));
  }
  return median(rounds);
}

// A burst that nobody waits for, and the calls that send it.
struct Burst {
  double launch_ns = 0, launches_a_send = 0;
};

Burst burst(const Program& program, int count) {
  std::vector<double> times, sends;
  for (int round = 0; round < 100; ++round) {
    const uint64_t sent = sends_made.load(), start = tessera::monotonic_ns();
    for (int i = 0; i < count; ++i) program.launch(program.stream);
    times.push_back(static_cast<double>(tessera::monotonic_ns() - start) / count);
    Program::synchronize(program.stream);
    sends.push_back(static_cast<double>(sends_made.load() - sent));
  }
  return {median(times), count / std::max(median(sends), 1.0)};
}

void calls(const Program& program, const Raw& raw) {
  print("connect, and what the server has", program.connect_ns / 1e3, "us");
  print("first calls after it", program.first_call_ns / 1e3, "us");
  const double ping = each(2000, [&] { raw.ask(nullptr, 0); });
  print("raw ping-pong of 64 bytes", ping / 1e3, "us");
  const double call = each(2000, [&] { (void)cuStreamQuery(program.stream); });
  print("synchronous call", call / 1e3, "us");
  print("  more than raw", (call - ping) / 1e3, "us");
  const double both = each(1000, [&] {
    program.launch(program.stream);
    Program::synchronize(program.stream);
  });
  print("launch and synchronise", both / 1e3, "us");
  print("  more than raw", (both - ping) / 1e3, "us");
  for (const int count : {64, 1000}) {
    const Burst found = burst(program, count);
    printf("of bursts of %d:\n", count);
    print("  enqueue of a launch", found.launch_ns, "ns");
    if (sends_made.load() > 0) print("  launches in a system call that sends", found.launches_a_send, "");
  }
  const double one = launches(program, 1), four = launches(program, 4);
  print("launches of one thread", one, "/s");
  print("launches of four threads together", four, "/s");
  print("  of one thread's", four / one, "");
}

// Bytes of which runs of `run` repeat `times` in a row: they take so many times less when they are
// compressed.
std::vector<char> repeating(size_t bytes, size_t run, size_t times) {
  std::vector<char> made(bytes);
  for (size_t i = 0; i < bytes; i += 8) {
    const size_t from = i / (run * times) * run + i % run;
    uint64_t word =
        (from + 8) * 0x9e3779b97f4a7c15u;  // as splitmix64 goes on: no encoding finds anything in it
    word = (word ^ word >> 30) * 0xbf58476d1ce4e5b9u;
    word = (word ^ word >> 27) * 0x94d049bb133111ebu;
    word ^= word >> 31;
    memcpy(&made[i], &word, 8);
  }
  return made;
}

void copies(const Program& program, const Raw& raw) {
  const std::vector<char> host = repeating(kCopyBytes, 1024, 1);  // random: no encoding makes it smaller
  std::vector<char> other(kCopyBytes, 1);
  const auto speed = [](const std::function<void()>& body) { return kCopyBytes / each(1, body); };
  const double copied = speed([&] { memcpy(other.data(), host.data(), kCopyBytes); });
  const double streamed = speed([&] { raw.ask(host.data(), kCopyBytes); });
  const double came = speed([&] { raw.take(other.data(), kCopyBytes); });
  const double to = speed([&] {
    check(cuMemcpyHtoD_v2(program.memory, host.data(), kCopyBytes), "cuMemcpyHtoD");
    check(cuCtxSynchronize(), "cuCtxSynchronize");
  });
  const double from =
      speed([&] { check(cuMemcpyDtoH_v2(other.data(), program.memory, kCopyBytes), "cuMemcpyDtoH"); });
  print("memcpy", copied, "GB/s");
  print("raw stream, to the peer", streamed, "GB/s");
  print("raw stream, from the peer", came, "GB/s");
  print("copy to the device", to, "GB/s");
  print("  of memcpy", 100 * to / copied, "%");
  print("  of the raw stream", 100 * to / streamed, "%");
  print("copy from the device", from, "GB/s");
  print("  of memcpy", 100 * from / copied, "%");
  print("  of the raw stream", 100 * from / came, "%");
}

// What a copy can gain at most.
struct Encoded {
  const char* name = "none";
  double times = 1, encoded = 0, decoded = 0;
};

Encoded smallest(const std::vector<char>& data) {
  using tessera::memory::Compression;
  constexpr size_t kPiece = 1 << 20;
  const struct {
    const char* name;
    Compression compression;
  } kinds[] = {
      {"LZ4", Compression::kLz4}, {"Zstandard", Compression::kZstd}, {"Snappy", Compression::kSnappy}};
  tessera::memory::PageCodec codec;
  std::vector<uint8_t> room(tessera::memory::PageCodec::bound(kPiece)), back(kPiece);
  Encoded best;
  for (const auto& kind : kinds) {
    uint64_t stored_bytes = 0, encode_ns = 0, decode_ns = 0;
    for (size_t at = 0; at < data.size(); at += kPiece) {
      const uint64_t start = tessera::monotonic_ns();
      const std::span piece(reinterpret_cast<const uint8_t*>(data.data()) + at, kPiece);
      const size_t stored = codec.encode({kind.compression, 1}, piece, room).value();
      const uint64_t encoded = tessera::monotonic_ns();
      if (!codec.decode(std::span(room).first(stored), back).ok()) exit(1);
      stored_bytes += stored;
      encode_ns += encoded - start;
      decode_ns += tessera::monotonic_ns() - encoded;
    }
    const auto bytes = static_cast<double>(data.size());
    const double times = bytes / static_cast<double>(stored_bytes);
    if (times > best.times + 0.005)
      best = {kind.name, times, bytes * 1e9 / static_cast<double>(encode_ns),
              bytes * 1e9 / static_cast<double>(decode_ns)};
  }
  return best;
}

void link(const Program& program) {
  constexpr size_t kBytes = size_t{64} << 20;
  constexpr int kCopies = 5;  // the first ones find out what the link is like
  const struct {
    const char* name;
    size_t times;
  } kinds[] = {{"random", 1}, {"2:1", 2}, {"4:1", 4}};
  for (const auto& kind : kinds) {
    std::vector<char> host = repeating(kBytes, 1024, kind.times), back(kBytes);
    std::vector<double> to, from;
    for (int i = 0; i < kCopies; ++i) {
      const uint64_t start = tessera::monotonic_ns();
      check(cuMemcpyHtoD_v2(program.memory, host.data(), kBytes), "cuMemcpyHtoD");
      check(cuCtxSynchronize(), "cuCtxSynchronize");
      const uint64_t there = tessera::monotonic_ns();
      check(cuMemcpyDtoH_v2(back.data(), program.memory, kBytes), "cuMemcpyDtoH");
      to.push_back(static_cast<double>(there - start) * 1e-9);
      from.push_back(static_cast<double>(tessera::monotonic_ns() - there) * 1e-9);
      if (back != host) {
        fprintf(stderr, "the bytes that came back are others\n");
        exit(1);
      }
      host[0] = static_cast<char>(i);  // not what was there before
    }
    const Encoded most = smallest(host);
    printf("%s %.4f %.4f %s %.3f %.0f %.0f\n", kind.name, median(to), median(from), most.name, most.times,
           most.encoded, most.decoded);
  }
}

}  // namespace

// What the driver's library sends goes through here: it is counted.
extern "C" __attribute__((visibility("default"))) ssize_t sendmsg(int socket, const msghdr* message,
                                                                  int flags) {
  sends_made.fetch_add(1, std::memory_order_relaxed);
  return syscall(SYS_sendmsg, socket, message, flags);
}

int main(int argc, char** argv) {
  const std::string what = argc > 1 ? argv[1] : "all";
  if (what == "link") {
    link(Program());
    return 0;
  }
  const Raw raw;
  const Program program;
  if (what == "apart") {
    const bool is_apart = argc > 2 && tessera::bench::pin_with_children(getpid(), 0) &&
                          tessera::bench::pin_with_children(atoi(argv[2]), 1) &&
                          tessera::bench::pin_with_children(raw.peer, 1);
    if (!is_apart) {
      fprintf(stderr, "apart: needs the server's process and a second processor\n");
      return 1;
    }
    calls(program, raw);
    return 0;
  }
  if (what != "copies") calls(program, raw);
  if (what != "calls") copies(program, raw);
  return 0;
}
