// The limits of a running server: what `tessera limit` is answered.
#pragma once

#include <map>
#include <string>

#include "cli/session_slice.h"
#include "remote/front/front.h"

namespace tessera::cli {

class ServeLimits {
 public:
  // `limits`, of sessions that begin from now on, by identity, outlives it.
  explicit ServeLimits(std::map<std::string, SessionLimits>& limits) : limits_(limits) {}
  void of(remote::Front* front) { front_ = front; }

  // A question is a JSON object, {} or {"identity": NAME, "set": {OPTION: TEXT, ...}}; so is the answer: with
  // "ok", and all limits as they are then, or a "message". A refused change changes nothing.
  std::string answer(const std::string& question);

 private:
  Status change(const node::Json& question);
  Status change_server(const node::Json& set);
  Status change_identity(const std::string& name, const node::Json& set);
  bool is_known(const std::string& name) const;
  node::Json describe() const;
  node::Json describe_identity(const std::string& name) const;

  std::map<std::string, SessionLimits>& limits_;
  remote::Front* front_ = nullptr;
};

}  // namespace tessera::cli
