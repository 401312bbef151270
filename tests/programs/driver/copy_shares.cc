// A program that copies to a GPU and back all the time, from several threads; all arrives whole.
//
// It says "ready" once each thread has copied all of its memory there and back: the first time costs more
// than any other. It begins with a line of its standard input, and ends with the next one. PASS comes with
// how fast it copied.
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <latch>
#include <string>
#include <thread>
#include <vector>

#include "driver_check.h"

namespace {

constexpr size_t kWords = size_t{2} << 20;
constexpr size_t kBytes = kWords * sizeof(uint32_t);
constexpr size_t kMarked = 1024;  // every so many words there is one that differs from round to round
constexpr uint32_t kLooks = 16;   // every so many rounds what has arrived is looked at

uint32_t word_of(uint32_t thread, size_t i) { return static_cast<uint32_t>(i) * 2654435761U + thread; }

// Bytes to the GPU, of all threads.
std::atomic<uint64_t> copied{0};

struct Course {
  explicit Course(int threads) : are_ready(threads) {}

  std::latch are_ready, begins{1};
  std::atomic<bool> ends{false};
};

void copy_over_and_over(const check::Context& context, uint32_t thread, Course& course) {
  CU_CHECK(cuCtxSetCurrent(context.get()));
  CUdeviceptr memory = 0;
  CU_CHECK(cuMemAlloc_v2(&memory, kBytes));
  std::vector<uint32_t> host(kWords), back(kWords);
  for (size_t i = 0; i < kWords; ++i) host[i] = word_of(thread, i);
  for (uint32_t round = 0; round == 0 || !course.ends.load(); ++round) {
    for (size_t i = 0; i < kWords; i += kMarked) host[i] = round ^ static_cast<uint32_t>(i);
    CU_CHECK(cuMemcpyHtoD_v2(memory, host.data(), kBytes));
    copied += kBytes;
    if (round % kLooks != 0) continue;
    CU_CHECK(cuMemcpyDtoH_v2(back.data(), memory, kBytes));
    REQUIRE(back == host, "thread %u, round %u: what came back is not what was sent", thread, round);
    if (round != 0) continue;
    course.are_ready.count_down();
    course.begins.wait();
  }
  CU_CHECK(cuMemFree_v2(memory));
}

void wait_for_line() {
  std::string line;
  std::getline(std::cin, line);
}

}  // namespace

int main(int argc, char** argv) {
  const check::Context context;
  const int count = argc > 1 ? std::atoi(argv[1]) : 3;
  Course course(count);
  std::vector<std::thread> threads;
  for (int i = 0; i < count; ++i)
    threads.emplace_back([&, i] { copy_over_and_over(context, static_cast<uint32_t>(i), course); });
  course.are_ready.wait();
  std::cout << "ready" << std::endl;
  wait_for_line();
  copied = 0;
  const auto begin = std::chrono::steady_clock::now();
  course.begins.count_down();
  wait_for_line();
  course.ends = true;
  for (std::thread& thread : threads) thread.join();
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
  return check::pass("%d threads copied %.1f MB/s to the GPU", count,
                     static_cast<double>(copied.load()) / 1e6 / taken.count());
}
