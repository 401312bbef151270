#include "virtualization/ld_cache.h"

namespace tessera::vgpu {
namespace {

constexpr std::string_view kMagic = "glibc-ld.so.cache1.1";

struct CacheHeader {
  char magic[20];
  uint32_t entry_count;
  uint32_t string_bytes;
  uint32_t unused[5];
};
static_assert(sizeof(CacheHeader) == 48);

struct CacheEntry {
  int32_t flags;
  uint32_t name;  // offsets from the header
  uint32_t path;
  uint32_t os_version;
  uint64_t hardware;
};
static_assert(sizeof(CacheEntry) == 24);

// The zero-terminated text at `offset`; empty where it runs over the end.
std::string_view text_at(std::string_view text, uint32_t offset) {
  if (offset >= text.size()) return {};
  size_t end = text.find('\0', offset);
  return end == std::string_view::npos ? std::string_view{} : text.substr(offset, end - offset);
}

}  // namespace

std::vector<std::string> ld_cache_paths(ByteSpan cache, std::string_view soname) {
  std::string_view text(reinterpret_cast<const char*>(cache.data()), cache.size());
  // Caches written for older systems carry another format in front.
  size_t start = text.find(kMagic);
  if (start == std::string_view::npos) return {};
  cache = cache.subspan(start);
  text.remove_prefix(start);
  auto header = read_at<CacheHeader>(cache, 0);
  if (!header) return {};
  std::vector<std::string> paths;
  for (size_t i = 0; i < header->entry_count; ++i) {
    auto entry = read_at<CacheEntry>(cache, sizeof(CacheHeader) + i * sizeof(CacheEntry));
    if (!entry) break;
    if (text_at(text, entry->name) != soname) continue;
    std::string_view path = text_at(text, entry->path);
    if (path.starts_with('/')) paths.emplace_back(path);
  }
  return paths;
}

}  // namespace tessera::vgpu
