// Who may use a server, and how much of it.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/status.h"

namespace tessera::remote {

struct Identity {
  std::string name;
  std::string token;                      // empty: it has none
  std::vector<std::string> certificates;  // names in clients' certificates that mean it
  uint32_t sessions = 0;                  // at once; 0: as many as the server takes
  double connections_per_second = 0;      // new sessions; 0: no limit
  std::vector<std::pair<std::string, std::string>>
      slice;  // the most that a session of it gets: "mem", "sm", …
};

class Identities {
 public:
  static constexpr size_t kMost = 10'000;
  static constexpr size_t kLeastTokenBytes = 16;
  static constexpr const char* kNobody = "local";  // who needs no name, on this machine

  // kInvalidArgument: the name is taken or empty, or the token too short to be one.
  Status add(Identity identity);
  bool empty() const { return all_.empty(); }
  bool any_token() const;
  bool any_certificate() const;

  // By its name; an empty one means the only identity that has a token. Null where there is none.
  const Identity* with_token(std::string_view name) const;
  const Identity* with_certificate(std::string_view certificate) const;
  const Identity* find(std::string_view name) const;
  Identity* find(std::string_view name);
  const std::deque<Identity>& all() const { return all_; }

  // Overwrites every token: a session's process needs none, and must not have the others'.
  void forget_tokens();

 private:
  std::deque<Identity> all_;  // stay where they are
};

}  // namespace tessera::remote
