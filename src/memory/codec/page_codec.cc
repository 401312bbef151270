#include "memory/codec/page_codec.h"

#include <algorithm>
#include <cassert>
#include <cstring>

#include "memory/codec/byte_planes.h"

namespace tessera::memory {
namespace {

void at_least(std::vector<uint8_t>& buffer, size_t bytes) {
  if (buffer.size() < bytes) buffer.resize(bytes);
}

constexpr size_t kLengthBytes = 4;  // before each plane

std::span<uint8_t> plane_of(std::vector<uint8_t>& planes, size_t page_bytes, uint32_t width,
                            uint32_t number) {
  const size_t bytes = page_bytes / width, begin = number * bytes;
  return std::span(planes).subspan(begin, number + 1 == width ? page_bytes - begin : bytes);
}

}  // namespace

bool all_zeros(std::span<const uint8_t> page) {
  return !page.empty() && page[0] == 0 && std::memcmp(page.data(), page.data() + 1, page.size() - 1) == 0;
}

PageCodec::PageCodec(Protection protection, PageCipher* cipher) : protection_(protection), cipher_(cipher) {
  assert((protection == Protection::kSealed) == (cipher != nullptr));
}

// Each plane by itself: what is alike in one says nothing of the next.
size_t PageCodec::compress_planes(PageEncoding encoding, std::span<const uint8_t> page,
                                  std::span<uint8_t> room) {
  at_least(planes_, page.size());
  split_planes(page.data(), planes_.data(), page.size(), encoding.plane_width);
  size_t used = 0;
  for (uint32_t number = 0; number < encoding.plane_width; ++number) {
    const std::span<const uint8_t> plane = plane_of(planes_, page.size(), encoding.plane_width, number);
    uint8_t* const at = room.data() + used;
    size_t bytes = plane.empty()
                       ? 0
                       : compressor_.compress(encoding.compression, plane, room.subspan(used + kLengthBytes));
    if (bytes == 0 || bytes >= plane.size()) {
      bytes = plane.size();
      std::copy(plane.begin(), plane.end(), at + kLengthBytes);
    }
    const auto length = static_cast<uint32_t>(bytes);
    std::memcpy(at, &length, kLengthBytes);
    used += kLengthBytes + bytes;
  }
  return used;
}

bool PageCodec::decompress_planes(PageEncoding encoding, std::span<const uint8_t> payload,
                                  std::span<uint8_t> page) {
  at_least(planes_, page.size());
  for (uint32_t number = 0; number < encoding.plane_width; ++number) {
    uint32_t length = 0;
    if (payload.size() < kLengthBytes) return false;
    std::memcpy(&length, payload.data(), kLengthBytes);
    payload = payload.subspan(kLengthBytes);
    const std::span<uint8_t> plane = plane_of(planes_, page.size(), encoding.plane_width, number);
    if (length > payload.size() || length > plane.size()) return false;
    const std::span<const uint8_t> stored = payload.first(length);
    if (length == plane.size()) {
      std::copy(stored.begin(), stored.end(), plane.begin());
    } else if (!compressor_.decompress(encoding.compression, stored, plane)) {
      return false;
    }
    payload = payload.subspan(length);
  }
  join_planes(planes_.data(), page.data(), page.size(), encoding.plane_width);
  return payload.empty();
}

// Puts the payload where the header says, and says in the header what it is.
void PageCodec::compress(PageEncoding encoding, std::span<const uint8_t> page, PageHeader& header,
                         std::span<uint8_t> to) {
  const std::span<uint8_t> room = to.subspan(header.payload_at());
  if (encoding.compression != Compression::kNone) {
    const size_t bytes = encoding.plane_width > 1 ? compress_planes(encoding, page, room)
                                                  : compressor_.compress(encoding.compression, page, room);
    if (bytes > 0 && bytes < page.size()) {
      header.compression = encoding.compression;
      header.plane_width = encoding.plane_width;
      header.payload_bytes = static_cast<uint32_t>(bytes);
      return;
    }
  }
  std::memcpy(room.data(), page.data(), page.size());
  header.payload_bytes = static_cast<uint32_t>(page.size());
}

size_t PageCodec::bound(size_t page_bytes) {
  // The last plane wants its own bound's room behind others that were stored as they are.
  constexpr size_t kBeyondBound = 1024;
  return PageHeader::kBytes + PageHeader::kSealBytes + Compressor::bound(page_bytes) + kBeyondBound;
}

Result<PageHeader> PageCodec::start(size_t page_bytes, std::span<const uint8_t> to) const {
  if (page_bytes == 0 || page_bytes > PageHeader::kMostPageBytes) {
    return Status::error(Code::kInvalidArgument, "a page of %zu bytes: 1 to %u are possible", page_bytes,
                         PageHeader::kMostPageBytes);
  }
  assert(to.size() >= bound(page_bytes));
  PageHeader header;
  header.protection = protection_;
  header.page_bytes = static_cast<uint32_t>(page_bytes);
  return header;
}

Result<size_t> PageCodec::finish(PageHeader& header, std::span<uint8_t> to) {
  const std::span<uint8_t> payload = to.subspan(header.payload_at(), header.payload_bytes);
  if (protection_ == Protection::kChecksum) header.payload_checksum = checksum(payload);
  header.write(to.data());
  if (protection_ == Protection::kSealed) {
    TESSERA_RETURN_IF_ERROR(
        cipher_->seal(to.first(PageHeader::kBytes), payload, to.data() + PageHeader::kBytes));
  }
  return header.payload_at() + header.payload_bytes;
}

Result<size_t> PageCodec::encode(PageEncoding encoding, std::span<const uint8_t> page,
                                 std::span<uint8_t> to) {
  if (all_zeros(page)) return encode_zeros(page.size(), to);
  TESSERA_ASSIGN_OR_RETURN(PageHeader header, start(page.size(), to));
  compress(encoding, page, header, to);
  return finish(header, to);
}

Result<size_t> PageCodec::encode_zeros(size_t page_bytes, std::span<uint8_t> to) {
  TESSERA_ASSIGN_OR_RETURN(PageHeader header, start(page_bytes, to));
  header.compression = Compression::kZeros;
  return finish(header, to);
}

Status PageCodec::unprotect(const PageHeader& header, std::span<const uint8_t> stored,
                            std::span<const uint8_t>& payload) {
  if (header.protection != protection_) return {Code::kInvalidData, "a stored page of another protection"};
  payload = stored.subspan(header.payload_at());
  if (protection_ == Protection::kChecksum && checksum(payload) != header.payload_checksum) {
    return {Code::kInvalidData, "a stored page is damaged"};
  }
  if (protection_ != Protection::kSealed) return {};
  at_least(opened_, payload.size() + 1);  // never without an address
  TESSERA_RETURN_IF_ERROR(cipher_->open(stored.first(PageHeader::kBytes), payload,
                                        stored.data() + PageHeader::kBytes, opened_.data()));
  payload = std::span<const uint8_t>(opened_).first(payload.size());
  return {};
}

Result<size_t> PageCodec::encode_in_place(size_t page_bytes, std::span<uint8_t> at) {
  TESSERA_ASSIGN_OR_RETURN(PageHeader header, start(page_bytes, at));
  header.payload_bytes = static_cast<uint32_t>(page_bytes);
  return finish(header, at);
}

Result<std::span<const uint8_t>> PageCodec::open(std::span<const uint8_t> stored, std::span<uint8_t> room) {
  TESSERA_ASSIGN_OR_RETURN(const PageHeader header, read_page_header(stored));
  if (header.page_bytes != room.size()) {
    return Status::error(Code::kInvalidData, "a stored page of %u bytes where one of %zu was",
                         header.page_bytes, room.size());
  }
  std::span<const uint8_t> payload;
  TESSERA_RETURN_IF_ERROR(unprotect(header, stored, payload));
  if (header.compression == Compression::kNone) return payload;
  if (header.compression == Compression::kZeros) {
    std::memset(room.data(), 0, room.size());
    return std::span<const uint8_t>(room);
  }
  const PageEncoding encoding{header.compression, header.plane_width};
  const bool whole = encoding.plane_width > 1 ? decompress_planes(encoding, payload, room)
                                              : compressor_.decompress(encoding.compression, payload, room);
  if (!whole) return Status(Code::kInvalidData, "a stored page does not decompress");
  return std::span<const uint8_t>(room);
}

Status PageCodec::decode(std::span<const uint8_t> stored, std::span<uint8_t> page) {
  TESSERA_ASSIGN_OR_RETURN(const std::span<const uint8_t> opened, open(stored, page));
  if (opened.data() != page.data()) std::memcpy(page.data(), opened.data(), page.size());
  return {};
}

}  // namespace tessera::memory
