// A long chain of kernels, copies and allocations in several streams, each depending on what was before, of
// which every byte is known. Arguments: steps, and a seed. Says each step: tests end the server meanwhile.
#include <algorithm>
#include <cstdlib>
#include <random>

#include "driver_check.h"

namespace {

// values[i] = values[i] * 1664525 + (addend ^ i): nothing is done twice, or left out, unnoticed.
const char kMix[] = R"(
.version 6.3
.target sm_50
.address_size 64
.visible .entry mix(.param .u64 p, .param .u32 n, .param .u32 a)
{
  .reg .pred %p1;
  .reg .b32 %r<10>;
  .reg .b64 %rd<5>;
  ld.param.u64 %rd1, [p];
  ld.param.u32 %r1, [n];
  ld.param.u32 %r2, [a];
  mov.u32 %r3, %ctaid.x;
  mov.u32 %r4, %ntid.x;
  mov.u32 %r5, %tid.x;
  mad.lo.u32 %r6, %r3, %r4, %r5;
  setp.ge.u32 %p1, %r6, %r1;
  @%p1 bra END;
  cvta.to.global.u64 %rd2, %rd1;
  mul.wide.u32 %rd3, %r6, 4;
  add.u64 %rd4, %rd2, %rd3;
  ld.global.u32 %r7, [%rd4];
  xor.b32 %r8, %r2, %r6;
  mad.lo.u32 %r9, %r7, 1664525, %r8;
  st.global.u32 [%rd4], %r9;
END:
  ret;
}
)";

struct Array {
  CUdeviceptr address = 0;
  std::vector<uint32_t> want;

  size_t bytes() const { return want.size() * sizeof(uint32_t); }
};

class Chain {
 public:
  explicit Chain(uint64_t seed) : random_(seed), module_(kMix), mix_(module_.function("mix")) {
    for (CUstream& stream : streams_) CU_CHECK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    CU_CHECK(cuEventCreate(&event_, CU_EVENT_DISABLE_TIMING));
    for (int i = 0; i < 4; ++i) make();
  }

  void step() {
    switch (random_() % 8) {
      case 0:
        if (arrays_.size() < 9) make();
        break;
      case 1:
        if (arrays_.size() > 2) free_one();
        break;
      case 2:
        copy();
        break;
      case 3:
        check(pick());
        break;
      case 4:
        fill();
        break;
      default:
        for (int i = 0; i < 20; ++i) launch(pick());
    }
  }
  void check_all() {
    for (Array& array : arrays_) check(array);
  }

 private:
  Array& pick() { return arrays_[random_() % arrays_.size()]; }
  // One stream at a time works; the next waits for it.
  CUstream next_stream() {
    CUstream before = streams_[at_];
    at_ = (at_ + 1) % std::size(streams_);
    CU_CHECK(cuEventRecord(event_, before));
    CU_CHECK(cuStreamWaitEvent(streams_[at_], event_, 0));
    return streams_[at_];
  }
  void make() {
    Array array;
    array.want.resize(1 + random_() % 200'000);
    for (uint32_t& value : array.want) value = static_cast<uint32_t>(random_());
    CU_CHECK(cuMemAlloc_v2(&array.address, array.bytes()));
    CU_CHECK(cuMemcpyHtoDAsync_v2(array.address, array.want.data(), array.bytes(), next_stream()));
    arrays_.push_back(std::move(array));
  }
  void free_one() {
    const size_t which = random_() % arrays_.size();
    CU_CHECK(cuMemFree_v2(arrays_[which].address));
    arrays_.erase(arrays_.begin() + static_cast<ptrdiff_t>(which));
  }
  void launch(Array& array) {
    const auto count = static_cast<uint32_t>(array.want.size());
    const auto addend = static_cast<uint32_t>(random_());
    check::launch(mix_, {check::blocks_for(count, 256)}, {256}, next_stream(), array.address, count, addend);
    for (uint32_t i = 0; i < count; ++i) array.want[i] = array.want[i] * 1664525 + (addend ^ i);
  }
  void copy() {
    Array &from = pick(), &to = pick();
    if (&from == &to) return;
    const size_t count = std::min(from.want.size(), to.want.size());
    CU_CHECK(cuMemcpyDtoDAsync_v2(to.address, from.address, count * sizeof(uint32_t), next_stream()));
    std::copy_n(from.want.begin(), count, to.want.begin());
  }
  void fill() {
    Array& array = pick();
    const auto value = static_cast<uint32_t>(random_());
    CU_CHECK(cuMemsetD32Async(array.address, value, array.want.size(), next_stream()));
    std::fill(array.want.begin(), array.want.end(), value);
  }
  void check(const Array& array) {
    std::vector<uint32_t> got(array.want.size());
    CU_CHECK(cuMemcpyDtoHAsync_v2(got.data(), array.address, array.bytes(), next_stream()));
    CU_CHECK(cuStreamSynchronize(streams_[at_]));
    check::require_equal(got, array.want, "an array of the chain");
  }

  std::mt19937_64 random_;
  check::Module module_;
  CUfunction mix_;
  CUstream streams_[3] = {};
  size_t at_ = 0;
  CUevent event_ = nullptr;
  std::vector<Array> arrays_;
};

}  // namespace

int main(int argc, char** argv) {
  const int steps = argc > 1 ? std::atoi(argv[1]) : 50;
  const check::Context context;
  Chain chain(argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 1);
  for (int step = 0; step < steps; ++step) {
    std::printf("step %d\n", step);
    std::fflush(stdout);
    chain.step();
  }
  chain.check_all();
  return check::pass("a chain of %d steps: exact", steps);
}
