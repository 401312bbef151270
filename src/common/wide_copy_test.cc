#include "common/wide_copy.h"

#include <gtest/gtest.h>

#include <vector>

namespace tessera {
namespace {

// Every size about the steps, from and to every kind of place; nothing beside it is touched.
TEST(WideCopy, CopiesWhatMemcpyWould) {
  constexpr size_t kMost = kWideCopyBytes + (40 << 10);
  std::vector<unsigned char> from(kMost + 64);
  for (size_t i = 0; i < from.size(); ++i) from[i] = static_cast<unsigned char>(i * 2654435761u >> 13);
  for (const CopyTo where : {CopyTo::kCache, CopyTo::kMemory}) {
    for (const size_t bytes : {size_t{0}, size_t{1}, kWideCopyBytes - 1, kWideCopyBytes, kWideCopyBytes + 1,
                               kWideCopyBytes + 16384, kWideCopyBytes + 16400, kMost}) {
      for (const size_t source : {0, 1, 16, 33}) {
        for (const size_t target : {0, 1, 15, 16, 32}) {
          std::vector<unsigned char> to(kMost + 64, 0xee), expected = to;
          std::copy_n(from.begin() + source, bytes, expected.begin() + target);
          wide_copy(to.data() + target, from.data() + source, bytes, where);
          ASSERT_EQ(to, expected) << bytes << " bytes from " << source << " to " << target;
        }
      }
    }
  }
}

}  // namespace
}  // namespace tessera
