// A whole session with a client that sends what it likes: the preamble, the handshake, frames on connections
// that break and are replaced, and messages in them. Each step is taken as a client would take it more often
// than not, so that the next one is reached.
//
// The input: eight bytes for the driver's answers, one that says how, then decisions.
#include <sys/socket.h>

#include <atomic>
#include <mutex>

#include "remote/front/pending_connection.h"
#include "remote/link/crc32c.h"
#include "remote/link/link.h"
#include "remote/worker/worker.h"
#include "tests/fuzz/remote/composer.h"
#include "tests/fuzz/remote/fed_transport.h"
#include "tests/fuzz/remote/touching_driver.h"

namespace {

using namespace tessera;  // NOLINT(google-build-using-namespace): a program of its own
using namespace tessera::remote;

constexpr size_t kMostMessages = 32;
constexpr uint64_t kMostSent = 1 << 20;
constexpr int kMostConnections = 4;

class OpenGate final : public Gate {
 public:
  Verdict judge(const Preamble& preamble, size_t) override {
    return preamble.flavour == Flavour::kTls ? Verdict::kNoTls : Verdict::kWelcome;
  }
  bool nobody_may_in(size_t) const override { return true; }
  const Identities& identities() const override { return identities_; }
  const std::shared_ptr<TlsContext>& tls() const override { return none_; }

 private:
  Identities identities_;
  std::shared_ptr<TlsContext> none_;
};

// --- The handshake

struct Handshake {
  UniqueFd client;
  std::optional<PendingConnection> server;
  PendingConnection::Outcome outcome = PendingConnection::Outcome::kWaiting;
  OpenGate gate;

  bool begin() {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0) return false;
    client.reset(ends[0]);
    server.emplace(UniqueFd(ends[1]), 0, 0);
    return true;
  }
  void say(ByteSpan bytes) {
    if (outcome != PendingConnection::Outcome::kWaiting) return;
    if (send(client.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) < 0) return;
    outcome = server->step(gate);
  }
  // What the server has answered; false where it has not.
  bool hear(std::span<std::byte> space) const {
    return recv(client.get(), space.data(), space.size(), MSG_WAITALL) == static_cast<ssize_t>(space.size());
  }
};

std::vector<std::byte> raw(fuzz::Decisions& in) {
  std::vector<std::byte> bytes(in.byte());
  in.fill(bytes);
  return bytes;
}

// A hello that the server has to believe, or one that is like it.
std::string hello_to(const Preamble& preamble, const Challenge& challenge, fuzz::Decisions& in) {
  Hello hello;
  in.fill(hello.nonce);
  hello.wishes = std::string(in.byte(), 'w');
  hello.proof = said_of_new(preamble, {}, challenge, hello).prove({}, kClientProof);
  if (in.byte() >= 240) hello.proof[in.byte() % hello.proof.size()] ^= std::byte{1};
  if (in.byte() >= 240) hello.method = Method::kToken;
  std::string frame = encode(HandshakeMessage(hello));
  if (in.byte() >= 240) frame[in.byte() % frame.size()] ^= 1;
  return frame;
}

// Whoever comes back proves a secret: the right one, or not.
void come_back(const Preamble& preamble, fuzz::Decisions& in) {
  const Secret secret{}, fresh{std::byte{1}};
  SessionSecrets secrets(secret);
  Readmission readmission(secrets, preamble, {}, {});
  Return back;
  in.fill(back.nonce);
  const Transcript said = said_of_return(preamble, {}, Challenge{0, {}}, back);
  back.proof = said.prove(secret, kClientProof);
  if (in.byte() >= 128) in.fill(back.proof);
  HandshakeMessage message(back);
  if (in.byte() >= 240) message = Confirmation{};
  if (!readmission.admit(message, fresh).ok()) return;
  Confirmation confirmation;
  confirmation.proof = said.prove(fresh, kConfirmation);
  if (in.byte() >= 128) in.fill(confirmation.proof);
  (void)readmission.confirm(HandshakeMessage(confirmation));
}

// Whether a session begins.
bool shake_hands(fuzz::Decisions& in, Preamble* preamble) {
  Handshake handshake;
  if (!handshake.begin()) return false;
  const uint8_t how = in.byte();
  preamble->kind = how < 240 ? ConnectionKind::kNew : static_cast<ConnectionKind>(how % 4);
  preamble->checksums = how % 2 != 0;
  preamble->flavour = static_cast<Flavour>(how < 224 ? 1 : how % 6);
  auto bytes = encode(*preamble);
  if (how >= 252) in.fill(bytes);
  handshake.say(bytes);
  if (handshake.outcome == PendingConnection::Outcome::kPreambleRead)
    come_back(handshake.server->preamble(), in);
  std::array<std::byte, kGreetingBytes> greeting;
  FrameCollector frame;
  if (!handshake.hear(greeting)) return false;
  while (!frame.whole()) {
    if (!handshake.hear(frame.wanted()) || !frame.filled(frame.wanted().size()).ok()) return false;
  }
  const auto challenge = frame.take();
  if (!challenge.ok() || !std::holds_alternative<Challenge>(*challenge)) return false;
  if (in.byte() >= 250) handshake.say(raw(in));
  const std::string hello = hello_to(*preamble, std::get<Challenge>(*challenge), in);
  handshake.say(std::as_bytes(std::span(hello)));
  if (handshake.outcome != PendingConnection::Outcome::kAdmitted) return false;
  (void)handshake.server->take();
  return true;
}

// --- The client's stream, over connections that break

class Client {
 public:
  Client(fuzz::Decisions& in, bool is_checked) : in_(in), composer_(in), is_checked_(is_checked) {
    composer_.hello(stream_);
  }

