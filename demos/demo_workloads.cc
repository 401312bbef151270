#include "demo_workloads.h"

extern "C" {
extern const char matmul_ptx[];
extern const char mandelbrot_ptx[];
extern const char reduction_ptx[];
}

namespace demo {
namespace {

using check::DeviceArray;

class Matmul : public Workload {
 public:
  Matmul()
      : module_(matmul_ptx),
        function_(module_.function("matmul_tiled")),
        a_(random(1)),
        b_(random(2)),
        c_(kCount) {
    const std::vector<float> a = random(1), b = random(2);
    for (uint32_t i = 0; i < kSide; ++i) {
      for (uint32_t k = 0; k < kSide; ++k) {
        for (uint32_t j = 0; j < kSide; ++j) want_[i * kSide + j] += a[i * kSide + k] * b[k * kSide + j];
      }
    }
  }
  void run(CUstream stream) override {
    CU_CHECK(cuMemsetD8Async(c_.get(), 0, c_.bytes(), stream));  // no round passes on an older round's result
    constexpr unsigned kTiles = kSide / 16;
    check::launch(function_, {kTiles, kTiles}, {16, 16}, stream, a_.get(), b_.get(), c_.get(), kSide);
  }
  bool correct() const override { return c_.download() == want_; }
  size_t bytes() const override { return a_.bytes() + b_.bytes() + c_.bytes(); }

 private:
  static constexpr uint32_t kSide = 256;
  static constexpr size_t kCount = size_t{kSide} * kSide;
  static std::vector<float> random(uint64_t seed) { return check::random_reals<float>(kCount, seed, -1, 1); }

  check::Module module_;
  CUfunction function_;
  DeviceArray<float> a_, b_, c_;
  std::vector<float> want_ = std::vector<float>(kCount);
};

class Mandelbrot : public Workload {
 public:
  Mandelbrot()
      : module_(mandelbrot_ptx),
        function_(module_.function("mandelbrot")),
        counts_(size_t{kWidth} * kHeight) {
    for (uint32_t y = 0; y < kHeight; ++y) {
      for (uint32_t x = 0; x < kWidth; ++x) want_.push_back(reference(x, y));
    }
  }
  void run(CUstream stream) override {
    CU_CHECK(cuMemsetD8Async(counts_.get(), 0xff, counts_.bytes(), stream));
    check::launch(function_, {kWidth / 32, kHeight / 4}, {32, 4}, stream, counts_.get(), kWidth, kHeight,
                  kLimit);
  }
  bool correct() const override { return counts_.download() == want_; }
  size_t bytes() const override { return counts_.bytes(); }

 private:
  static constexpr uint32_t kWidth = 512, kHeight = 320;
  static constexpr int kLimit = 300;

  static int reference(uint32_t x, uint32_t y) {
    const float cx = -2.2f + 3.2f * static_cast<float>(x) / static_cast<float>(kWidth);
    const float cy = -1.2f + 2.4f * static_cast<float>(y) / static_cast<float>(kHeight);
    float zx = 0, zy = 0;
    int count = 0;
    while (count < kLimit && zx * zx + zy * zy <= 4.0f) {
      const float next = zx * zx - zy * zy + cx;
      zy = 2.0f * zx * zy + cy;
      zx = next;
      ++count;
    }
    return count;
  }

  check::Module module_;
  CUfunction function_;
  DeviceArray<int> counts_;
  std::vector<int> want_;
};

class Reduce : public Workload {
 public:
  Reduce()
      : module_(reduction_ptx),
        function_(module_.function("reduce")),
        values_(values()),
        block_sums_(kBlocks),
        total_(1) {
    for (const int value : values()) want_ += value;
  }
  void run(CUstream stream) override {
    CU_CHECK(cuMemsetD8Async(total_.get(), 0, total_.bytes(), stream));
    check::launch(function_, {kBlocks}, {256}, stream, values_.get(), kCount, block_sums_.get(),
                  total_.get());
  }
  bool correct() const override { return total_.download()[0] == want_; }
  size_t bytes() const override { return values_.bytes() + block_sums_.bytes() + total_.bytes(); }

 private:
  static constexpr uint32_t kCount = 1u << 20;
  static constexpr unsigned kBlocks = 64;
  static std::vector<int> values() {
    check::Random random(3);
    std::vector<int> values(kCount);
    for (int& value : values) value = static_cast<int>(random.below(2000)) - 1000;
    return values;
  }

  check::Module module_;
  CUfunction function_;
  DeviceArray<int> values_, block_sums_, total_;
  int want_ = 0;
};

struct Entry {
  const char* name;
  std::unique_ptr<Workload> (*make)();
};
const Entry kWorkloads[] = {
    {"matmul", [] { return std::unique_ptr<Workload>(new Matmul); }},
    {"mandelbrot", [] { return std::unique_ptr<Workload>(new Mandelbrot); }},
    {"reduce", [] { return std::unique_ptr<Workload>(new Reduce); }},
};

}  // namespace

std::unique_ptr<Workload> make_workload(const std::string& name) {
  for (const Entry& entry : kWorkloads) {
    if (name == entry.name) return entry.make();
  }
  return nullptr;
}

bool is_workload(const std::string& name) {
  for (const Entry& entry : kWorkloads) {
    if (name == entry.name) return true;
  }
  return false;
}

}  // namespace demo
