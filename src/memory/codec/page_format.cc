#include "memory/codec/page_format.h"

#include <cstring>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace tessera::memory {
namespace {

constexpr uint8_t kMagic[4] = {'T', 'P', 'G', '1'};
constexpr uint8_t kVersion = 1;
constexpr size_t kHeaderChecksumAt = 24;

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "numbers are copied as they are");

template <typename Number>
Number number_at(const uint8_t* from) {
  Number number;
  std::memcpy(&number, from, sizeof number);
  return number;
}

Status wrong(const char* what) { return Status::error(Code::kInvalidData, "a stored page: %s", what); }

Status check_sizes(const PageHeader& header, size_t stored_bytes) {
  if (header.page_bytes == 0 || header.page_bytes > PageHeader::kMostPageBytes)
    return wrong("impossible size");
  if (stored_bytes < header.payload_at() || stored_bytes - header.payload_at() != header.payload_bytes) {
    return wrong("cut, or longer than its header says");
  }
  switch (header.compression) {
    case Compression::kZeros:
      return header.payload_bytes == 0 ? Status() : wrong("zeros with a payload");
    case Compression::kNone:
      return header.payload_bytes == header.page_bytes ? Status() : wrong("not as long as its page");
    default:
      return header.payload_bytes < header.page_bytes ? Status() : wrong("longer than its page");
  }
}

}  // namespace

uint64_t checksum(std::span<const uint8_t> bytes) { return XXH3_64bits(bytes.data(), bytes.size()); }

void PageHeader::write(uint8_t* to) const {
  std::memcpy(to, kMagic, sizeof kMagic);
  to[4] = kVersion;
  to[5] = static_cast<uint8_t>(compression);
  to[6] = plane_width;
  to[7] = static_cast<uint8_t>(protection);
  std::memcpy(to + 8, &page_bytes, 4);
  std::memcpy(to + 12, &payload_bytes, 4);
  std::memcpy(to + 16, &payload_checksum, 8);
  const uint64_t own = checksum({to, kHeaderChecksumAt});
  std::memcpy(to + kHeaderChecksumAt, &own, 8);
}

Result<PageHeader> read_page_header(std::span<const uint8_t> stored) {
  if (stored.size() < PageHeader::kBytes) return wrong("shorter than a header");
  const uint8_t* const at = stored.data();
  if (std::memcmp(at, kMagic, sizeof kMagic) != 0) return wrong("no such thing");
  if (at[4] != kVersion) return wrong("of a version that this build does not know");
  if (number_at<uint64_t>(at + kHeaderChecksumAt) != checksum({at, kHeaderChecksumAt})) {
    return wrong("its header is damaged");
  }
  if (at[5] > static_cast<uint8_t>(Compression::kZeros)) return wrong("unknown compression");
  if (at[6] != 1 && at[6] != 2 && at[6] != 4) return wrong("unknown planes");
  if (at[7] > static_cast<uint8_t>(Protection::kSealed)) return wrong("unknown protection");
  PageHeader header;
  header.compression = static_cast<Compression>(at[5]);
  header.plane_width = at[6];
  header.protection = static_cast<Protection>(at[7]);
  header.page_bytes = number_at<uint32_t>(at + 8);
  header.payload_bytes = number_at<uint32_t>(at + 12);
  header.payload_checksum = number_at<uint64_t>(at + 16);
  TESSERA_RETURN_IF_ERROR(check_sizes(header, stored.size()));
  return header;
}

}  // namespace tessera::memory
