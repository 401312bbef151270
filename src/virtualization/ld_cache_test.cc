#include "virtualization/ld_cache.h"

#include <gtest/gtest.h>

#include <cstring>

namespace tessera::vgpu {
namespace {

void put32(std::string& out, uint32_t value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

std::string cache_of(const std::vector<std::pair<std::string, std::string>>& libraries) {
  std::string strings;
  std::string entries;
  auto base = static_cast<uint32_t>(48 + 24 * libraries.size());
  for (const auto& [name, path] : libraries) {
    put32(entries, 3);
    put32(entries, base + static_cast<uint32_t>(strings.size()));
    strings += name + '\0';
    put32(entries, base + static_cast<uint32_t>(strings.size()));
    strings += path + '\0';
    entries.append(12, '\0');
  }
  std::string out = "glibc-ld.so.cache1.1";
  put32(out, static_cast<uint32_t>(libraries.size()));
  put32(out, static_cast<uint32_t>(strings.size()));
  out.append(20, '\0');
  return out + entries + strings;
}

std::vector<std::string> paths(const std::string& cache, const char* soname) {
  return ld_cache_paths(std::as_bytes(std::span<const char>(cache)), soname);
}

TEST(LdCache, FindsEveryPathOfAName) {
  std::string cache =
      cache_of({{"libc.so.6", "/lib/libc.so.6"}, {"libcuda.so.1", "/a/cuda"}, {"libcuda.so.1", "/b/cuda"}});
  EXPECT_EQ(paths(cache, "libcuda.so.1"), (std::vector<std::string>{"/a/cuda", "/b/cuda"}));
  EXPECT_EQ(paths("ld.so-1.7.0 old part " + cache, "libc.so.6"), std::vector<std::string>{"/lib/libc.so.6"});
  EXPECT_TRUE(paths(cache, "libcuda.so").empty());
}

TEST(LdCache, EveryTruncationAndBitFlipIsSurvived) {
  std::string cache = cache_of({{"libcuda.so.1", "/a/cuda"}, {"libm.so.6", "/lib/libm.so.6"}});
  for (size_t length = 0; length < cache.size(); ++length) paths(cache.substr(0, length), "libcuda.so.1");
  for (size_t bit = 0; bit < cache.size() * 8; ++bit) {
    std::string broken = cache;
    broken[bit / 8] = static_cast<char>(broken[bit / 8] ^ (1 << (bit % 8)));
    for (const std::string& path : paths(broken, "libcuda.so.1")) EXPECT_EQ(path[0], '/');
  }
}

TEST(LdCache, ReadsThisSystemsCache) {
  FILE* file = fopen("/etc/ld.so.cache", "rb");
  if (file == nullptr) GTEST_SKIP() << "no linker cache here";
  std::string text(1 << 20, '\0');
  text.resize(fread(text.data(), 1, text.size(), file));
  fclose(file);
  EXPECT_FALSE(paths(text, "libc.so.6").empty());
}

}  // namespace
}  // namespace tessera::vgpu
