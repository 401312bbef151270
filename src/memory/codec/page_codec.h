// Pages to what is stored of them, and back. One thread at a time; a cipher may be shared.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "memory/codec/compressor.h"
#include "memory/codec/page_cipher.h"
#include "memory/codec/page_format.h"

namespace tessera::memory {

// How a page is compressed.
struct PageEncoding {
  Compression compression = Compression::kNone;
  uint8_t plane_width = 1;  // 1: bytes as they are, 2 or 4: planes of numbers of so many bytes

  bool operator==(const PageEncoding&) const = default;
};

bool all_zeros(std::span<const uint8_t> page);

class PageCodec {
 public:
  // `cipher`: of kSealed pages; it outlives the codec.
  explicit PageCodec(Protection protection = Protection::kHeader, PageCipher* cipher = nullptr);

  // A page of 1 to kMostPageBytes. What does not become smaller is stored as it is, a page of zeros as
  // nothing. The answer lies in the codec until its next call.
  Result<std::span<const uint8_t>> encode(PageEncoding encoding, std::span<const uint8_t> page);

  // The same of a page that is known to be nothing but zeros.
  Result<std::span<const uint8_t>> encode_zeros(size_t page_bytes);

  // Fills `page`, which must be as long as the stored one was. kInvalidData for any bytes that are not a page
  // of this codec's protection: what says it needs none is not believed.
  Status decode(std::span<const uint8_t> stored, std::span<uint8_t> page);

 private:
  Result<PageHeader> start(size_t page_bytes);
  Result<std::span<const uint8_t>> finish(PageHeader& header);
  void compress(PageEncoding encoding, std::span<const uint8_t> page, PageHeader& header);
  size_t compress_planes(PageEncoding encoding, std::span<const uint8_t> page, std::span<uint8_t> room);
  bool decompress_planes(PageEncoding encoding, std::span<const uint8_t> payload, std::span<uint8_t> page);
  Status unprotect(const PageHeader& header, std::span<const uint8_t> stored,
                   std::span<const uint8_t>& payload);

  const Protection protection_;
  PageCipher* const cipher_;
  Compressor compressor_;
  std::vector<uint8_t> stored_, planes_, opened_;
};

}  // namespace tessera::memory
