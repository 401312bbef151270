// Which multiprocessors a program's blocks run on: each says so by %smid.
//
// Alone, it checks that all lie within the device. With the argument "ask" it answers each line of standard
// input with the numbers of those that a grid ran on, in ascending order: "0,1,5".
#include <unistd.h>

#include <iostream>
#include <set>
#include <string>

#include "driver_check.h"

namespace {

// Each block marks its SM, works for `steps`, and counts itself.
constexpr const char* kPtx = R"(
.version 6.4
.target sm_70
.address_size 64
.visible .entry mark(.param .u64 marks, .param .u64 count, .param .u32 steps) {
  .reg .pred %p<2>;
  .reg .b32 %r<6>;
  .reg .b64 %rd<5>;
  ld.param.u64 %rd1, [marks];
  ld.param.u64 %rd4, [count];
  ld.param.u32 %r1, [steps];
  mov.u32 %r3, 0;
again:
  mov.u32 %r2, %smid;
  mul.wide.u32 %rd2, %r2, 4;
  add.s64 %rd3, %rd1, %rd2;
  mov.u32 %r4, 1;
  st.volatile.global.u32 [%rd3], %r4;
  add.u32 %r3, %r3, 1;
  setp.lt.u32 %p1, %r3, %r1;
  @%p1 bra again;
  atom.global.add.u32 %r5, [%rd4], 1;
  ret;
}
)";

constexpr uint32_t kMostSms = 1024;
constexpr uint32_t kBlocks = 256;
constexpr uint32_t kSteps = 3000;

std::set<uint32_t> where(const check::Module& module) {
  check::DeviceArray<uint32_t> marks(kMostSms), count(1);
  marks.fill(0);
  count.fill(0);
  check::launch(module.function("mark"), {kBlocks}, {32}, nullptr, marks.get(), count.get(), kSteps);
  CU_CHECK(cuCtxSynchronize());
  REQUIRE(count.download()[0] == kBlocks * 32, "%u threads ran, not %u", count.download()[0], kBlocks * 32);
  std::set<uint32_t> seen;
  const std::vector<uint32_t> found = marks.download();
  for (uint32_t sm = 0; sm < kMostSms; ++sm) {
    if (found[sm] != 0) seen.insert(sm);
  }
  return seen;
}

void answer(const std::set<uint32_t>& seen) {
  std::string text;
  for (uint32_t sm : seen) text += (text.empty() ? "" : ",") + std::to_string(sm);
  std::cout << text << std::endl;
}

}  // namespace

int main(int argc, char** argv) {
  check::Context context;
  check::Module module(kPtx);
  if (argc > 1 && std::string(argv[1]) == "ask") {
    for (std::string line; std::getline(std::cin, line);) answer(where(module));
    return check::pass("answered");
  }
  int sms = 0;
  CU_CHECK(cuDeviceGetAttribute(&sms, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, context.device()));
  const std::set<uint32_t> seen = where(module);
  REQUIRE(!seen.empty() && *seen.rbegin() < static_cast<uint32_t>(sms), "a block ran on none of the %d SMs",
          sms);
  return check::pass("on %zu multiprocessors", seen.size());
}
