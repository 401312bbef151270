// What PTX leaves open about surfaces, and numbers at odd addresses; tests/programs has the rest.
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "softgpu/exec/testing/test_machine.h"
#include "softgpu/exec/texture_table.h"

namespace tessera::softgpu::exec {
namespace {

constexpr uint64_t kHandle = 0x51F0;
constexpr uint32_t kWidth = 3, kHeight = 2;

std::string kernel(const std::string& body) {
  return ".version 8.1\n.target sm_75\n.address_size 64\n"
         ".visible .entry k() { .reg .b64 %t, %q; .reg .b32 %x, %r<4>; mov.u64 %t, 0x51F0; mov.u32 %x, "
         "%tid.x;\n" +
         body + "\nret; }\n";
}

class Surface : public testing::Test {
 protected:
  ~Surface() override { TextureTable::surfaces().remove(kHandle); }

  // The bytes of a surface of kWidth by kHeight texels after one warp of the kernel.
  std::vector<uint8_t> run(const std::string& body, Channel channel, uint32_t channels,
                           bool fractions = false) {
    TestMachine machine(kernel(body));
    EXPECT_TRUE(machine.status().ok()) << machine.status().message();
    auto surface = std::make_shared<Texture>();
    surface->channel = channel;
    surface->channels = channels;
    surface->fractions = fractions;
    surface->dimensions = 2;
    const size_t row = kWidth * surface->texel_bytes();
    auto* bytes = machine.array<uint8_t>(row * kHeight);
    std::fill_n(bytes, row * kHeight, uint8_t{0x77});
    surface->levels[0] = {reinterpret_cast<uint64_t>(bytes), {kWidth, kHeight, 1}, row, row * kHeight};
    TextureTable::surfaces().add(kHandle, surface);
    EXPECT_EQ(machine.run("k", {}, {32}, {}), Outcome::kFinished) << machine.fault().detail;
    return {bytes, bytes + row * kHeight};
  }
};

TEST_F(Surface, FormattedStoresKeepTheLowBits) {
  const auto bytes =
      run("mov.u32 %r0, 0x1234; mov.u32 %r1, -2;"
          "sust.p.2d.v2.b32.clamp [%t, {0, 0}], {%r0, %r1};",
          Channel::kU8, 4);
  EXPECT_EQ(bytes[0], 0x34);
  EXPECT_EQ(bytes[1], 0xFE);
  EXPECT_EQ(bytes[2], 0) << "without a word";
  EXPECT_EQ(bytes[3], 0) << "without a word";
  EXPECT_EQ(bytes[4], 0x77) << "the next texel";
}

TEST_F(Surface, FormattedStoresOfFractions) {
  const auto bytes =
      run("sust.p.2d.v4.b32.clamp [%t, {0, 0}], {0f3F000000, 0fBF800000, 0f7FC00000, 0f40000000};"
          "sust.p.2d.v4.b32.clamp [%t, {1, 0}], {0f3F800000, 0f00000000, 0f3B000000, 0f3B80C080};",
          Channel::kU8, 4, true);
  EXPECT_EQ(bytes[0], 128) << "one half";
  EXPECT_EQ(bytes[1], 0) << "-1";
  EXPECT_EQ(bytes[2], 0) << "no number";
  EXPECT_EQ(bytes[3], 255) << "2";
  EXPECT_EQ(bytes[4], 255);
  EXPECT_EQ(bytes[5], 0);
  EXPECT_EQ(bytes[6], 0) << "1/512";
  EXPECT_EQ(bytes[7], 1) << "a little less than 1/255";
  const auto shorts =
      run("sust.p.2d.v2.b32.clamp [%t, {0, 0}], {0fBF800000, 0f3F000000};", Channel::kS16, 2, true);
  EXPECT_EQ(shorts[0] | shorts[1] << 8, 0x8001) << "-1 is -32767";
  EXPECT_EQ(shorts[2] | shorts[3] << 8, 0x4000);
}

// The second row begins at byte 3.
TEST_F(Surface, ReductionsAtOddAddresses) {
  const auto bytes = run("sured.b.add.2d.u32.zero [%t, {0, 1}], 1;", Channel::kU8, 4);
  EXPECT_EQ(bytes[12], 0x77 + 32) << "each lane of the warp";
  const auto narrow = run("sured.b.add.2d.u32.zero [%t, {0, 1}], 1;", Channel::kU8, 1);
  EXPECT_EQ(narrow, std::vector<uint8_t>(6, 0x77)) << "a row of 3 bytes has no place for 4";
  const auto odd = run("sured.b.add.2d.u32.zero [%t, {0, 1}], 1;", Channel::kU8, 2);
  EXPECT_EQ(odd[6], 0x77 + 32) << "a row of 6 bytes has one, at an address that 4 does not divide";
}

}  // namespace
}  // namespace tessera::softgpu::exec
