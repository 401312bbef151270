// Several processes of one slice allocate and free by every kind of call, at random, and a model of what they
// hold must agree with the driver. Arguments: seed, steps, processes. The same arguments make the same walk.
//
// First in turns: one process takes one step, then any one of them looks. An allocation that fits must be
// granted and one that does not fit must be refused, and cuMemGetInfo must say exactly what the model says.
// Then all at once: the sum of what is held may at no moment exceed the limit. At the end everything is back.
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <random>

#include "driver_check.h"

namespace {

constexpr uint64_t kUnit = 512;  // of every charge
constexpr int kRefusalsPardoned = 20;
constexpr char kStep = 's', kLook = 'l', kRun = 'r', kEnd = 'e', kDone = '.';

// What all processes see.
struct Shared {
  uint64_t limit;              // free at the start, every process having its context
  std::atomic<uint64_t> held;  // by the model: never more than what is really held
  std::atomic<uint64_t> granted, refused;
};

struct Block {
  uint64_t bytes = 0;  // charged
  virtual ~Block() = default;
};

template <auto Free, typename Handle>
struct Freed final : Block {
  explicit Freed(Handle h) : handle(h) {}
  ~Freed() override { CU_CHECK(Free(handle)); }
  Handle handle;
};

struct InOrder final : Block {
  explicit InOrder(CUdeviceptr a) : address(a) {}
  ~InOrder() override {
    CU_CHECK(cuMemFreeAsync(address, nullptr));
    CU_CHECK(cuStreamSynchronize(nullptr));
  }
  CUdeviceptr address;
};

uint64_t free_bytes() {
  size_t free = 0, total = 0;
  CU_CHECK(cuMemGetInfo_v2(&free, &total));
  return free;
}

class Walker {
 public:
  Walker(Shared& shared, uint64_t seed, size_t steps) : shared_(shared), dice_(seed), steps_(steps) {
    CUmemPoolProps properties{};
    properties.allocType = CU_MEM_ALLOCATION_TYPE_PINNED;
    properties.location = {CU_MEM_LOCATION_TYPE_DEVICE, 0};
    CU_CHECK(cuMemPoolCreate(&pool_, &properties));
  }
  ~Walker() {
    blocks_.clear();
    CU_CHECK(cuMemPoolDestroy(pool_));
  }

  // Serves the parent's commands until the end.
  void serve(int commands, int answers) {
    for (char command = 0; read(commands, &command, 1) == 1 && command != kEnd;) {
      if (command == kStep) step(true);
      if (command == kRun) {
        for (size_t i = 0; i < steps_; ++i) step(false);
        while (!blocks_.empty()) give_any();
      }
      if (command == kLook) {
        const uint64_t want = shared_.limit - shared_.held, got = free_bytes();
        REQUIRE(got == want, "cuMemGetInfo says %zu bytes free, the model %zu", size_t{got}, size_t{want});
      }
      REQUIRE(write(answers, &kDone, 1) == 1, "the parent has gone");
    }
  }

 private:
  uint64_t roll(uint64_t sides) { return dice_() % sides; }

  void step(bool in_turn) {
    if (!blocks_.empty() && roll(5) < 2) return give_any();
    auto block = std::unique_ptr<Block>();
    uint64_t bytes = 0;
    const CUresult result = take(block, bytes, in_turn);
    if (result == CUDA_ERROR_OUT_OF_MEMORY) {
      ++shared_.refused;
      REQUIRE(!in_turn || shared_.held + bytes > shared_.limit, "%zu bytes refused, %zu of %zu held",
              size_t{bytes}, size_t{shared_.held}, size_t{shared_.limit});
      return;
    }
    CU_CHECK(result);
    ++shared_.granted;
    block->bytes = bytes;
    blocks_.push_back(std::move(block));
    const uint64_t now = shared_.held.fetch_add(bytes) + bytes;
    REQUIRE(now <= shared_.limit, "%zu bytes are held, %zu is the limit", size_t{now}, size_t{shared_.limit});
  }

  void give_any() {
    std::swap(blocks_[roll(blocks_.size())], blocks_.back());
    shared_.held -= blocks_.back()->bytes;  // before it is free for others
    blocks_.pop_back();
  }

  // Taking turns, what fits may be refused only while another process is too slow to give its budget back:
  // the daemon waits for that 200 ms.
  CUresult take(std::unique_ptr<Block>& block, uint64_t& bytes, bool in_turn) {
    const uint64_t kind = roll(8);
    const uint64_t units = 1 + roll(shared_.limit / 5 / kUnit);
    const auto levels = static_cast<unsigned>(1 + roll(6));
    for (int tries = 0;; ++tries) {
      const CUresult result = allocate(kind, units, levels, block, bytes);
      const bool fits = shared_.held + bytes <= shared_.limit;
      if (result != CUDA_ERROR_OUT_OF_MEMORY || !in_turn || !fits || tries == kRefusalsPardoned)
        return result;
    }
  }

  CUresult allocate(uint64_t kind, uint64_t units, unsigned levels, std::unique_ptr<Block>& block,
                    uint64_t& bytes) {
    bytes = units * kUnit;
    switch (kind) {
      case 0:
        return linear(block, [&](CUdeviceptr* p) { return cuMemAlloc_v2(p, bytes); });
      case 1:
        return linear(block,
                      [&](CUdeviceptr* p) { return cuMemAllocManaged(p, bytes, CU_MEM_ATTACH_GLOBAL); });
      case 2:
        return linear(block, [&](CUdeviceptr* p) {
          size_t pitch = 0;
          const CUresult result = cuMemAllocPitch_v2(p, &pitch, kUnit, units, 4);
          REQUIRE(result != CUDA_SUCCESS || pitch == kUnit, "a pitch of %zu for %zu", pitch, size_t{kUnit});
          return result;
        });
      case 3:
        return in_order(block, [&](CUdeviceptr* p) { return cuMemAllocAsync(p, bytes, nullptr); });
      case 4:
        return in_order(block,
                        [&](CUdeviceptr* p) { return cuMemAllocFromPoolAsync(p, bytes, pool_, nullptr); });
      case 5:
        return array(block, units, bytes);
      case 6:
        return mipmapped(block, levels, bytes);
      default:
        return host(block, bytes);
    }
  }

