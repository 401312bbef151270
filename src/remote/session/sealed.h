// What processes of one tenant hand each other - handles of CUDA's interprocess calls - as it leaves the
// server: nobody can make one that leads to something, or use one of another tenant's. The driver's own are
// easy to guess, and all sessions of a server are the same user's to it.
#pragma once

#include <array>

#include "remote/session/proof.h"

namespace tessera::remote {

using SealedBytes = std::array<std::byte, 64>;

// A permutation of all 64 bytes that only the key gives: four rounds of Luby and Rackoff's, with HMAC-SHA256.
SealedBytes sealed(const Bytes32& key, const SealedBytes& bytes);
SealedBytes unsealed(const Bytes32& key, const SealedBytes& bytes);
// The key of a tenant, from the server's.
Bytes32 tenant_key(const Bytes32& server_key, std::string_view identity);

}  // namespace tessera::remote
