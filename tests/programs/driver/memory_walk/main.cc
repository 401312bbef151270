// Several processes of one slice allocate and free by every kind of call, at random, and a model of what they
// hold must agree with the driver. Arguments: seed, steps, processes, and the path of the driver's own
// libnvidia-ml.so.1 where the device is nobody else's. The same arguments make the same walk.
//
// First in turns: one process takes one step, then any one of them looks. An allocation that fits must be
// granted and one that does not fit must be refused, and cuMemGetInfo must say exactly what the model says.
// On the device there must never be more than that: what is shared is there once and counts for each.
// Then all at once: the sum of what is held may at no moment exceed the limit. At the end everything is back
// but what the driver keeps until a process ends.
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

#include "device_use.h"
#include "walk.h"

namespace walk {
namespace {

constexpr char kStep = 's', kLook = 'l', kRun = 'r', kGive = 'g', kEnd = 'e', kDone = '.';

uint64_t free_bytes() {
  size_t free = 0, total = 0;
  CU_CHECK(cuMemGetInfo_v2(&free, &total));
  return free;
}

class Walker {
 public:
  Walker(Shared& shared, const Mail& mail, uint64_t seed, size_t steps)
      : walk_(shared, mail, seed), steps_(steps) {
    add_block_roads(roads_);
    add_physical_road(roads_);
    add_graph_road(roads_);
    add_condition_road(roads_);
    add_handle_road(roads_);
    add_pool_road(roads_, mail);
  }

  // Serves the parent's commands until the end.
  void serve(int commands, int answers) {
    for (char command = 0; read(commands, &command, 1) == 1 && command != kEnd;) {
      walk_.set_in_turn(command != kRun);
      if (command == kStep) step();
      if (command == kRun) {
        for (size_t i = 0; i < steps_; ++i) step();
      }
      if (command == kGive) {
        while (give_any()) continue;
      }
      if (command == kLook) look();
      REQUIRE(write(answers, &kDone, 1) == 1, "the parent has gone");
    }
  }

 private:
  void step() {
    if (walk_.roll(5) < 2 && give_any()) return;
    roads_[walk_.roll(roads_.size())]->take(walk_);
  }

  bool give_any() {
    const uint64_t first = walk_.roll(roads_.size());
    for (size_t i = 0; i < roads_.size(); ++i) {
      if (roads_[(first + i) % roads_.size()]->give(walk_)) return true;
    }
    return false;
  }

  void look() {
    const Shared& shared = walk_.shared();
    const uint64_t want = shared.limit - shared.held, got = free_bytes();
    REQUIRE(got == want, "cuMemGetInfo says %zu bytes free, the model %zu", size_t{got}, size_t{want});
  }

  Walk walk_;
  size_t steps_;
  Roads roads_;
};

// A process of the walk, as its parent sees it.
class Child {
 public:
  Child(Shared& shared, const Mail& mail, uint64_t seed, size_t steps) {
    int commands[2], answers[2];
    REQUIRE(pipe(commands) == 0 && pipe(answers) == 0, "pipe");
    pid_ = fork();
    REQUIRE(pid_ >= 0, "fork");
    commands_ = commands[1];
    answers_ = answers[0];
    close(pid_ == 0 ? commands[1] : commands[0]);
    close(pid_ == 0 ? answers[0] : answers[1]);
    if (pid_ != 0) return;
    {
      const check::Context context;
      Walker walker(shared, mail, seed, steps);
      REQUIRE(write(answers[1], &kDone, 1) == 1, "the parent has gone");
      char go = 0;
      REQUIRE(read(commands[0], &go, 1) == 1, "the parent has gone");
      if (go == kLook) shared.limit = free_bytes();
      REQUIRE(write(answers[1], &kDone, 1) == 1, "the parent has gone");
      walker.serve(commands[0], answers[1]);
    }
    std::exit(0);
  }

