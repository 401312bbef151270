#include "remote/session/sealed.h"

#include <algorithm>

namespace tessera::remote {
namespace {

constexpr std::string_view kRounds[] = {"tessera seal 1", "tessera seal 2", "tessera seal 3",
                                        "tessera seal 4"};
using Halves = std::array<Bytes32, 2>;

Halves halves_of(const SealedBytes& bytes) {
  Halves halves;
  std::copy_n(bytes.begin(), 32, halves[0].begin());
  std::copy_n(bytes.begin() + 32, 32, halves[1].begin());
  return halves;
}

SealedBytes whole(const Halves& halves) {
  SealedBytes bytes;
  std::copy_n(halves[0].begin(), 32, bytes.begin());
  std::copy_n(halves[1].begin(), 32, bytes.begin() + 32);
  return bytes;
}

// One half is changed by what the other is.
void round(const Bytes32& key, std::string_view label, Bytes32& changed, const Bytes32& by) {
  Transcript said;
  said.add(by);
  changed = masked(changed, said.prove(key, label));
}

}  // namespace

SealedBytes sealed(const Bytes32& key, const SealedBytes& bytes) {
  Halves halves = halves_of(bytes);
  for (size_t i = 0; i < std::size(kRounds); ++i) round(key, kRounds[i], halves[i % 2], halves[1 - i % 2]);
  return whole(halves);
}

SealedBytes unsealed(const Bytes32& key, const SealedBytes& bytes) {
  Halves halves = halves_of(bytes);
  for (size_t i = std::size(kRounds); i-- > 0;) round(key, kRounds[i], halves[i % 2], halves[1 - i % 2]);
  return whole(halves);
}

Bytes32 tenant_key(const Bytes32& server_key, std::string_view identity) {
  Transcript said;
  said.add(identity);
  return said.prove(server_key, "tessera tenant 1");
}

}  // namespace tessera::remote
