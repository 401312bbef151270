#include "softgpu/ptx/constant.h"

#include <bit>

#include "softgpu/ptx/test_util.h"

namespace tessera::softgpu::ptx {
namespace {

Constant evaluate(const std::string& text) {
  Cursor cursor(text);
  Constant value;
  EXPECT_TRUE(parse_constant(cursor, &value)) << text << ": " << cursor.status().message();
  EXPECT_TRUE(cursor.at_end()) << text;
  return value;
}

int64_t integer(const std::string& text) { return static_cast<int64_t>(evaluate(text).bits); }

std::string error_of(const std::string& text) {
  Cursor cursor(text);
  Constant value;
  return parse_constant(cursor, &value) ? "no error" : cursor.status().message();
}

TEST(Constant, IntegerLiterals) {
  EXPECT_EQ(integer("42"), 42);
  EXPECT_EQ(integer("0"), 0);
  EXPECT_EQ(integer("0x1F"), 31);
  EXPECT_EQ(integer("0XFFU"), 255);
  EXPECT_EQ(integer("017"), 15);
  EXPECT_EQ(integer("0b1011"), 11);
  EXPECT_EQ(integer("-8"), -8);
  EXPECT_EQ(evaluate("5U").kind, Constant::Kind::kUnsigned);
  EXPECT_EQ(evaluate("9223372036854775807").kind, Constant::Kind::kSigned);
  EXPECT_EQ(evaluate("0xFFFFFFFFFFFFFFFF").kind, Constant::Kind::kUnsigned);
  EXPECT_EQ(integer("-9223372036854775808"), INT64_MIN);
}

TEST(Constant, FloatLiterals) {
  EXPECT_EQ(evaluate("0f3F800000").kind, Constant::Kind::kF32);
  EXPECT_EQ(evaluate("0f3F800000").bits, 0x3F800000u);
  EXPECT_EQ(evaluate("-0F3F800000").bits, 0xBF800000u);
  EXPECT_EQ(evaluate("0d3FF8000000000000").as_double(), 1.5);
  EXPECT_EQ(evaluate("1.5").kind, Constant::Kind::kF64);
  EXPECT_EQ(evaluate("-2.5e-3").as_double(), -2.5e-3);
  EXPECT_EQ(evaluate("1e3").as_double(), 1000);
  EXPECT_EQ(evaluate("2.").as_double(), 2);
}

TEST(Constant, Operators) {
  EXPECT_EQ(integer("1 + 2 * 3"), 7);
  EXPECT_EQ(integer("(1 + 2) * 3"), 9);
  EXPECT_EQ(integer("10 - 4 - 3"), 3);
  EXPECT_EQ(integer("7 / 2 + 7 % 4"), 6);
  EXPECT_EQ(integer("-7 / 2"), -3);
  EXPECT_EQ(integer("1 << 4 | 3"), 19);
  EXPECT_EQ(integer("~0"), -1);
  EXPECT_EQ(integer("!5 + !0"), 1);
  EXPECT_EQ(integer("6 & 3 ^ 1"), 3);
  EXPECT_EQ(integer("1 < 2 && 2 >= 2 || 0"), 1);
  EXPECT_EQ(integer("1 == 2 ? 10 : 3 != 4 ? 20 : 30"), 20);
  EXPECT_EQ(integer("-8 >> 1"), -4);
  EXPECT_EQ(integer("0x8000000000000000 >> 63"), 1);
  EXPECT_EQ(integer("1 << 64"), 0);
  EXPECT_EQ(integer("WARP_SZ * 2"), 64);
  EXPECT_EQ(integer("-1 < 0U"), 0) << "mixed signs compare unsigned, as in C";
  EXPECT_EQ(integer("(.s64)0xFFFFFFFFFFFFFFFF < 0"), 1);
  EXPECT_EQ(integer("(-9223372036854775807 - 1) / -1"), INT64_MIN) << "wraps";
  EXPECT_EQ(evaluate("1.5 * 2 + 1").as_double(), 4);
  EXPECT_EQ(integer("1.5 < 2"), 1);
}

TEST(Constant, Errors) {
  EXPECT_EQ(error_of("1 / 0"), "ptx:1: division by zero");
  EXPECT_EQ(error_of("1.5 & 1"), "ptx:1: this operator takes no floating-point operands");
  EXPECT_EQ(error_of("99999999999999999999"), "ptx:1: not a 64-bit integer near '99999999999999999999'");
  EXPECT_EQ(error_of("0x"), "ptx:1: not a 64-bit integer near '0x'");
  EXPECT_EQ(error_of("089"), "ptx:1: not a 64-bit integer near '089'");
  EXPECT_EQ(error_of("0f3F80"), "ptx:1: 0f needs 8 hexadecimal digits near '0f3F80'");
  EXPECT_EQ(error_of("(1"), "ptx:1: expected ')' at the end of the text");
  EXPECT_EQ(error_of("1 +"), "ptx:1: expected a constant at the end of the text");
  EXPECT_NE(error_of(std::string(1000, '(')).find("nested too deeply"), std::string::npos);
  EXPECT_NE(error_of(std::string(1000, '-')).find("nested too deeply"), std::string::npos);
}

TEST(Constant, OffsetsSumUp) {
  Cursor cursor("+8-4+-2*3]");
  int64_t offset = 0;
  ASSERT_TRUE(parse_offset(cursor, &offset));
  EXPECT_EQ(offset, -2);
  EXPECT_TRUE(cursor.at(']'));
}

}  // namespace
}  // namespace tessera::softgpu::ptx
