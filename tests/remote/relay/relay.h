// A relay between clients and a server that behaves like a network: slow, narrow or broken, as it is told.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "common/fd.h"
#include "remote/transport/address.h"
#include "tests/remote/relay/relayed_direction.h"

namespace tessera::remote {

class Relay {
 public:
  // Listens on `at` (TCP; port 0: any) and passes on to `to`.
  static Result<std::unique_ptr<Relay>> create(const Address& at, const Address& to,
                                               const Conditions& conditions, uint64_t seed);

  uint16_t port() const { return port_; }
  // Waits for `limit_ns` at most, and for `also` to be readable (-1: for nothing else); does what there is to
  // do.
  Status step(uint64_t limit_ns, int also = -1);

  // From now on; connections that are there keep their plan of faults.
  Conditions& conditions() { return conditions_; }
  // Ends all connections, as a cable that is cut: by a reset, or as if both ends had closed.
  void cut(bool reset);
  // Connections that come are ended at once.
  void refuse(bool refused) { refused_ = refused; }
  // Nothing goes either way, and nobody is told.
  void hold(bool held) { held_ = held; }
  size_t connections() const { return connections_.size(); }
  uint64_t connections_ever() const { return next_; }
  // That have come from clients, and from the server, on all connections ever.
  uint64_t bytes_up() const { return bytes_up_; }
  uint64_t bytes_down() const { return bytes_down_; }

 private:
  struct Connection {
    UniqueFd client, server;
    RelayedDirection up, down;
  };

  Relay(UniqueFd listening, Address to, const Conditions& conditions, uint64_t seed)
      : listening_(std::move(listening)), to_(std::move(to)), conditions_(conditions), seed_(seed) {}

  void accept_all();
  // False once it has ended.
  bool serve(Connection& connection, uint64_t now_ns);
  bool pass(Connection& connection, uint64_t now_ns);
  static void end(Connection& connection, bool reset);

  UniqueFd listening_;
  const Address to_;
  Conditions conditions_;
  const uint64_t seed_;
  uint16_t port_ = 0;
  bool refused_ = false, held_ = false;
  uint64_t next_ = 0, bytes_up_ = 0, bytes_down_ = 0;
  std::map<uint64_t, Connection> connections_;
};

}  // namespace tessera::remote