  template <typename Call>
  static CUresult linear(std::unique_ptr<Block>& block, Call call) {
    CUdeviceptr address = 0;
    const CUresult result = call(&address);
    if (result == CUDA_SUCCESS) block = std::make_unique<Freed<&cuMemFree_v2, CUdeviceptr>>(address);
    return result;
  }

  template <typename Call>
  static CUresult in_order(std::unique_ptr<Block>& block, Call call) {
    CUdeviceptr address = 0;
    const CUresult result = call(&address);
    if (result == CUDA_SUCCESS) block = std::make_unique<InOrder>(address);
    return result;
  }

  // Rows of 128 texels of 4 bytes.
  static CUresult array(std::unique_ptr<Block>& block, uint64_t units, uint64_t& bytes) {
    CUDA_ARRAY_DESCRIPTOR shape{};
    shape.Width = 128;
    shape.Height = 1 + units % 16'384;
    shape.Format = CU_AD_FORMAT_UNSIGNED_INT8;
    shape.NumChannels = 4;
    bytes = shape.Height * kUnit;
    CUarray made = nullptr;
    const CUresult result = cuArrayCreate_v2(&made, &shape);
    if (result == CUDA_SUCCESS) block = std::make_unique<Freed<&cuArrayDestroy, CUarray>>(made);
    return result;
  }

  static CUresult mipmapped(std::unique_ptr<Block>& block, unsigned levels, uint64_t& bytes) {
    CUDA_ARRAY3D_DESCRIPTOR shape{};
    shape.Width = shape.Height = 1024;
    shape.Format = CU_AD_FORMAT_FLOAT;
    shape.NumChannels = 1;
    bytes = 0;
    for (unsigned level = 0; level < levels; ++level)
      bytes += (shape.Width >> level) * (shape.Height >> level) * 4;
    bytes = (bytes + kUnit - 1) / kUnit * kUnit;
    CUmipmappedArray made = nullptr;
    const CUresult result = cuMipmappedArrayCreate(&made, &shape, levels);
    if (result == CUDA_SUCCESS) {
      block = std::make_unique<Freed<&cuMipmappedArrayDestroy, CUmipmappedArray>>(made);
    }
    return result;
  }

  // Of the host's memory: nothing is charged for it.
  static CUresult host(std::unique_ptr<Block>& block, uint64_t& bytes) {
    void* memory = nullptr;
    const CUresult result = cuMemHostAlloc(&memory, 1 << 16, 0);
    bytes = 0;
    if (result == CUDA_SUCCESS) block = std::make_unique<Freed<&cuMemFreeHost, void*>>(memory);
    return result;
  }

  Shared& shared_;
  std::mt19937_64 dice_;
  size_t steps_;
  CUmemoryPool pool_ = nullptr;
  std::vector<std::unique_ptr<Block>> blocks_;
};

// A process of the walk, as its parent sees it.
class Child {
 public:
  Child(Shared& shared, uint64_t seed, size_t steps) {
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
      Walker walker(shared, seed, steps);
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

}  // namespace

int main(int argc, char** argv) {
  REQUIRE(argc == 4, "usage: memory_walk SEED STEPS PROCESSES");
  const uint64_t seed = std::strtoull(argv[1], nullptr, 10);
  const size_t steps = std::strtoull(argv[2], nullptr, 10);
  const size_t count = std::strtoull(argv[3], nullptr, 10);
  REQUIRE(count > 0 && count <= 64, "1 to 64 processes, not %s", argv[3]);
  void* memory = mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  REQUIRE(memory != MAP_FAILED, "mmap");
  auto& shared = *new (memory) Shared{};
  std::vector<Child> children;
  for (size_t i = 0; i < count; ++i) children.emplace_back(shared, seed * 1000 + i, steps);
  for (const Child& child : children) child.wait_done();
  // The first measures, once all have their contexts; the others just go.
  for (const Child& child : children) child.ask(&child == &children[0] ? kLook : kStep);
  REQUIRE(shared.limit > 0, "nothing is free");

  std::mt19937_64 dice(seed);
  for (size_t i = 0; i < steps; ++i) {
    children[dice() % count].ask(kStep);
    children[dice() % count].ask(kLook);
  }
  const uint64_t granted = shared.granted, refused = shared.refused;
  REQUIRE(granted > steps / 10 && refused > 0, "%zu granted, %zu refused: that proves little",
          size_t{granted}, size_t{refused});
  for (const Child& child : children) child.command(kRun);
  for (const Child& child : children) child.wait_done();
  REQUIRE(shared.held == 0, "the model holds %zu bytes at the end", size_t{shared.held});
  for (const Child& child : children) child.ask(kLook);
  for (const Child& child : children) child.end();
  return check::pass("seed %zu: in turns %zu granted, %zu refused; at once %zu granted, %zu refused",
                     size_t{seed}, size_t{granted}, size_t{refused}, size_t{shared.granted - granted},
                     size_t{shared.refused - refused});
}
