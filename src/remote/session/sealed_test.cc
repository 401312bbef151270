#include "remote/session/sealed.h"

#include <gtest/gtest.h>

namespace tessera::remote {
namespace {

SealedBytes some_handle() {
  SealedBytes bytes{};
  for (size_t i = 0; i < 20; ++i) bytes[i] = static_cast<std::byte>(i);
  return bytes;
}

TEST(Sealed, ComesBackWithItsKey) {
  const Bytes32 key = tenant_key({}, "alice");
  EXPECT_NE(sealed(key, some_handle()), some_handle());
  EXPECT_EQ(unsealed(key, sealed(key, some_handle())), some_handle());
}

TEST(Sealed, IsNothingWithAnothersKey) {
  const SealedBytes alices = sealed(tenant_key({}, "alice"), some_handle());
  EXPECT_NE(unsealed(tenant_key({}, "bob"), alices), some_handle());
  Bytes32 other_server{};
  other_server[0] = std::byte{1};
  EXPECT_NE(unsealed(tenant_key(other_server, "alice"), alices), some_handle());
}

// Pieces of handles that a tenant has make none that it does not.
TEST(Sealed, ABitThatIsChangedChangesAllOfIt) {
  const Bytes32 key = tenant_key({}, "alice");
  for (const size_t at : {size_t{0}, size_t{31}, size_t{32}, size_t{63}}) {
    SealedBytes forged = sealed(key, some_handle());
    forged[at] ^= std::byte{1};
    const SealedBytes opened = unsealed(key, forged);
    size_t same = 0;
    for (size_t i = 0; i < opened.size(); ++i) same += opened[i] == some_handle()[i] ? 1 : 0;
    EXPECT_LT(same, 16u) << at;
  }
}

}  // namespace
}  // namespace tessera::remote
