// Who may use `tessera serve`, from a YAML file:
//
//   identities:
//     alice:
//       token-file: alice.token     # beside this file, or absolute; one line, readable by its owner alone
//       certificate: alice.example  # or a list: DNS names or common names of clients' certificates
//       sessions: 4                 # at once
//       rate: 2                     # new sessions a second
//       gpu: 0                      # or a list: none but these
//       mem: 2GiB                   # of each GPU, the most that a session gets
//       sm: 25                      # likewise
//       priority: normal
//       weight: 100
//       download: 1Gbit             # of the link, the most; upload likewise
//       download-guaranteed: 100Mbit  # whatever others want; upload-guaranteed likewise
//       link-weight: 100            # against others, of what is left
#pragma once

#include <map>
#include <string>

#include "cli/session_slice.h"
#include "remote/bandwidth/bandwidth_board.h"
#include "remote/session/identities.h"

namespace tessera::cli {

struct KnownIdentities {
  remote::Identities identities;
  std::map<std::string, SessionLimits> limits;              // by name; none: no limits
  std::map<std::string, remote::BandwidthTerms> bandwidth;  // likewise
};

// Adds what the file says. Errors name file and line, what is wrong there, and what would be right.
Status read_identities(const std::string& path, KnownIdentities& known);
// Adds an identity "default" that has the token in that file.
Status add_token_file(const std::string& path, KnownIdentities& known);

}  // namespace tessera::cli