  // The next bytes of a connection, none where there are none yet; false once it breaks.
  bool make_more(std::vector<std::byte>& bytes) {
    if (messages_ == kMostMessages || (in_.empty() && offset_ == stream_.size())) return false;
    const uint8_t how = in_.byte();
    if (how >= 248) return false;
    if (how >= 246) return true;
    if (how >= 244) {
      const auto nonsense = raw(in_);
      fuzz::put(bytes, nonsense);
    } else if (how >= 216) {
      put_frame(bytes, static_cast<FrameType>(in_.byte() % 8),
                in_.byte() % 2 == 0 ? in_.word(8) : in_.word(2), {});
    } else {
      put_data(bytes, how);
    }
    return true;
  }
  void start(std::vector<std::byte>& bytes) {
    put_frame(bytes, FrameType::kStart, in_.byte() < 240 ? 0 : in_.word(2), {});
  }
  // Where in the stream the server goes on.
  void goes_on_at(uint64_t offset) { offset_ = std::min<uint64_t>(offset, stream_.size()); }
  void heard(ByteSpan sent) {
    composer_.learn(sent);
    sent_ += sent.size();
  }
  bool has_enough() const { return sent_ > kMostSent; }
  // On its next connection.
  size_t most_at_once() {
    const uint8_t how = in_.byte();
    return how < 160 ? SIZE_MAX : size_t{1} << how % 16;
  }
  std::mutex& lock() { return lock_; }
  int connections = 0;

 private:
  void put_data(std::vector<std::byte>& bytes, uint8_t how) {
    while (offset_ == stream_.size() && messages_ < kMostMessages) {
      composer_.next(stream_);
      ++messages_;
    }
    const size_t most = is_checked_ ? kMaxCheckedFrameBytes : kMaxFrameBytes;
    size_t count = std::min(stream_.size() - offset_, most);
    if (how % 8 == 0) count = std::min<size_t>(count, in_.byte());
    put_frame(bytes, FrameType::kData, how >= 212 ? in_.word(2) : offset_,
              ByteSpan(stream_).subspan(offset_, count));
    offset_ += count;
  }

  void put_frame(std::vector<std::byte>& bytes, FrameType type, uint64_t value, ByteSpan payload) {
    const uint8_t how = in_.byte();
    LinkFrame frame = fuzz::frame_of(type, value, payload);
    if (how >= 252) frame.length = static_cast<uint32_t>(in_.word(4));
    frame.say_when_received = how % 4 == 0 ? 1 : 0;
    if (is_checked_) {
      frame.checksum = crc32c(crc32c(0, std::as_bytes(std::span(&frame, 1))), payload);
      if (how == 251) ++frame.checksum;
    }
    fuzz::put_frame(bytes, frame, payload);
  }

  fuzz::Decisions& in_;
  fuzz::Composer composer_;
  const bool is_checked_;
  std::mutex lock_;
  std::vector<std::byte> stream_;
  uint64_t offset_ = 0, sent_ = 0;
  size_t messages_ = 0;
};

class Connection final : public fuzz::FedTransport {
 public:
  explicit Connection(Client& client) : client_(client) {
    std::lock_guard lock(client_.lock());
    ++client_.connections;
    client_.start(bytes_);
    most_at_once_ = client_.most_at_once();
  }
  // What goes is taken a little at a time, or not at all for a moment, where bytes come like that.
  Result<size_t> send(std::span<const iovec> pieces) override {
    if (most_at_once_ == SIZE_MAX || ++sends_ % 4 == 0) return fuzz::FedTransport::send(pieces);
    if (sends_ % 4 == 1 || pieces.empty()) return size_t{0};
    const iovec some{pieces[0].iov_base, std::min(pieces[0].iov_len, sizeof(LinkFrame) + most_at_once_)};
    return fuzz::FedTransport::send(std::span(&some, 1));
  }

 private:
  bool make_more(std::vector<std::byte>& bytes) override {
    std::lock_guard lock(client_.lock());
    return client_.make_more(bytes);
  }
  size_t most_at_once() override { return most_at_once_; }
  bool heard(ByteSpan sent) override {
    std::lock_guard lock(client_.lock());
    // The server's first frame says what it has of ours.
    if (!has_heard_) client_.goes_on_at(read_at<uint64_t>(sent, offsetof(LinkFrame, value)).value_or(0));
    has_heard_ = true;
    client_.heard(sent);
    return !client_.has_enough();
  }

  Client& client_;
  size_t most_at_once_ = SIZE_MAX;
  std::atomic<unsigned> sends_{0};
  bool has_heard_ = false;
};

void serve(fuzz::Decisions& in, const Preamble& preamble, bool is_resumable) {
  Client client(in, preamble.checksums);
  LinkOptions options;
  options.checked = preamble.checksums;
  options.window_bytes = 256 << 10;
  // A connection is too silent at once, or soon.
  if (const uint8_t how = in.byte(); how >= 224)
    options.silence_limit = std::chrono::nanoseconds(1 << how % 20);
  if (is_resumable) {
    options.reconnect = [&client](const Status& broken) -> Result<std::unique_ptr<Transport>> {
      if (client.connections >= kMostConnections || client.has_enough()) return broken;
      return std::unique_ptr<Transport>(std::make_unique<Connection>(client));
    };
  }
  {
    Link link(std::make_unique<Connection>(client), std::move(options));
    Worker worker(link, fuzz::touching_driver());
    (void)worker.run();
    fuzz::join_host_functions();
  }
  fuzz::free_managed();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fuzz::Decisions in({data, size});
  fuzz::seed_driver(in.word(8));
  const uint8_t how = in.byte();
  Preamble preamble;
  if (shake_hands(in, &preamble)) serve(in, preamble, how % 2 == 0);
  return 0;
}
