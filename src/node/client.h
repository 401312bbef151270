// The command line tools' side of the control requests.
#pragma once

#include <string>

#include "node/json.h"
#include "node/socket.h"

namespace tessera::node {

class ControlClient {
 public:
  // kUnavailable where no daemon listens.
  static Result<ControlClient> connect(const std::string& socket_path);

  // The answer to a request; a refusal is its code and message as a Status.
  Result<Json> ask(const Json& request);
  int descriptor() const { return socket_.get(); }

 private:
  explicit ControlClient(UniqueFd socket) : socket_(std::move(socket)) {}

  UniqueFd socket_;
  uint32_t next_request_ = 1;
};

}  // namespace tessera::node
