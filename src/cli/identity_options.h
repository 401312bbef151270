// What an identity may, by the names that the identity file and `tessera limit` have for it.
#pragma once

#include <string>

#include "cli/session_slice.h"
#include "remote/bandwidth/bandwidth_board.h"
#include "remote/session/identities.h"

namespace tessera::cli {

// Where it is kept.
struct IdentityTerms {
  remote::Identity& identity;
  SessionLimits& limits;
  remote::BandwidthTerms& bandwidth;
};

// "none": no such limit. Errors say what would be right.
Status set_identity_option(const std::string& name, const std::string& text, IdentityTerms terms);
// A rate; "none" is `none`.
Result<uint64_t> parse_rate_limit(const std::string& text, uint64_t none);

}  // namespace tessera::cli
