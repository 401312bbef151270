// Every kind of message that a client sends: whether the server's own code takes it where it is whole, and
// refuses it where it is not.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/bytes.h"
#include "cuda/driver_table.h"
#include "remote/transport/address.h"

namespace tessera::remote {

struct MessageKind {
  uint16_t op = 0;
  std::string name;
  // Of a message that is whole: as it is where every field is empty. Without one it names things that have to
  // be there, as launches do a function.
  bool has_body = false;
  std::vector<std::byte> body;
  bool refuses_shorter = false, refuses_longer = false;
};

// Found by asking the functions that serve them, in a process of its own and with a driver that has not been
// started: it refuses every call, and nothing happens. Empty where that process fails.
std::vector<MessageKind> find_message_kinds(const std::string& driver);

// Over a connection: how many of them were answered in one session, in order, and, a session each, how many
// of every `step`th were refused once cut short. Names of those that were not are added to `failures`.
struct WireCheck {
  size_t answered = 0, cut = 0, refused = 0;
};
// `ca`: of TLS.
Result<WireCheck> check_over_wire(const Address& address, const std::string& ca,
                                  const std::vector<MessageKind>& kinds, size_t step,
                                  std::vector<std::string>& failures);

}  // namespace tessera::remote
