// Signals are the program's own: the driver changes no disposition and no mask, its threads take none, and
// its calls go on where a handler without SA_RESTART interrupts them a thousand times a second.
#include <signal.h>
#include <sys/time.h>
#include <unistd.h>

#include <atomic>

#include "driver_check.h"

extern "C" const char memory_ptx[];

namespace {

constexpr int kRealTime = 32;  // from here on they are for real time, the first ones for the C library alone

std::atomic<int> alarms{0};
std::atomic<int> elsewhere{0};  // delivered to a thread that is not the program's
pthread_t main_thread;

void on_alarm(int) {
  ++alarms;
  if (pthread_equal(pthread_self(), main_thread) == 0) ++elsewhere;
}

std::vector<struct sigaction> dispositions() {
  std::vector<struct sigaction> all;
  for (int number = 1; number < kRealTime; ++number) {
    struct sigaction action {};
    if (number == SIGKILL || number == SIGSTOP) continue;
    REQUIRE(sigaction(number, nullptr, &action) == 0, "sigaction(%d)", number);
    all.push_back(action);
  }
  return all;
}

bool same(const struct sigaction& a, const struct sigaction& b) {
  return a.sa_handler == b.sa_handler && a.sa_flags == b.sa_flags;
}

void check_unchanged(const std::vector<struct sigaction>& before, const sigset_t& mask_before) {
  const std::vector<struct sigaction> after = dispositions();
  for (size_t i = 0; i < after.size(); ++i)
    REQUIRE(same(before[i], after[i]), "disposition %zu has changed", i);
  sigset_t mask;
  sigprocmask(SIG_SETMASK, nullptr, &mask);
  for (int number = 1; number < kRealTime; ++number) {
    REQUIRE(sigismember(&mask, number) == sigismember(&mask_before, number),
            "the mask of signal %d has changed", number);
  }
}

void start_alarms() {
  struct sigaction action {};
  action.sa_handler = on_alarm;  // no SA_RESTART: system calls return EINTR
  REQUIRE(sigaction(SIGALRM, &action, nullptr) == 0, "sigaction");
  const itimerval each_millisecond = {{0, 1000}, {0, 1000}};
  REQUIRE(setitimer(ITIMER_REAL, &each_millisecond, nullptr) == 0, "setitimer");
}

void stop_alarms() {
  const itimerval none{};
  setitimer(ITIMER_REAL, &none, nullptr);
}

void work(const check::Module& module) {
  constexpr uint32_t kCount = 1 << 16;
  check::DeviceArray<uint32_t> values(std::vector<uint32_t>(kCount, 3));
  check::launch(module.function("add_index"), {kCount / 128}, {128}, nullptr, values.get(), kCount);
  CU_CHECK(cuCtxSynchronize());
  const std::vector<uint32_t> got = values.download();
  for (uint32_t i = 0; i < kCount; ++i) REQUIRE(got[i] == 3 + i, "values[%u] is %u", i, got[i]);
}

// A block beyond what is granted ahead: in a slice the daemon is asked, and the answer waited for.
void take_and_give_back() {
  CUdeviceptr block = 0;
  CU_CHECK(cuMemAlloc_v2(&block, 128u << 20));
  CU_CHECK(cuMemFree_v2(block));
}

}  // namespace

int main() {
  main_thread = pthread_self();
  const std::vector<struct sigaction> before = dispositions();
  sigset_t mask;
  sigprocmask(SIG_SETMASK, nullptr, &mask);
  const check::Context context;
  const check::Module module(memory_ptx);
  check_unchanged(before, mask);
  start_alarms();
  int rounds = 0;
  for (; alarms < 200; ++rounds) {
    work(module);
    take_and_give_back();
  }
  stop_alarms();
  REQUIRE(elsewhere == 0, "%d signals were delivered to threads of the driver", elsewhere.load());
  return check::pass("%d rounds, %d signals", rounds, alarms.load());
}
