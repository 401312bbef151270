// Looks at a slice without a lease: asks one thing at a time and waits for the answer. No thread.
#pragma once

#include <string>
#include <vector>

#include "virtualization/lease/connection.h"

namespace tessera::vgpu {

class Observer {
 public:
  static Result<Observer> open(const std::string& socket_path, const SliceToken& token);

  const AttachedReply& slice() const { return slice_; }
  Result<UsageReply> usage(uint32_t device);
  Result<std::vector<int32_t>> processes();

  int descriptor() const { return connection_.descriptor(); }

 private:
  Observer(Connection connection, const AttachedReply& slice)
      : connection_(std::move(connection)), slice_(slice) {}
  Result<Packet> ask(MessageType type, ByteSpan payload);

  Connection connection_;
  AttachedReply slice_;
  uint32_t next_request_ = 2;
};

}  // namespace tessera::vgpu
