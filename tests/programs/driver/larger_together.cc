// One of several tenants that together need more memory than the GPU has: keeps memory full of numbers that
// say where they are, follows chains of addresses through all of it, multiplies matrices in it, sorts a part
// of it, and looks at each byte at the end of each round.
//
//   driver_larger_together [MIB [ROUNDS [SEED [fresh] [ordered] [until=FILE]]]]
//
// "fresh": memory that the program has not had before must hold zeros, whoever had it. "ordered": most memory
// is allocated and freed in the order of a stream. "until": it goes on with rounds until there is the file.
// Says "at STEP" as it goes on and "round N SECONDS" after each round, so that who runs several sees that
// everybody does.
#include <algorithm>
#include <chrono>
#include <filesystem>
#include <memory>
#include <numeric>
#include <random>
#include <string>
#include <string_view>

#include "driver_check.h"

extern "C" const char larger_together_ptx[];

namespace {

constexpr size_t kBlock = 256;

struct Options {
  size_t mib = 64;
  unsigned rounds = 2;
  uint64_t seed = 1;
  bool fresh = false;
  bool ordered = false;
  std::string until;  // a file
};

// A cycle through all nodes of several blocks: each holds the device address of the next one.
class Chain {
 public:
  Chain(const check::Module& module, size_t bytes, uint64_t seed) : walk_(module.function("walk")) {
    const size_t nodes = bytes / kNodeBytes, blocks = std::max<size_t>(1, bytes / kPartBytes);
    const size_t per_block = nodes / blocks;
    for (size_t i = 0; i < blocks; ++i) {
      CUdeviceptr part = 0;
      CU_CHECK(cuMemAlloc_v2(&part, per_block * kNodeBytes));
      parts_.push_back(part);
    }
    std::vector<uint32_t> order(blocks * per_block);
    std::iota(order.begin(), order.end(), 0);
    std::shuffle(order.begin(), order.end(), std::mt19937_64(seed));
    std::vector<std::vector<uint64_t>> images(blocks,
                                              std::vector<uint64_t>(per_block * kNodeBytes / 8, seed));
    const auto address = [&](uint32_t node) {
      return parts_[node / per_block] + node % per_block * kNodeBytes;
    };
    for (size_t i = 0; i < order.size(); ++i) {
      const uint32_t node = order[i];
      images[node / per_block][node % per_block * kNodeBytes / 8] = address(order[(i + 1) % order.size()]);
    }
    for (size_t i = 0; i < blocks; ++i)
      CU_CHECK(cuMemcpyHtoD_v2(parts_[i], images[i].data(), per_block * kNodeBytes));
    begin_ = address(order[0]);
    length_ = order.size();
  }
  ~Chain() {
    for (CUdeviceptr part : parts_) cuMemFree_v2(part);
  }
  Chain(const Chain&) = delete;
  Chain& operator=(const Chain&) = delete;

  // Once round, and one more: back where it began plus one.
  void walk() {
    check::DeviceArray<uint64_t> end(1);
    check::launch(walk_, {1}, {1}, nullptr, begin_, end.get(), static_cast<uint64_t>(length_));
    REQUIRE(end.download()[0] == begin_, "a chain of %zu ends elsewhere", length_);
  }

 private:
  static constexpr size_t kNodeBytes = 4096, kPartBytes = size_t{7} << 20;

  CUfunction walk_;
  std::vector<CUdeviceptr> parts_;
  CUdeviceptr begin_ = 0;
  size_t length_ = 0;
};

// Numbers by formula, changed by formula: at any time each byte is known.
class Field {
 public:
  Field(const check::Module& module, size_t bytes, uint32_t seed, bool fresh, bool ordered)
      : fill_(module.function("fill")),
        advance_(module.function("advance")),
        mistakes_(module.function("mistakes")),
        count_(bytes / sizeof(uint32_t)),
        seed_(seed),
        ordered_(ordered) {
    if (ordered_) {
      CU_CHECK(cuMemAllocAsync(&memory_, count_ * sizeof(uint32_t), nullptr));
    } else {
      CU_CHECK(cuMemAlloc_v2(&memory_, count_ * sizeof(uint32_t)));
    }
    if (fresh) require_zeros(module);
    launch(fill_, memory_, static_cast<uint64_t>(count_), seed_);
  }
  ~Field() {
    if (ordered_) {
      cuMemFreeAsync(memory_, nullptr);
    } else {
      cuMemFree_v2(memory_);
    }
  }
  Field(const Field&) = delete;
  Field& operator=(const Field&) = delete;

