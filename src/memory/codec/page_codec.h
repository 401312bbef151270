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

  // Room that encode() wants for a page of so many bytes: more than it uses, as the libraries are fastest
  // when they need not look for an end.
  static size_t bound(size_t page_bytes);

  // A page of 1 to kMostPageBytes; how many bytes of `to` are what is stored of it. What does not become
  // smaller is stored as it is, with one copy; a page of zeros as nothing.
  Result<size_t> encode(PageEncoding encoding, std::span<const uint8_t> page, std::span<uint8_t> to);
  // The same of a page that is known to be nothing but zeros.
  Result<size_t> encode_zeros(size_t page_bytes, std::span<uint8_t> to);

  // Of a page that lies in `at` already, where its payload belongs: there it stays, as it is or encrypted.
  size_t payload_at() const { return PageHeader{.protection = protection_}.payload_at(); }
  Result<size_t> encode_in_place(size_t page_bytes, std::span<uint8_t> at);

  // Fills `page`, which must be as long as the stored one was. kInvalidData for any bytes that are not a page
  // of this codec's protection: what says it needs none is not believed.
  Status decode(std::span<const uint8_t> stored, std::span<uint8_t> page);
  // The same without a copy where none is needed: the page lies in what is stored, in `room`, which is as
  // long as the page, or in the codec until it is called again.
  Result<std::span<const uint8_t>> open(std::span<const uint8_t> stored, std::span<uint8_t> room);

 private:
  Result<PageHeader> start(size_t page_bytes, std::span<const uint8_t> to) const;
  Result<size_t> finish(PageHeader& header, std::span<uint8_t> to);
  void compress(PageEncoding encoding, std::span<const uint8_t> page, PageHeader& header,
                std::span<uint8_t> to);
  size_t compress_planes(PageEncoding encoding, std::span<const uint8_t> page, std::span<uint8_t> room);
  bool decompress_planes(PageEncoding encoding, std::span<const uint8_t> payload, std::span<uint8_t> page);
  Status unprotect(const PageHeader& header, std::span<const uint8_t> stored,
                   std::span<const uint8_t>& payload);

  const Protection protection_;
  PageCipher* const cipher_;
  Compressor compressor_;
  std::vector<uint8_t> planes_, opened_;
};

}  // namespace tessera::memory
