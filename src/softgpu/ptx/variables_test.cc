#include "softgpu/ptx/variables.h"

#include <bit>

#include "softgpu/ptx/test_util.h"

namespace tessera::softgpu::ptx {
namespace {

Variable parse_variable(const std::string& declaration) {
  Module module = parse_module(declaration);
  return module.variables.empty() ? Variable{} : std::move(module.variables.back());
}

TEST(Variables, Declarations) {
  const Variable plain = parse_variable(".visible .global .align 8 .u32 x;");
  EXPECT_EQ(plain.name, "x");
  EXPECT_EQ(plain.space, Space::kGlobal);
  EXPECT_EQ(plain.linkage, Linkage::kVisible);
  EXPECT_EQ(plain.align, 8u);
  EXPECT_EQ(plain.size, 4u);
  EXPECT_TRUE(plain.initial.empty());

  const Variable array = parse_variable(".const .f64 table[4][3];");
  EXPECT_EQ(array.space, Space::kConst);
  EXPECT_EQ(array.size, 96u);
  EXPECT_EQ(array.align, 8u);

  const Variable vector = parse_variable(".global .v4 .f32 v[2];");
  EXPECT_EQ(vector.size, 32u);
  EXPECT_EQ(vector.align, 16u);

  const Variable dynamic = parse_variable(".extern .shared .align 16 .b8 buffer[];");
  EXPECT_EQ(dynamic.size, 0u);
  EXPECT_EQ(dynamic.linkage, Linkage::kExtern);

  EXPECT_TRUE(parse_variable(".visible .global .attribute(.managed) .align 4 .u32 m;").managed);
  EXPECT_FALSE(parse_variable(".global .attribute(.unified(1, 2)) .u32 m;").managed);
  EXPECT_EQ(parse_variable(".const[3] .u32 banked;").space, Space::kConst);
  EXPECT_EQ(parse_module(".global .u32 a, b[2], c = 7;").variables.size(), 3u);
}

TEST(Variables, ScalarInitialisers) {
  EXPECT_EQ(parse_variable(".global .u32 x = 0x01020304;").initial, (std::vector<uint8_t>{4, 3, 2, 1}));
  EXPECT_EQ(parse_variable(".global .s16 x = -2;").initial, (std::vector<uint8_t>{0xFE, 0xFF}));
  EXPECT_EQ(parse_variable(".global .f32 x = 0f3F800000;").initial, (std::vector<uint8_t>{0, 0, 0x80, 0x3F}));
  EXPECT_EQ(parse_variable(".global .f32 x = 1.0;").initial, (std::vector<uint8_t>{0, 0, 0x80, 0x3F}));
  EXPECT_EQ(parse_variable(".global .f64 x = 2;").initial, (std::vector<uint8_t>{0, 0, 0, 0, 0, 0, 0, 0x40}));
  EXPECT_EQ(parse_variable(".global .u8 x = {1 + 2};").initial, (std::vector<uint8_t>{3}));
}

TEST(Variables, ArrayInitialisers) {
  EXPECT_EQ(parse_variable(".global .u8 x[4] = {1, 2};").initial, (std::vector<uint8_t>{1, 2}));
  EXPECT_EQ(parse_variable(".global .u8 x[2][3] = {{1}, {2, 3}};").initial,
            (std::vector<uint8_t>{1, 0, 0, 2, 3}));
  EXPECT_EQ(parse_variable(".global .u8 x[2][2] = {1, 2, 3, 4};").initial,
            (std::vector<uint8_t>{1, 2, 3, 4}));
  EXPECT_EQ(parse_variable(".global .u8 x[2][2][2] = {{{1, 2}, {3}}, {{4}}};").initial,
            (std::vector<uint8_t>{1, 2, 3, 0, 4}));
  EXPECT_EQ(parse_variable(".global .u8 x[] = {1, 2, 3};").size, 3u);
  EXPECT_EQ(parse_variable(".global .u16 x[][2] = {{1, 2}, {3}};").size, 8u);
  EXPECT_EQ(parse_variable(".global .v2 .u8 x[2] = {{1, 2}, {3, 4}};").initial,
            (std::vector<uint8_t>{1, 2, 3, 4}));
  EXPECT_EQ(parse_variable(".global .u8 x[3] = {};").size, 3u);
}

TEST(Variables, Addresses) {
  const Variable pointers =
      parse_variable(".global .u32 y[8];\n.global .u64 x[5] = {0, y, y+4, generic(y), generic(y+8)-4};");
  ASSERT_EQ(pointers.relocations.size(), 4u);
  EXPECT_EQ(pointers.relocations[0].offset, 8u);
  EXPECT_EQ(pointers.relocations[0].symbol, "y");
  EXPECT_EQ(pointers.relocations[0].size, 8u);
  EXPECT_FALSE(pointers.relocations[0].generic);
  EXPECT_EQ(pointers.relocations[1].addend, 4);
  EXPECT_TRUE(pointers.relocations[2].generic);
  EXPECT_EQ(pointers.relocations[3].addend, 4);
  EXPECT_EQ(pointers.relocations[3].offset, 32u);
}

TEST(Variables, MaskedAddresses) {
  const Variable bytes = parse_variable(
      ".global .u32 y;\n.global .b8 x[4] = {7, 0xFF(y), 0xFF00(generic(y)+4), 0xFF00000000000000(y)};");
  EXPECT_EQ(bytes.initial, (std::vector<uint8_t>{7, 0, 0, 0}));
  ASSERT_EQ(bytes.relocations.size(), 3u);
  EXPECT_EQ(bytes.relocations[0].offset, 1u);
  EXPECT_EQ(bytes.relocations[0].size, 1u);
  EXPECT_EQ(bytes.relocations[0].shift, 0u);
  EXPECT_EQ(bytes.relocations[1].shift, 1u);
  EXPECT_EQ(bytes.relocations[1].addend, 4);
  EXPECT_TRUE(bytes.relocations[1].generic);
  EXPECT_EQ(bytes.relocations[2].shift, 7u);
}

TEST(Variables, LinkageWithinAUnit) {
  const Module module = parse_module(R"(
.extern .global .u32 a[];
.visible .global .u32 a[4] = {1};
.weak .global .u32 b = 1;
.weak .global .u32 b = 2;
.common .global .u32 c[2];
.common .global .u32 c[4];
.extern .shared .align 4 .b8 s[];
.extern .shared .align 16 .b8 s[];
)");
  ASSERT_EQ(module.variables.size(), 4u);
  EXPECT_EQ(module.variables[0].size, 16u);
  EXPECT_EQ(module.variables[0].linkage, Linkage::kVisible);
  EXPECT_EQ(module.variables[1].initial[0], 1u);
  EXPECT_EQ(module.variables[2].size, 16u);
  EXPECT_EQ(module.variables[3].align, 16u);
  EXPECT_EQ(parse_error(".global .u32 x;\n.global .u32 x;"), "ptx:5: 'x' is defined twice");
}

TEST(Variables, Errors) {
  EXPECT_EQ(parse_error(".global .u32 x[0];"), "ptx:4: an array bound of 0");
  EXPECT_EQ(parse_error(".global .u32 x[2][];"),
            "ptx:4: only the first array bound may be left out near ']'");
  EXPECT_EQ(parse_error(".global .align 3 .u32 x;"), "ptx:4: an alignment must be a power of two");
  EXPECT_EQ(parse_error(".global .u32 .f32 x;"), "ptx:4: two types near '.f32'");
  EXPECT_EQ(parse_error(".global x;"), "ptx:4: expected a type near 'x'");
  EXPECT_EQ(parse_error(".local .u32 x;"),
            "ptx:4: a variable of a module is .global, .const or .shared near 'x'");
  EXPECT_EQ(parse_error(".global .u8 x[2] = {1, 2, 3};"),
            "ptx:4: more initial values than elements near '3'");
  EXPECT_EQ(parse_error(".global .u8 x[2] = {{{1}}};"), "ptx:4: more braces than dimensions near '{'");
  EXPECT_EQ(parse_error(".global .u8 x[2] = 5;"), "ptx:4: expected '{' near '5'");
  EXPECT_EQ(parse_error(".global .u32 x = 1.5;"), "ptx:4: a floating-point value for an integer element");
  EXPECT_EQ(parse_error(".global .u16 x = x;"),
            "ptx:4: an element of 2 bytes cannot hold an address near 'x'");
  EXPECT_EQ(parse_error(".global .b8 x = 0xF0(x);"),
            "ptx:4: a mask takes one byte of an address for one byte of memory");
}

TEST(Variables, References) {
  const Variable texture = parse_variable(".visible .global .texref t;");
  EXPECT_EQ(texture.type, Type::kTexref);
  EXPECT_EQ(texture.size, 0u);
  EXPECT_EQ(parse_variable(".global .surfref s;").type, Type::kSurfref);
  EXPECT_EQ(parse_error(".shared .texref t;"),
            "ptx:4: references to textures and surfaces that are not .global variables");
  EXPECT_EQ(parse_error(".global .texref t[2];"),
            "ptx:4: arrays and initial values of references to textures and surfaces");
  EXPECT_EQ(parse_error(".global .texref t = 1;"),
            "ptx:4: arrays and initial values of references to textures and surfaces");
  EXPECT_EQ(parse_error(".global .samplerref t;"), "ptx:4: .samplerref is not supported; .global .texref is");
}

TEST(Variables, Bounds) {
  EXPECT_EQ(parse_error(".global .u64 x[1099511627776];"), "ptx:4: x is too large");
  EXPECT_EQ(parse_error(".global .u8 x[1048576][1048576][1048576];"), "ptx:4: x is too large");
  // A gap of gigabytes between two values costs memory, but no text.
  EXPECT_NE(parse_error(".global .u8 x[4][1073741824] = {{1}, {2}};").find("too much memory"),
            std::string::npos);
  EXPECT_EQ(parse_variable(".global .u8 x[4][1073741824] = {{1}};").size, uint64_t{4} << 30);
}

}  // namespace
}  // namespace tessera::softgpu::ptx
