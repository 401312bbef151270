#include "remote/wire/changes.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace tessera::remote {
namespace {

constexpr uint64_t kPage = 4096;

uint64_t mask_bytes(uint64_t span) { return (span + 7) / 8; }

bool is_set(ByteSpan mask, uint64_t byte) {
  return (std::to_integer<unsigned>(mask[byte / 8]) >> (byte % 8) & 1) != 0;
}

// Of a span that has changes.
void encode(ByteSpan now, std::span<std::byte> last, std::vector<std::byte>& encoded) {
  encoded.assign(mask_bytes(now.size()), std::byte{0});
  for (uint64_t i = 0; i < now.size(); ++i) {
    if (now[i] == last[i]) continue;
    encoded[i / 8] |= std::byte{1} << static_cast<int>(i % 8);
    encoded.push_back(now[i]);
    last[i] = now[i];
  }
}

// The pages of [begin, end) that differ, as one span; empty where none does.
ByteSpan differing(ByteSpan now, ByteSpan last) {
  uint64_t begin = now.size(), end = 0;
  for (uint64_t at = 0; at < now.size(); at += kPage) {
    const uint64_t part = std::min(kPage, now.size() - at);
    if (memcmp(now.data() + at, last.data() + at, part) == 0) continue;
    begin = std::min(begin, at);
    end = at + part;
  }
  return begin < end ? now.subspan(begin, end - begin) : ByteSpan();
}

}  // namespace

void find_changes(uint64_t address, ByteSpan now, std::span<std::byte> last,
                  const std::function<void(const Changes& changes)>& send) {
  std::vector<std::byte> snapshot, encoded;
  for (uint64_t at = 0; at < now.size(); at += kMostChangedSpan) {
    const uint64_t part = std::min(kMostChangedSpan, now.size() - at);
    const ByteSpan differs = differing(now.subspan(at, part), last.subspan(at, part));
    if (differs.empty()) continue;
    // Others may write there: each byte is read once.
    snapshot.assign(differs.begin(), differs.end());
    const auto offset = static_cast<uint64_t>(differs.data() - now.data());
    encode(snapshot, last.subspan(offset, snapshot.size()), encoded);
    send({address + offset, snapshot.size(), encoded});
  }
}

bool are_changes(const Changes& changes) {
  const uint64_t mask = mask_bytes(changes.bytes);
  if (changes.bytes == 0 || changes.bytes > kMostChangedSpan || changes.encoded.size() < mask) return false;
  uint64_t changed = 0;
  for (const std::byte bits : changes.encoded.first(mask))
    changed += std::popcount(std::to_integer<uint8_t>(bits));
  const unsigned beyond =
      changes.bytes % 8 == 0 ? 0 : std::to_integer<unsigned>(changes.encoded[mask - 1]) >> changes.bytes % 8;
  return beyond == 0 && changes.encoded.size() == mask + changed;
}

void each_change(const Changes& changes, const std::function<void(uint64_t, ByteSpan)>& put) {
  const ByteSpan mask = changes.encoded.first(mask_bytes(changes.bytes));
  ByteSpan left = changes.encoded.subspan(mask.size());
  for (uint64_t at = 0; at < changes.bytes;) {
    const uint64_t begin = at;
    while (at < changes.bytes && is_set(mask, at)) ++at;
    if (at > begin) put(begin, left.first(at - begin));
    left = left.subspan(at - begin);
    while (at < changes.bytes && !is_set(mask, at)) ++at;
  }
}

}  // namespace tessera::remote
