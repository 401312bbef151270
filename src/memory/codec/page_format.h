// How a page is stored: a header, what sealing adds, and the payload. All numbers are little-endian.
//
//   0  magic "TPG1"            16  checksum of the payload, 8 bytes; 0 where there is none
//   4  version, 1              24  checksum of the header's other bytes, 8 bytes
//   5  compression             32  sealed pages only: nonce, 12 bytes, and tag, 16 bytes
//   6  width of the planes     ..  payload
//   7  protection
//   8  bytes of the page
//  12  bytes of the payload
//
// The payload of a page in planes: for each plane its bytes as stored (4 bytes), and these. A plane that does
// not become smaller is stored as it is. The last plane has the bytes beyond the last whole number as well.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "common/status.h"

namespace tessera::memory {

enum class Compression : uint8_t { kNone, kLz4, kZstd, kSnappy, kZeros };  // kZeros: a page of nothing else

// What says that a stored page is what was stored. The header's own checksum is always there.
enum class Protection : uint8_t {
  kHeader,    // for memory that only we write
  kChecksum,  // of the payload as well: for files
  kSealed,    // encrypted and authenticated (AES-256-GCM), header included
};

struct PageHeader {
  static constexpr size_t kBytes = 32;
  static constexpr size_t kNonceBytes = 12, kTagBytes = 16;
  static constexpr size_t kSealBytes = kNonceBytes + kTagBytes;
  static constexpr uint32_t kMostPageBytes = uint32_t{64} << 20;

  Compression compression = Compression::kNone;
  uint8_t plane_width = 1;  // 1, 2 or 4
  Protection protection = Protection::kHeader;
  uint32_t page_bytes = 0;
  uint32_t payload_bytes = 0;
  uint64_t payload_checksum = 0;

  size_t payload_at() const { return kBytes + (protection == Protection::kSealed ? kSealBytes : 0); }
  void write(uint8_t* to) const;
};

uint64_t checksum(std::span<const uint8_t> bytes);

// The header of a stored page of exactly these bytes. Whatever it says is possible and lies within them.
Result<PageHeader> read_page_header(std::span<const uint8_t> stored);

}  // namespace tessera::memory
