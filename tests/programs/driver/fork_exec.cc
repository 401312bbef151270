// A program and its children: forked before cuInit (the child has CUDA of its own), forked after it (CUDA's
// error in the child, the parent goes on), and new programs by fork+exec, vfork+exec and posix_spawn.
// Argument: the limit of the slice in bytes; then parent and children are held to it together.
//   driver_fork_exec [LIMIT]          the test
//   driver_fork_exec hold BYTES       a child: allocates, works, prints the result, waits for the end of its
//   input
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <string>

#include "driver_check.h"

extern "C" const char memory_ptx[];

namespace {

// One kernel over a small buffer.
void work() {
  constexpr uint32_t kCount = 1000;
  const check::Module module(memory_ptx);
  check::DeviceArray<uint32_t> values(std::vector<uint32_t>(kCount, 7));
  check::launch(module.function("add_index"), {8}, {128}, nullptr, values.get(), kCount);
  const std::vector<uint32_t> got = values.download();
  for (uint32_t i = 0; i < kCount; ++i) REQUIRE(got[i] == 7 + i, "values[%u] is %u", i, got[i]);
}

int wait_for(pid_t child) {
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child, "no child %d", static_cast<int>(child));
  REQUIRE(WIFEXITED(status), "a child ended by signal %d", WTERMSIG(status));
  return WEXITSTATUS(status);
}

void fork_before_init() {
  const pid_t child = fork();
  if (child == 0) {
    const check::Context context;
    work();
    _exit(0);
  }
  REQUIRE(wait_for(child) == 0, "a child forked before cuInit does not work");
}

void fork_after_init() {
  const pid_t child = fork();
  if (child == 0) {
    CUdeviceptr memory = 0;
    CUcontext current = nullptr;
    // What exactly a child gets is the driver's to say; it is an error, at once, and no crash.
    const bool refused = cuMemAlloc_v2(&memory, 1 << 20) != CUDA_SUCCESS && cuInit(0) != CUDA_SUCCESS &&
                         cuCtxSynchronize() != CUDA_SUCCESS && cuCtxCreate_v2(&current, 0, 0) != CUDA_SUCCESS;
    _exit(refused ? 0 : 1);
  }
  REQUIRE(wait_for(child) == 0, "a child forked after cuInit got something done");
  work();
}

enum class Road { kFork, kVfork, kSpawn };

// A child that holds device memory until it is let go.
class Holder {
 public:
  Holder(Road road, size_t bytes) {
    int in[2], out[2];
    REQUIRE(pipe(in) == 0 && pipe(out) == 0, "no pipe: %d", errno);
    const std::string amount = std::to_string(bytes);
    const char* arguments[] = {program_invocation_name, "hold", amount.c_str(), nullptr};
    auto** words = const_cast<char**>(arguments);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in[0], STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
    for (const int end : {in[0], in[1], out[0], out[1]}) posix_spawn_file_actions_addclose(&actions, end);
    if (road == Road::kSpawn) {
      REQUIRE(posix_spawn(&child_, "/proc/self/exe", &actions, nullptr, words, environ) == 0, "no child");
    } else {
      child_ = road == Road::kFork ? fork() : vfork();
      if (child_ == 0) {
        dup2(in[0], STDIN_FILENO);
        dup2(out[1], STDOUT_FILENO);
        for (const int end : {in[0], in[1], out[0], out[1]}) close(end);
        execv("/proc/self/exe", words);
        _exit(127);
      }
    }
    posix_spawn_file_actions_destroy(&actions);
    close(in[0]);
    close(out[1]);
    to_child_ = in[1];
    char answer[16] = {};
    REQUIRE(read(out[0], answer, sizeof answer - 1) > 0, "the child said nothing");
    close(out[0]);
    result_ = static_cast<CUresult>(atoi(answer));
  }
  ~Holder() {
    close(to_child_);
    REQUIRE(wait_for(child_) == 0, "a child failed");
  }
  Holder(const Holder&) = delete;
  Holder& operator=(const Holder&) = delete;
  CUresult result() const { return result_; }

 private:
  pid_t child_ = 0;
  int to_child_ = -1;
  CUresult result_ = CUDA_SUCCESS;
};

int hold(size_t bytes) {
  const check::Context context;
  work();
  CUdeviceptr memory = 0;
  const std::string answer = std::to_string(static_cast<int>(cuMemAlloc_v2(&memory, bytes)));
  REQUIRE(write(STDOUT_FILENO, answer.data(), answer.size()) > 0, "nobody listens");
  char end;
  while (read(STDIN_FILENO, &end, 1) > 0) {
  }
  return 0;
}

void exec_roads() {
  for (const Road road : {Road::kFork, Road::kVfork, Road::kSpawn}) {
    const Holder child(road, 1 << 20);
    REQUIRE(child.result() == CUDA_SUCCESS, "road %d: %s", static_cast<int>(road), cu_name(child.result()));
  }
}

// Two fifths each: parent and one child fit, a second child does not until the first is gone.
void held_together(size_t limit) {
  const size_t share = limit / 5 * 2;
  CUdeviceptr own = 0;
  CU_CHECK(cuMemAlloc_v2(&own, share));
  {
    const Holder first(Road::kFork, share);
    REQUIRE(first.result() == CUDA_SUCCESS, "the first child: %s", cu_name(first.result()));
    const Holder second(Road::kSpawn, share);
    REQUIRE(second.result() == CUDA_ERROR_OUT_OF_MEMORY, "the second child: %s", cu_name(second.result()));
  }
  const Holder third(Road::kVfork, share);
  REQUIRE(third.result() == CUDA_SUCCESS, "after the first had gone: %s", cu_name(third.result()));
  CU_CHECK(cuMemFree_v2(own));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 3 && strcmp(argv[1], "hold") == 0) return hold(std::strtoull(argv[2], nullptr, 10));
  fork_before_init();
  const check::Context context;
  work();
  fork_after_init();
  exec_roads();
  const size_t limit = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 0;
  if (limit > 0) held_together(limit);
  return check::pass("fork before and after cuInit, fork+exec, vfork+exec, posix_spawn%s",
                     limit > 0 ? ", held to one limit" : "");
}