  size_t bytes() const { return count_ * sizeof(uint32_t); }

  void advance() {
    launch(advance_, memory_, static_cast<uint64_t>(count_));
    ++age_;
  }
  void verify() const {
    check::DeviceArray<uint32_t> wrong(1);
    wrong.fill(0);
    launch(mistakes_, memory_, static_cast<uint64_t>(count_), seed_, age_, wrong.get());
    const uint32_t count = wrong.download()[0];
    REQUIRE(count == 0, "%u of %zu numbers are wrong after %u steps", count, count_, age_);
  }

 private:
  void require_zeros(const check::Module& module) const {
    check::DeviceArray<uint32_t> others(1);
    others.fill(0);
    launch(module.function("not_zero"), memory_, static_cast<uint64_t>(count_), others.get());
    const uint32_t count = others.download()[0];
    REQUIRE(count == 0, "%u of %zu numbers in fresh memory are not 0: somebody else's", count, count_);
  }

  template <typename... Args>
  static void launch(CUfunction function, Args... args) {
    check::launch(function, {64}, {kBlock}, nullptr, args...);
  }

  CUfunction fill_, advance_, mistakes_;
  size_t count_;
  uint32_t seed_, age_ = 0;
  bool ordered_;
  CUdeviceptr memory_ = 0;
};

// C = A x B in whole numbers, against one row of it on the host.
class Product {
 public:
  Product(const check::Module& module, size_t bytes, uint32_t seed)
      : multiply_(module.function("multiply")),
        side_(std::min<size_t>(96, side_of(bytes))),
        a_(side_ * side_),
        b_(side_ * side_),
        c_(side_ * side_) {
    std::mt19937 dice(seed);
    for (size_t i = 0; i < side_ * side_; ++i) {
      host_a_.push_back(dice());
      host_b_.push_back(dice());
    }
    a_.upload(host_a_);
    b_.upload(host_b_);
  }

  void verify() {
    c_.fill(0);
    check::launch(multiply_, {static_cast<unsigned>(side_)}, {static_cast<unsigned>(side_)}, nullptr,
                  a_.get(), b_.get(), c_.get(), static_cast<uint32_t>(side_));
    const std::vector<uint32_t> got = c_.download();
    for (size_t row = 0; row < side_; row += side_ / 4) {
      for (size_t column = 0; column < side_; ++column) {
        uint32_t want = 0;
        for (size_t k = 0; k < side_; ++k) want += host_a_[row * side_ + k] * host_b_[k * side_ + column];
        REQUIRE(got[row * side_ + column] == want, "element %zu, %zu of the product", row, column);
      }
    }
  }

 private:
  static size_t side_of(size_t bytes) {
    size_t side = 8;
    while (3 * (side + 8) * (side + 8) * sizeof(uint32_t) <= bytes) side += 8;
    return side;
  }

  CUfunction multiply_;
  size_t side_;
  check::DeviceArray<uint32_t> a_, b_, c_;
  std::vector<uint32_t> host_a_, host_b_;
};

// Bitonic, in place; against what the host sorts.
class Sorted {
 public:
  Sorted(const check::Module& module, uint32_t seed)
      : step_(module.function("sort_step")), numbers_(kCount), dice_(seed) {}

