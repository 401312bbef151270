#include "remote/front/pending_connection.h"

#include <sys/socket.h>

#include <cerrno>

#include "remote/transport/socket_transport.h"

namespace tessera::remote {
namespace {

Status sent_nonsense() { return {Code::kInvalidData, "it speaks another protocol"}; }

// Sends from the beginning of `out` what there is room for: whether all of it has gone.
Result<bool> flush(Transport& transport, std::string& out) {
  while (!out.empty()) {
    const iovec piece{out.data(), out.size()};
    TESSERA_ASSIGN_OR_RETURN(const size_t taken, transport.send(std::span(&piece, 1)));
    if (taken == 0) return false;
    out.erase(0, taken);
  }
  return true;
}

bool send_greeting_on(int socket, Verdict verdict) {
  const auto bytes = encode(Greeting{kWireVersion, verdict});
  // A socket that has sent nothing has room for eight bytes.
  return send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT) ==
         static_cast<ssize_t>(bytes.size());
}

}  // namespace

PendingConnection::Outcome PendingConnection::end(const Status& why) {
  why_ = why.message();
  return Outcome::kEnded;
}

PendingConnection::Outcome PendingConnection::step(Gate& gate) {
  for (;;) {
    const auto done = advance(gate);
    if (!done.ok()) return end(done.status());
    if (!*done) return Outcome::kWaiting;
    if (state_ == State::kGreeting && preamble_.kind != ConnectionKind::kNew) return Outcome::kPreambleRead;
    if (talk_ && talk_->admitted) return Outcome::kAdmitted;
  }
}

Result<bool> PendingConnection::advance(Gate& gate) {
  switch (state_) {
    case State::kPreamble:
      return read_preamble(gate);
    case State::kGreeting:
      return send_greeting(gate);
    case State::kTls:
      return shake_hands(gate);
    case State::kChallenge:
      return send_challenge();
    case State::kHello:
      return read_hello();
  }
  return sent_nonsense();
}

// Not a byte more: what follows may be for the session's process.
Result<bool> PendingConnection::read_preamble(Gate& gate) {
  while (preamble_read_ < kPreambleBytes) {
    const ssize_t count =
        recv(descriptor_, bytes_.data() + preamble_read_, kPreambleBytes - preamble_read_, MSG_DONTWAIT);
    if (count == 0) return ended_connection();
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return false;
    if (count < 0) return broken_connection(errno);
    preamble_read_ = static_cast<uint8_t>(preamble_read_ + count);
  }
  TESSERA_ASSIGN_OR_RETURN(preamble_, decode_preamble(bytes_));
  const Verdict verdict =
      preamble_.version == kWireVersion ? gate.judge(preamble_, listener_) : Verdict::kOtherVersion;
  if (verdict != Verdict::kWelcome) {
    refuse(verdict);
    return status_of({kWireVersion, verdict});
  }
  state_ = State::kGreeting;
  return true;
}

Result<bool> PendingConnection::send_greeting(Gate& gate) {
  if (!send_greeting_on(descriptor_, Verdict::kWelcome)) return broken_connection(EPIPE);
  if (preamble_.flavour == Flavour::kTls) {
    state_ = State::kTls;
    return true;
  }
  TESSERA_RETURN_IF_ERROR(begin_talk(gate, {}, ""));
  return true;
}

Result<bool> PendingConnection::shake_hands(Gate& gate) {
  if (!talk_) {
    char byte;
    const ssize_t count = recv(descriptor_, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    if (count == 0) return ended_connection();
    if (count < 0) return false;
    TESSERA_ASSIGN_OR_RETURN(auto made, TlsTransport::create(std::move(socket_), gate.tls(), ""));
    talk_ = std::make_unique<Talk>();
    talk_->transport = std::move(made);
  }
  auto& tls = static_cast<TlsTransport&>(*talk_->transport);
  TESSERA_ASSIGN_OR_RETURN(const unsigned wanted, tls.handshake());
  wanted_ = wanted != 0 ? wanted : wanted_;
  if (wanted != 0) return false;
  TESSERA_ASSIGN_OR_RETURN(const Bytes32 binding, tls.channel_binding());
  TESSERA_RETURN_IF_ERROR(begin_talk(gate, binding, tls.peer_name()));
  return true;
}

Status PendingConnection::begin_talk(Gate& gate, const Bytes32& binding, std::string certificate) {
  if (!talk_) {
    TESSERA_ASSIGN_OR_RETURN(
        auto plain,
        SocketTransport::create(std::move(socket_), is_local(preamble_.flavour) ? "unix" : "tcp"));
    talk_ = std::make_unique<Talk>();
    talk_->transport = std::move(plain);
  }
  Circumstances circumstances;
  circumstances.preamble = preamble_;
  circumstances.binding = binding;
  circumstances.certificate = std::move(certificate);
  circumstances.asks_for_certificates =
      preamble_.flavour == Flavour::kTls && gate.tls()->asks_for_certificates();
  circumstances.nobody_may_in = gate.nobody_may_in(listener_);
  Nonce nonce;
  TESSERA_RETURN_IF_ERROR(fill_random(nonce));
  talk_->admission.emplace(gate.identities(), std::move(circumstances), nonce);
  talk_->out = talk_->admission->challenge();
  state_ = State::kChallenge;
  return Status();
}

Result<bool> PendingConnection::send_challenge() {
  TESSERA_ASSIGN_OR_RETURN(const bool gone, flush(*talk_->transport, talk_->out));
  wanted_ = gone ? Transport::kReadable : Transport::kWritable;
  if (gone) state_ = State::kHello;
  return gone;
}

Result<bool> PendingConnection::read_hello() {
  FrameCollector& frame = talk_->frame;
  while (!frame.whole()) {
    TESSERA_ASSIGN_OR_RETURN(const size_t count, talk_->transport->receive(frame.wanted()));
    if (count == 0) return false;
    const Status filled = frame.filled(count);
    if (!filled.ok()) refuse(filled);
    TESSERA_RETURN_IF_ERROR(filled);
  }
  auto message = frame.take();
  auto admitted = message.ok() ? talk_->admission->admit(*message) : Result<Admitted>(message.status());
  if (!admitted.ok()) refuse(admitted.status());
  if (!admitted.ok()) return admitted.status();
  talk_->admitted = std::move(*admitted);
  return true;
}

void PendingConnection::refuse(const Status& reason) {
  if (!talk_ || !talk_->transport) return;
  std::string frame = encode(HandshakeMessage(Refusal{reason.code(), reason.message()}));
  (void)flush(*talk_->transport, frame);
}

void PendingConnection::refuse(Verdict verdict) { (void)send_greeting_on(descriptor_, verdict); }

}  // namespace tessera::remote