  void command(char what) const { REQUIRE(write(commands_, &what, 1) == 1, "a process has gone"); }
  void wait_done() const {
    char answer = 0;
    REQUIRE(read(answers_, &answer, 1) == 1, "a process has failed");
  }
  void ask(char what) const {
    command(what);
    wait_done();
  }
  void end() const {
    command(kEnd);
    int status = 0;
    REQUIRE(waitpid(pid_, &status, 0) == pid_ && status == 0, "wait status %d", status);
  }

 private:
  pid_t pid_;
  int commands_;
  int answers_;
};

// The sockets that all processes inherit.
class Sockets {
 public:
  explicit Sockets(size_t count) : count_(count) {
    for (size_t i = 0; i <= count; ++i) {
      int ends[2];
      REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0, "socketpair failed");
      in_[i] = ends[0];
      out_[i] = ends[1];
    }
  }
  Mail mail_of(size_t self) const {
    Mail mail{self, count_, out_[self], {}, in_[count_], out_[count_]};
    std::copy_n(in_.begin(), count_, mail.outboxes.begin());
    return mail;
  }

 private:
  size_t count_;
  std::array<int, kMaxProcesses + 1> in_{}, out_{};  // the last is the hat
};

Shared& make_shared_memory() {
  void* memory = mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  REQUIRE(memory != MAP_FAILED, "mmap");
  return *new (memory) Shared{};
}

}  // namespace
}  // namespace walk

using namespace walk;  // NOLINT: this program's own

int main(int argc, char** argv) {
  // The check of a card calls all programs so; the sizes that the model counts with are the software GPU's.
  if (argc == 1) check::skip("only where it is told how far to walk");
  REQUIRE(argc == 4 || argc == 5, "usage: memory_walk SEED STEPS PROCESSES [LIBNVIDIA_ML]");
  const uint64_t seed = std::strtoull(argv[1], nullptr, 10);
  const size_t steps = std::strtoull(argv[2], nullptr, 10);
  const size_t count = std::strtoull(argv[3], nullptr, 10);
  REQUIRE(count > 0 && count <= kMaxProcesses, "1 to %zu processes, not %s", kMaxProcesses, argv[3]);
  Shared& shared = make_shared_memory();
  const Sockets sockets(count);
  std::vector<Child> children;
  for (size_t i = 0; i < count; ++i) {
    children.emplace_back(shared, sockets.mail_of(i), seed * 1000 + i, steps);
  }
  for (const Child& child : children) child.wait_done();
  // The first measures, once all have their contexts; the others just go.
  for (const Child& child : children) child.ask(&child == &children[0] ? kLook : kStep);
  REQUIRE(shared.limit > 0, "nothing is free");

  std::optional<DeviceUse> device;
  if (argc == 5) device.emplace(argv[4]);
  const uint64_t used_before = device ? device->bytes() - shared.held : 0;
  const auto require_not_more = [&] {
    if (!device) return;
    const uint64_t used = device->bytes() - used_before;
    REQUIRE(used <= shared.held, "%zu bytes are on the device, %zu are charged", size_t{used},
            size_t{shared.held});
  };
  std::mt19937_64 dice(seed);
  for (size_t i = 0; i < steps; ++i) {
    children[dice() % count].ask(kStep);
    require_not_more();
    children[dice() % count].ask(kLook);
  }
  const uint64_t granted = shared.granted, refused = shared.refused;
  REQUIRE(granted > steps / 10 && refused > 0, "%zu granted, %zu refused: that proves little",
          size_t{granted}, size_t{refused});
  for (const char what : {kRun, kGive}) {
    for (const Child& child : children) child.command(what);
    for (const Child& child : children) child.wait_done();
  }
  REQUIRE(shared.held == shared.kept, "the model holds %zu bytes at the end, and %zu are kept",
          size_t{shared.held}, size_t{shared.kept});
  require_not_more();
  for (const Child& child : children) child.ask(kLook);
  for (const Child& child : children) child.end();
  return check::pass("seed %zu: in turns %zu granted, %zu refused; at once %zu granted, %zu refused",
                     size_t{seed}, size_t{granted}, size_t{refused}, size_t{shared.granted - granted},
                     size_t{shared.refused - refused});
}
