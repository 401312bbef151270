// One daemon per socket: a lock on "<socket>.pid", held as long as the daemon lives and released by the
// kernel with it.
#pragma once

#include <string>

#include "common/fd.h"
#include "common/status.h"

namespace tessera::node {

class InstanceLock {
 public:
  // kAlreadyExists if another daemon holds it; the message names its pid.
  static Result<InstanceLock> take(const std::string& socket_path);
  InstanceLock(InstanceLock&&) = default;
  InstanceLock& operator=(InstanceLock&&) = default;

  // Again after the daemon's fork: the lock goes along, the pid changes.
  Status write_pid();

 private:
  explicit InstanceLock(UniqueFd file) : file_(std::move(file)) {}

  UniqueFd file_;
};

}  // namespace tessera::node
