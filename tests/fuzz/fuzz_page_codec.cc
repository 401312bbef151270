// Stored pages whose every byte may lie, and pages of any bytes, which must come back as they were.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>
#include <vector>

#include "memory/codec/encoding_choice.h"
#include "memory/codec/page_codec.h"

namespace {

using tessera::memory::checksum;
using tessera::memory::PageCodec;
using tessera::memory::PageHeader;
using tessera::memory::Protection;

// Most damaged headers end at their own checksum: one that is made good again lets the rest be seen.
std::vector<uint8_t> with_a_good_header(std::span<const uint8_t> stored) {
  std::vector<uint8_t> mended(stored.begin(), stored.end());
  if (mended.size() < PageHeader::kBytes) return mended;
  const uint64_t own = checksum(std::span<const uint8_t>(mended).first(24));
  std::memcpy(mended.data() + 24, &own, sizeof own);
  return mended;
}

void decode(std::span<const uint8_t> stored, Protection protection) {
  constexpr size_t kMostBytes = size_t{1} << 20;
  const auto header = tessera::memory::read_page_header(stored);
  if (!header.ok() || header->page_bytes > kMostBytes) return;
  std::vector<uint8_t> page(header->page_bytes);
  (void)PageCodec(protection).decode(stored, page);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::span<const uint8_t> input(data, size);
  for (const Protection protection : {Protection::kHeader, Protection::kChecksum}) {
    decode(input, protection);
    decode(with_a_good_header(input), protection);
  }
  if (size < 2) return 0;
  const auto encoding = tessera::memory::kPageEncodings[data[0] % tessera::memory::kPageEncodings.size()];
  const std::span<const uint8_t> page = input.subspan(1);
  PageCodec codec;
  std::vector<uint8_t> stored(PageCodec::bound(page.size())), back(page.size());
  stored.resize(*codec.encode(encoding, page, stored));
  if (!codec.decode(stored, back).ok() || std::memcmp(back.data(), page.data(), page.size()) != 0)
    std::abort();
  return 0;
}
