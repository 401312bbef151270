// A connection of which nobody knows yet who made it. It costs a descriptor and some hundred bytes until its
// preamble is whole, and a TLS object only once the client's first bytes for it are there.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>

#include "common/fd.h"
#include "remote/session/admission.h"
#include "remote/transport/tls_transport.h"

namespace tessera::remote {

// What of the server a connection's fate depends on.
class Gate {
 public:
  virtual ~Gate() = default;
  // Whether a connection with that preamble may go on.
  virtual Verdict judge(const Preamble& preamble, size_t listener) = 0;
  virtual bool nobody_may_in(size_t listener) const = 0;
  virtual const Identities& identities() const = 0;
  virtual const std::shared_ptr<TlsContext>& tls() const = 0;
};

class PendingConnection {
 public:
  enum class Outcome { kWaiting, kPreambleRead, kAdmitted, kEnded };

  PendingConnection(UniqueFd socket, size_t listener, uint64_t deadline_ns)
      : socket_(std::move(socket)), listener_(listener), deadline_ns_(deadline_ns) {}

  // As far as it goes without waiting. kPreambleRead: a connection of a session that is there, to be handed
  // over with release_socket(). kAdmitted: take() it.
  Outcome step(Gate& gate);
  // What it waits for (Transport::Readiness), after kWaiting.
  unsigned wanted() const { return wanted_; }

  struct Talk {
    std::unique_ptr<Transport> transport;
    std::optional<Admission> admission;
    std::optional<Admitted> admitted;
    FrameCollector frame;
    std::string out;  // what has not been sent yet
  };
  // After kAdmitted: the transport (of shm: still its socket) and who it is.
  const Talk& talk() const { return *talk_; }
  std::unique_ptr<Talk> take() { return std::move(talk_); }
  UniqueFd release_socket() { return std::move(socket_); }
  // Says why it goes no further, as far as there is room for that; it is to be dropped then.
  void refuse(const Status& reason);
  void refuse(Verdict verdict);

  int descriptor() const { return descriptor_; }
  uint64_t deadline_ns() const { return deadline_ns_; }
  const Preamble& preamble() const { return preamble_; }
  bool holds_tls() const { return state_ == State::kTls && talk_ != nullptr; }
  const std::string& why() const { return why_; }

 private:
  enum class State : uint8_t { kPreamble, kGreeting, kTls, kChallenge, kHello };

  // Each: ok, and whether the state is done with; not ok: the connection is to be dropped.
  Result<bool> read_preamble(Gate& gate);
  Result<bool> send_greeting(Gate& gate);
  Result<bool> shake_hands(Gate& gate);
  Result<bool> send_challenge();
  Result<bool> read_hello();
  Result<bool> advance(Gate& gate);
  Status begin_talk(Gate& gate, const Bytes32& binding, std::string certificate);
  Outcome end(const Status& why);

  UniqueFd socket_;  // until there is a transport
  size_t listener_;
  uint64_t deadline_ns_;
  int descriptor_ = socket_.get();
  State state_ = State::kPreamble;
  uint8_t preamble_read_ = 0;
  unsigned wanted_ = Transport::kReadable;
  std::array<std::byte, kPreambleBytes> bytes_{};
  Preamble preamble_;
  std::unique_ptr<Talk> talk_;
  std::string why_;
};

}  // namespace tessera::remote
