// Matrix instructions against a plain product. Fragments are filled by the tables of the PTX ISA, written out
// here per shape, not by the handlers' own rule.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <tuple>

#include "softgpu/exec/testing/test_machine.h"

namespace tessera::softgpu::exec {
namespace {

struct Place {
  uint32_t row, column;
};
using Layout = std::function<Place(uint32_t lane, uint32_t index)>;

// A register file of one warp: `words` per lane, element `index` of `bits` bits.
struct Fragment {
  uint32_t registers, bits;
  std::vector<uint32_t> words = std::vector<uint32_t>(size_t{registers} * 32);
  void set(uint32_t lane, uint32_t index, uint64_t value) {
    const uint32_t bit = index * bits;
    uint32_t& low = words[size_t{bit / 32} * 32 + lane];
    if (bits == 64) {
      low = static_cast<uint32_t>(value);
      words[size_t{bit / 32 + 1} * 32 + lane] = static_cast<uint32_t>(value >> 32);
    } else {
      low |= static_cast<uint32_t>(value & (bits == 32 ? ~0u : (1u << bits) - 1)) << bit % 32;
    }
  }
  uint64_t get(uint32_t lane, uint32_t index) const {
    const uint32_t bit = index * bits;
    uint64_t value = words[size_t{bit / 32} * 32 + lane] >> bit % 32;
    if (bits == 64) return value | uint64_t{words[size_t{bit / 32 + 1} * 32 + lane]} << 32;
    return bits == 32 ? value : value & ((1u << bits) - 1);
  }
  uint32_t elements() const { return registers * 32 / bits; }
};

struct Case {
  const char* name;  // the instruction without registers
  uint32_t m, n, k;
  Fragment a, b, c;  // registers of 32 bits, f64 has two each
  char kind;         // 'h' f16, 'b' bf16, 't' tf32, 'd' f64, 's' signed, 'u' unsigned, '4' e4m3, '5' e5m2
  Layout place_a, place_b, place_c;
  char kind_b = 0;  // where it differs
};

uint32_t half_of(int value) {  // small integers
  if (value == 0) return 0;
  const uint32_t sign = value < 0 ? 0x8000 : 0, magnitude = static_cast<uint32_t>(std::abs(value));
  const uint32_t exponent = 31 - static_cast<uint32_t>(__builtin_clz(magnitude));
  return sign | (exponent + 15) << 10 | (magnitude << (10 - exponent) & 0x3ff);
}

uint64_t encode(char kind, int value) {
  const float f = static_cast<float>(value);
  switch (kind) {
    case 'h':
      return half_of(value);
    case 'b':
      return std::bit_cast<uint32_t>(f) >> 16;
    case 't':
    case 'f':
      return std::bit_cast<uint32_t>(f);
    case 'd':
      return std::bit_cast<uint64_t>(static_cast<double>(value));
    case '5':
      return half_of(value) >> 8;
    case '4': {  // bias 7, three bits of mantissa
      const uint32_t half = half_of(value);
      return half == 0 ? 0 : (half >> 8 & 0x80) | (((half & 0x7fff) - (8u << 10)) >> 7);
    }
    default:
      return static_cast<uint64_t>(static_cast<int64_t>(value));
  }
}

// d, a, b and c in memory as [register][lane].
std::string kernel(const Case& test) {
  const bool wide = test.kind == 'd';
  std::string text =
      ".version 8.4\n.target sm_90\n.address_size 64\n.visible .entry k(.param .u64 a, .param .u64 b, "
      ".param .u64 c) {\n .reg .b32 %i; .reg .b64 %p<5>; .reg .b32 %w<64>; .reg .f64 %q<64>;\n"
      " mov.u32 %i, %laneid;\n";
  int next = 0;
  const auto operand = [&](const Fragment& f) {
    std::string list = "{";
    for (uint32_t r = 0; r < f.registers / (wide ? 2 : 1); ++r)
      list += (r == 0 ? "" : ", ") + std::string(wide ? "%q" : "%w") + std::to_string(next++);
    return list + "}";
  };
  const auto load = [&](const char* parameter, const Fragment& f, int pointer) {
    const std::string p = "%p" + std::to_string(pointer);
    text += " ld.param.u64 " + p + ", [" + parameter + "]; mad.wide.u32 " + p + ", %i, 4, " + p + ";\n";
    for (uint32_t r = 0; r < f.registers; ++r) {
      if (wide) {
        text += " ld.global.b32 %w0, [" + p + "+" + std::to_string(r * 128) + "]; ld.global.b32 %w1, [" + p +
                "+" + std::to_string(r * 128 + 128) + "]; mov.b64 %q" + std::to_string(next) +
                ", {%w0, %w1};\n";
        ++r;
      } else {
        text +=
            " ld.global.b32 %w" + std::to_string(next) + ", [" + p + "+" + std::to_string(r * 128) + "];\n";
      }
      ++next;
    }
  };
  load("a", test.a, 0);
  load("b", test.b, 1);
  const int c_first = next;
  load("c", test.c, 2);
  next = 0;
  const std::string a = operand(test.a), b = operand(test.b), c = operand(test.c);
  text += " " + std::string(test.name) + " " + c + ", " + a + ", " + b + ", " + c + ";\n";
  for (uint32_t r = 0; r < test.c.registers; ++r) {
    const std::string offset = "[%p2+" + std::to_string(r * 128) + "]";
    if (wide) {
      text += " mov.b64 {%w0, %w1}, %q" + std::to_string(c_first + static_cast<int>(r / 2)) +
              "; st.global.b32 " + offset + ", %w0; st.global.b32 [%p2+" + std::to_string(r * 128 + 128) +
              "], %w1;\n";
      ++r;
    } else {
      text += " st.global.b32 " + offset + ", %w" + std::to_string(c_first + static_cast<int>(r)) + ";\n";
    }
  }
  return text + " ret;\n}\n";
}

uint32_t* upload(TestMachine& machine, const Fragment& f) {
  auto* words = machine.array<uint32_t>(f.words.size());
  std::copy(f.words.begin(), f.words.end(), words);
  return words;
}

void check(Case test) {
  SCOPED_TRACE(test.name);
  TestMachine machine(kernel(test));
  ASSERT_TRUE(machine.status().ok()) << machine.status().message();
  const char kind_b = test.kind_b != 0 ? test.kind_b : test.kind;
  const bool bits = test.a.bits == 1;
  const bool exclusive = std::string(test.name).ends_with(".xor.popc");
  std::vector<int> a(test.m * test.k), b(test.k * test.n), c(test.m * test.n);
  const auto value = [&](size_t i, int seed, char kind) {
    return static_cast<int>((i * 7 + static_cast<size_t>(seed)) % (bits ? 2 : 8)) -
           (kind == 'u' || bits ? 0 : 4);
  };
  for (size_t i = 0; i < a.size(); ++i) a[i] = value(i + i / test.k, 1, test.kind);
  for (size_t i = 0; i < b.size(); ++i) b[i] = value(i + i / test.n, 3, kind_b);
  for (size_t i = 0; i < c.size(); ++i) c[i] = value(i, 5, 's');
  const char c_kind = test.kind == 'd'                       ? 'd'
                      : test.kind == 's' || test.kind == 'u' ? 's'
                      : test.c.bits == 16                    ? 'h'
                                                             : 'f';
  for (uint32_t lane = 0; lane < 32; ++lane) {
    const auto fill = [&](Fragment& f, const Layout& place, const std::vector<int>& from, uint32_t columns,
                          char kind) {
      for (uint32_t i = 0; i < f.elements(); ++i) {
        const Place at = place(lane, i);
        f.set(lane, i, encode(kind, from[at.row * columns + at.column]));
      }
    };
    fill(test.a, test.place_a, a, test.k, test.kind);
    fill(test.b, test.place_b, b, test.n, kind_b);
    fill(test.c, test.place_c, c, test.n, c_kind);
  }
  uint32_t* device_c = upload(machine, test.c);
  Parameters parameters;
  parameters.add(upload(machine, test.a)).add(upload(machine, test.b)).add(device_c);
  ASSERT_EQ(machine.run("k", {}, {32}, parameters), Outcome::kFinished)
      << machine.status().message() << machine.fault().detail;
  std::copy_n(device_c, test.c.words.size(), test.c.words.begin());
  for (uint32_t lane = 0; lane < 32; ++lane) {
    for (uint32_t i = 0; i < test.c.elements(); ++i) {
      const Place at = test.place_c(lane, i);
      int sum = c[at.row * test.n + at.column];
      for (uint32_t k = 0; k < test.k; ++k) {
        const int x = a[at.row * test.k + k], y = b[k * test.n + at.column];
        sum += exclusive ? x ^ y : x * y;
      }
      const uint64_t expected = encode(c_kind, sum) & (test.c.bits == 64   ? ~uint64_t{0}
                                                       : test.c.bits == 32 ? 0xffffffff
                                                                           : 0xffff);
      ASSERT_EQ(test.c.get(lane, i), expected) << "lane " << lane << " element " << i;
    }
  }
}

uint32_t group(uint32_t lane) { return lane / 4; }
uint32_t place(uint32_t lane) { return lane % 4; }
Place c_of(uint32_t lane, uint32_t i) { return {group(lane) + (i < 2 ? 0 : 8), place(lane) * 2 + (i & 1)}; }

TEST(Matrix, Halves) {
  const Layout a16 = [](uint32_t l, uint32_t i) {
    return Place{group(l) + (i == 0 || i == 1 || i == 4 || i == 5 ? 0 : 8),
                 place(l) * 2 + (i & 1) + (i >= 4 ? 8 : 0)};
  };
  const Layout b16 = [](uint32_t l, uint32_t i) {
    return Place{place(l) * 2 + (i & 1) + (i >= 2 ? 8 : 0), group(l)};
  };
  const Layout a8 = [](uint32_t l, uint32_t i) {
    return Place{group(l) + (i < 2 ? 0 : 8), place(l) * 2 + (i & 1)};
  };
  const Layout b8 = [](uint32_t l, uint32_t i) { return Place{place(l) * 2 + i, group(l)}; };
  check({"mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32",
         16,
         8,
         16,
         {4, 16},
         {2, 16},
         {4, 32},
         'h',
         a16,
         b16,
         c_of});
  check({"mma.sync.aligned.m16n8k16.row.col.f16.f16.f16.f16",
         16,
         8,
         16,
         {4, 16},
         {2, 16},
         {2, 16},
         'h',
         a16,
         b16,
         c_of});
  check({"mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32",
         16,
         8,
         16,
         {4, 16},
         {2, 16},
         {4, 32},
         'b',
         a16,
         b16,
         c_of});
  check({"mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32",
         16,
         8,
         8,
         {2, 16},
         {1, 16},
         {4, 32},
         'h',
         a8,
         b8,
         c_of});
  check({"mma.sync.aligned.m16n8k8.row.col.f32.bf16.bf16.f32",
         16,
         8,
         8,
         {2, 16},
         {1, 16},
         {4, 32},
         'b',
         a8,
         b8,
         c_of});
}

TEST(Matrix, Words) {
  const Layout a4 = [](uint32_t l, uint32_t i) { return Place{group(l) + 8 * i, place(l)}; };
  const Layout b4 = [](uint32_t l, uint32_t) { return Place{place(l), group(l)}; };
  const Layout a8 = [](uint32_t l, uint32_t i) {
    return Place{group(l) + (i == 0 || i == 2 ? 0 : 8), place(l) + (i < 2 ? 0 : 4)};
  };
  const Layout b8 = [](uint32_t l, uint32_t i) { return Place{place(l) + 4 * i, group(l)}; };
  check({"mma.sync.aligned.m16n8k4.row.col.f32.tf32.tf32.f32",
         16,
         8,
         4,
         {2, 32},
         {1, 32},
         {4, 32},
         't',
         a4,
         b4,
         c_of});
  check({"mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32",
         16,
         8,
         8,
         {4, 32},
         {2, 32},
         {4, 32},
         't',
         a8,
         b8,
         c_of});
  const Layout a1 = [](uint32_t l, uint32_t) { return Place{group(l), place(l)}; };
  check({"mma.sync.aligned.m8n8k4.row.col.f64.f64.f64.f64",
         8,
         8,
         4,
         {2, 64},
         {2, 64},
         {4, 64},
         'd',
         a1,
         b4,
         c_of});
  check({"mma.sync.aligned.m16n8k4.row.col.f64.f64.f64.f64",
         16,
         8,
         4,
         {4, 64},
         {2, 64},
         {8, 64},
         'd',
         a4,
         b4,
         c_of});
  check({"mma.sync.aligned.m16n8k8.row.col.f64.f64.f64.f64",
         16,
         8,
         8,
         {8, 64},
         {4, 64},
         {8, 64},
         'd',
         a8,
         b8,
         c_of});
  const Layout a16 = [](uint32_t l, uint32_t i) {
    return Place{group(l) + (i % 2 == 0 ? 0 : 8), place(l) + i / 2 * 4};
  };
  check({"mma.sync.aligned.m16n8k16.row.col.f64.f64.f64.f64",
         16,
         8,
         16,
         {16, 64},
         {8, 64},
         {8, 64},
         'd',
         a16,
         b8,
         c_of});
}

TEST(Matrix, Bytes) {
  const Layout a8x16 = [](uint32_t l, uint32_t i) { return Place{group(l), place(l) * 4 + i}; };
  const Layout b16 = [](uint32_t l, uint32_t i) { return Place{place(l) * 4 + i, group(l)}; };
  const Layout a16 = [](uint32_t l, uint32_t i) {
    return Place{group(l) + (i < 4 ? 0 : 8), place(l) * 4 + (i & 3)};
  };
  const Layout a32 = [](uint32_t l, uint32_t i) {
    return Place{group(l) + (i < 4 || (i >= 8 && i < 12) ? 0 : 8),
                 place(l) * 4 + (i & 3) + (i >= 8 ? 16 : 0)};
  };
  const Layout b32 = [](uint32_t l, uint32_t i) {
    return Place{place(l) * 4 + (i & 3) + (i >= 4 ? 16 : 0), group(l)};
  };
  check({"mma.sync.aligned.m8n8k16.row.col.s32.s8.s8.s32",
         8,
         8,
         16,
         {1, 8},
         {1, 8},
         {2, 32},
         's',
         a8x16,
         b16,
         c_of});
  check({"mma.sync.aligned.m16n8k16.row.col.s32.u8.u8.s32",
         16,
         8,
         16,
         {2, 8},
         {1, 8},
         {4, 32},
         'u',
         a16,
         b16,
         c_of});
  check({"mma.sync.aligned.m16n8k32.row.col.satfinite.s32.s8.s8.s32",
         16,
         8,
         32,
         {4, 8},
         {2, 8},
         {4, 32},
         's',
         a32,
         b32,
         c_of});
  for (const auto& [name, kind, kind_b] :
       {std::tuple{"mma.sync.aligned.m16n8k32.row.col.f32.e4m3.e4m3.f32", '4', '4'},
        std::tuple{"mma.sync.aligned.m16n8k32.row.col.f32.e5m2.e5m2.f32", '5', '5'},
        std::tuple{"mma.sync.aligned.m16n8k32.row.col.s32.s8.u8.s32", 's', 'u'},
        std::tuple{"mma.sync.aligned.m16n8k32.row.col.s32.u8.s8.s32", 'u', 's'},
        std::tuple{"mma.sync.aligned.m16n8k32.row.col.f32.e4m3.e5m2.f32", '4', '5'},
        std::tuple{"mma.sync.aligned.m16n8k32.row.col.f32.e5m2.e4m3.f32", '5', '4'}})
    check({name, 16, 8, 32, {4, 8}, {2, 8}, {4, 32}, kind, a32, b32, c_of, kind_b});
  const Layout a64 = [](uint32_t l, uint32_t i) {
    return Place{group(l) + (i < 8 || (i >= 16 && i < 24) ? 0 : 8),
                 place(l) * 8 + (i & 7) + (i >= 16 ? 32 : 0)};
  };
  const Layout b64 = [](uint32_t l, uint32_t i) {
    return Place{place(l) * 8 + (i & 7) + (i >= 8 ? 32 : 0), group(l)};
  };
  check({"mma.sync.aligned.m16n8k64.row.col.s32.s4.s4.s32",
         16,
         8,
         64,
         {4, 4},
         {2, 4},
         {4, 32},
         's',
         a64,
         b64,
         c_of});
}

TEST(Matrix, Bits) {
  const Layout a256 = [](uint32_t l, uint32_t i) {
    return Place{group(l) + (i / 32 % 2) * 8, place(l) * 32 + (i & 31) + (i >= 64 ? 128 : 0)};
  };
  const Layout b256 = [](uint32_t l, uint32_t i) {
    return Place{place(l) * 32 + (i & 31) + (i >= 32 ? 128 : 0), group(l)};
  };
  check({"mma.sync.aligned.m16n8k256.row.col.s32.b1.b1.s32.and.popc",
         16,
         8,
         256,
         {4, 1},
         {2, 1},
         {4, 32},
         's',
         a256,
         b256,
         c_of});
  check({"mma.sync.aligned.m16n8k256.row.col.s32.b1.b1.s32.xor.popc",
         16,
         8,
         256,
         {4, 1},
         {2, 1},
         {4, 32},
         's',
         a256,
         b256,
         c_of});
}

// Four products of eight lanes each, here of the same matrices.
TEST(Matrix, Quads) {
  const auto lane8 = [](uint32_t l) { return l % 4 + (l < 16 ? 0 : 4); };
  const Layout by_lane = [=](uint32_t l, uint32_t i) { return Place{lane8(l), i}; };
  const Layout b_columns = [=](uint32_t l, uint32_t i) { return Place{i, lane8(l)}; };
  const Layout a_columns = [](uint32_t l, uint32_t i) { return Place{i + (l < 16 ? 0 : 4), l % 4}; };
  const Layout b_rows = [](uint32_t l, uint32_t i) { return Place{l % 4, i + (l < 16 ? 0 : 4)}; };
  const Layout c_wide = [](uint32_t l, uint32_t i) {
    return Place{(l & 1) + (i & 2) + (l < 16 ? 0 : 4), (i & 4) + (l & 2) + (i & 1)};
  };
  check({"mma.sync.aligned.m8n8k4.row.col.f32.f16.f16.f32",
         8,
         8,
         4,
         {2, 16},
         {2, 16},
         {8, 32},
         'h',
         by_lane,
         b_columns,
         c_wide});
  check({"mma.sync.aligned.m8n8k4.col.row.f16.f16.f16.f16",
         8,
         8,
         4,
         {2, 16},
         {2, 16},
         {4, 16},
         'h',
         a_columns,
         b_rows,
         by_lane});
}

}  // namespace
}  // namespace tessera::softgpu::exec