  void verify() {
    std::vector<uint32_t> values(kCount);
    for (uint32_t& value : values) value = dice_();
    numbers_.upload(values);
    for (uint32_t run = 2; run <= kCount; run *= 2) {
      for (uint32_t gap = run / 2; gap > 0; gap /= 2) {
        check::launch(step_, {kCount / kBlock}, {kBlock}, nullptr, numbers_.get(), gap, run);
      }
    }
    std::sort(values.begin(), values.end());
    REQUIRE(numbers_.download() == values, "%u numbers are out of order", kCount);
  }

 private:
  static constexpr uint32_t kCount = 4096;

  CUfunction step_;
  check::DeviceArray<uint32_t> numbers_;
  std::mt19937 dice_;
};

// Two that lie apart end, one as large as both begins: in one piece of addresses, over memory from two
// places. Then they begin anew.
void reshape(const check::Module& module, std::vector<std::unique_ptr<Field>>& fields, uint32_t seed,
             bool ordered) {
  if (fields.size() < 4) return;
  const size_t first = fields[0]->bytes(), second = fields[2]->bytes();
  fields[0].reset();
  fields[2].reset();
  {
    Field joined(module, first + second, seed, false, ordered);
    joined.advance();
    joined.verify();
  }
  fields[0] = std::make_unique<Field>(module, first, seed + 1, false, ordered);
  fields[2] = std::make_unique<Field>(module, second, seed + 2, false, ordered);
}

void say_step() {
  static unsigned step = 0;
  std::printf("at %u\n", ++step);
  std::fflush(stdout);
}

// In small parts: else nobody would see for long whether it gets on.
void advance_all(std::vector<std::unique_ptr<Field>>& fields) {
  constexpr size_t kAtATime = 8;
  for (size_t i = 0; i < fields.size(); ++i) {
    fields[i]->advance();
    if (i % kAtATime != kAtATime - 1) continue;
    CU_CHECK(cuCtxSynchronize());
    say_step();
  }
}

Options parse(int argc, char** argv) {
  Options options;
  if (argc > 1) options.mib = std::stoul(argv[1]);
  if (argc > 2) options.rounds = static_cast<unsigned>(std::stoul(argv[2]));
  if (argc > 3) options.seed = std::stoull(argv[3]);
  constexpr std::string_view kUntil = "until=";
  for (int i = 4; i < argc; ++i) {
    const std::string word = argv[i];
    options.fresh |= word == "fresh";
    options.ordered |= word == "ordered";
    if (word.starts_with(kUntil)) options.until = word.substr(kUntil.size());
  }
  return options;
}

bool goes_on(const Options& options, unsigned round) {
  if (round <= options.rounds) return true;
  return !options.until.empty() && !std::filesystem::exists(options.until);
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = parse(argc, argv);
  const check::Context context;
  const check::Module module(larger_together_ptx);
  const size_t bytes = options.mib << 20;
  const auto seed = static_cast<uint32_t>(options.seed);
  Chain chain(module, bytes / 4, options.seed);
  std::vector<std::unique_ptr<Field>> fields;
  const size_t field_bytes = std::min(size_t{11} << 20, bytes / 16 * 3);  // several of them, see reshape()
  for (size_t left = bytes / 4 * 3; left > 0; left -= std::min(left, field_bytes)) {
    fields.push_back(std::make_unique<Field>(module, std::min(left, field_bytes),
                                             seed + static_cast<uint32_t>(left), options.fresh,
                                             options.ordered));
    say_step();
  }
  Product product(module, bytes / 64, seed);
  Sorted sorted(module, seed);
  unsigned round = 1;
  for (; goes_on(options, round); ++round) {
    const auto began = std::chrono::steady_clock::now();
    chain.walk();
    say_step();
    advance_all(fields);
    product.verify();
    sorted.verify();
    for (auto& field : fields) {
      field->verify();
      say_step();
    }
    reshape(module, fields, seed + round, options.ordered);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
    std::printf("round %u %.3f\n", round, took.count());
    std::fflush(stdout);
  }
  return check::pass("%u rounds over %zu MiB", round - 1, options.mib);
}
