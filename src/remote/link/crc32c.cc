#include "remote/link/crc32c.h"

#include <array>
#include <cstring>

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

namespace tessera::remote {
namespace {

constexpr uint32_t kPolynomial = 0x82f63b78;  // reflected

constexpr std::array<uint32_t, 256> make_table() {
  std::array<uint32_t, 256> table{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t value = byte;
    for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ ((value & 1) != 0 ? kPolynomial : 0);
    table[byte] = value;
  }
  return table;
}

constexpr auto kTable = make_table();

uint32_t by_table(uint32_t state, ByteSpan bytes) {
  for (std::byte byte : bytes) state = (state >> 8) ^ kTable[(state ^ static_cast<uint8_t>(byte)) & 0xff];
  return state;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) uint32_t by_instruction(uint32_t state, ByteSpan bytes) {
  uint64_t wide = state;
  while (bytes.size() >= 8) {
    uint64_t word;
    memcpy(&word, bytes.data(), sizeof word);
    wide = _mm_crc32_u64(wide, word);
    bytes = bytes.subspan(8);
  }
  uint32_t narrow = static_cast<uint32_t>(wide);
  for (std::byte byte : bytes) narrow = _mm_crc32_u8(narrow, static_cast<uint8_t>(byte));
  return narrow;
}
#endif

}  // namespace

uint32_t crc32c(uint32_t before, ByteSpan bytes) {
#if defined(__x86_64__)
  static const bool has_instruction = __builtin_cpu_supports("sse4.2") != 0;
  if (has_instruction) return ~by_instruction(~before, bytes);
#endif
  return ~by_table(~before, bytes);
}

}  // namespace tessera::remote
