// What handing a GPU over by a process of its own costs at the least on this machine: processes have turns of
// equal length in which they keep a processor busy; whoever ends its turn says so by a message to one
// process, which sets a word that the next one sleeps on and wakes it, and does nothing else. The floor of
// what tesserad uses with as many turns.
//
// usage: bare_turns PROCESSES TURNS_PER_SECOND SECONDS, prints {"turns_per_s": …, "cpu_percent": …}
#include <linux/futex.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <thread>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kPage = 4096;
constexpr size_t kMessageBytes = 64;  // about those of a notice
constexpr int kPatienceMs = 1000;

using Word = std::atomic<uint32_t>;

void check(bool ok, const char* what) {
  if (ok) return;
  std::perror(what);
  std::exit(1);
}

void wait_for_change(Word& word, uint32_t seen) {
  while (word.load() == seen) syscall(SYS_futex, &word, FUTEX_WAIT, seen, nullptr, nullptr, 0);
}

void next_turn(Word& word) {
  ++word;
  syscall(SYS_futex, &word, FUTEX_WAKE, 1, nullptr, nullptr, 0);
}

void spin_until(Clock::time_point end) {
  while (Clock::now() < end) {
  }
}

[[noreturn]] void take_turns(Word& word, int link, std::chrono::nanoseconds turn) {
  const char message[kMessageBytes] = {};
  for (uint32_t seen = 0;; ++seen) {
    wait_for_change(word, seen);
    spin_until(Clock::now() + turn);
    if (send(link, message, sizeof message, MSG_NOSIGNAL) < 0) std::exit(0);
  }
}

// All end with the one that hands over.
pid_t child_of(pid_t parent) {
  const pid_t child = fork();
  check(child >= 0, "fork");
  if (child != 0) return child;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) std::exit(0);
  return 0;
}

double cpu_seconds() {
  timespec used{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) * 1e-9;
}

class Turns {
 public:
  Turns(size_t processes, std::chrono::nanoseconds turn) {
    void* pages = mmap(nullptr, processes * kPage, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    check(pages != MAP_FAILED, "mmap");
    epoll_ = epoll_create1(EPOLL_CLOEXEC);
    check(epoll_ >= 0, "epoll_create1");
    const pid_t self = getpid();
    for (size_t i = 0; i < processes; ++i) {
      Word& word = *new (static_cast<char*>(pages) + i * kPage) Word(0);
      int ends[2];
      check(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) == 0, "socketpair");
      if (child_of(self) == 0) take_turns(word, ends[1], turn);
      close(ends[1]);
      epoll_event event{.events = EPOLLIN, .data = {.fd = ends[0]}};
      check(epoll_ctl(epoll_, EPOLL_CTL_ADD, ends[0], &event) == 0, "epoll_ctl");
      words_.push_back(&word);
    }
    // A GPU's kernels keep the other processors busy, too.
    for (unsigned i = 1; i < std::thread::hardware_concurrency(); ++i) {
      if (child_of(self) == 0) spin_until(Clock::time_point::max());
    }
  }

  uint64_t hand_over_for(std::chrono::duration<double> seconds) {
    uint64_t turns = 0;
    next_turn(*words_[0]);
    for (const auto end = Clock::now() + seconds; Clock::now() < end;) {
      epoll_event event{};
      if (epoll_wait(epoll_, &event, 1, kPatienceMs) != 1) continue;
      char message[kMessageBytes];
      check(recv(event.data.fd, message, sizeof message, MSG_DONTWAIT) > 0, "recv");
      next_turn(*words_[++turns % words_.size()]);
    }
    return turns;
  }

 private:
  int epoll_ = -1;
  std::vector<Word*> words_;
};

}  // namespace

int main(int argc, char** argv) {
  const double processes = argc == 4 ? std::atof(argv[1]) : 0;
  const double rate = argc == 4 ? std::atof(argv[2]) : 0;
  const double seconds = argc == 4 ? std::atof(argv[3]) : 0;
  if (!(processes >= 2 && processes <= 1000 && rate >= 1 && rate <= 1e5 && seconds > 0 && seconds <= 60)) {
    std::fprintf(stderr, "usage: bare_turns PROCESSES(2..1000) TURNS_PER_SECOND SECONDS\n");
    return 2;
  }
  Turns turns(static_cast<size_t>(processes), std::chrono::nanoseconds(static_cast<int64_t>(1e9 / rate)));
  const auto began = Clock::now();
  const double before_s = cpu_seconds();
  const auto handed_over = static_cast<double>(turns.hand_over_for(std::chrono::duration<double>(seconds)));
  const double took_s = std::chrono::duration<double>(Clock::now() - began).count();
  std::printf("{\"turns_per_s\": %.1f, \"cpu_percent\": %.3f}\n", handed_over / took_s,
              100 * (cpu_seconds() - before_s) / took_s);
}
