#include "remote/program/message_kinds.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <optional>

#include "common/clock.h"
#include "common/fd.h"
#include "common/log.h"
#include "common/strings.h"
#include "remote/link/link.h"
#include "remote/session/client.h"
#include "remote/transport/socket_transport.h"
#include "remote/worker/worker.h"
#include "virtualization/driver_loader.h"

namespace tessera::remote {
namespace {

constexpr size_t kMostFields = 64;
constexpr uint64_t kPatienceNs = 20'000'000'000;

// What the server's functions say to bodies, without a client.
class Probe {
 public:
  static Result<std::unique_ptr<Probe>> create(const std::string& driver) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0)
      return Status::from_errno(errno, "cannot make a pair of sockets");
    close(ends[0]);  // no payload ever comes
    TESSERA_ASSIGN_OR_RETURN(auto transport, SocketTransport::create(UniqueFd(ends[1]), "unix"));
    TESSERA_ASSIGN_OR_RETURN(const cuda::DriverTable table, vgpu::load_driver(driver));
    return std::unique_ptr<Probe>(new Probe(table, std::move(transport)));
  }

  bool takes(uint16_t op, ByteSpan body) {
    Serving serving(worker_, driver_, worker_.handles());
    ClientThread thread;
    serving.body = body;
    serving.in.begin(body);
    serving.op = op;
    serving.thread = &thread;
    (void)serve_of(op)(serving);
    return !serving.is_malformed;
  }
  static Serve serve_of(uint16_t op) {
    const Serve own = own_serve(op);
    return own != nullptr || op >= kCalls ? own : kServes[op];
  }
  // The shortest, of fields that are all 0 or all absent.
  std::optional<std::vector<std::byte>> whole_body(uint16_t op) {
    for (size_t fields = 0; fields <= kMostFields; ++fields) {
      for (const std::byte fill : {std::byte{0xff}, std::byte{0}}) {
        std::vector<std::byte> body(fields * 8, fill);
        if (takes(op, body)) return body;
      }
    }
    return std::nullopt;
  }

 private:
  Probe(const cuda::DriverTable& driver, std::unique_ptr<Transport> transport)
      : driver_(driver), link_(std::move(transport), {}), worker_(link_, driver_) {}

  const cuda::DriverTable driver_;
  Link link_;
  Worker worker_;
};

std::string name_of(uint16_t op) {
  return op < kCalls ? kCallNames[op] : str_format("message %u of our own", op - kFirstOwnMessage);
}

// Those that are served: the calls, and our own messages up to the last.
std::vector<uint16_t> all_kinds() {
  std::vector<uint16_t> all;
  for (uint32_t op = 0; op < kFirstOwnMessage + 64; ++op) {
    if (op == kCalls) op = kFirstOwnMessage;
    if (Probe::serve_of(static_cast<uint16_t>(op)) != nullptr) all.push_back(static_cast<uint16_t>(op));
  }
  return all;
}

// What the probing process says of each kind.
struct Found {
  uint32_t bytes = 0;
  uint8_t has_body = 0, fill = 0, refuses_shorter = 0, refuses_longer = 0;
};

Found look_at(Probe& probe, uint16_t op) {
  Found found;
  const auto body = probe.whole_body(op);
  if (!body) return found;
  found.has_body = 1;
  found.bytes = static_cast<uint32_t>(body->size());
  found.fill = body->empty() ? 0 : static_cast<uint8_t>(body->front());
  std::vector<std::byte> longer = *body;
  longer.resize(body->size() + 8, std::byte{found.fill});
  // Of another build's hello nothing is looked at but that it is one.
  const bool is_hello = op == static_cast<uint16_t>(Message::kHello);
  found.refuses_longer = is_hello || !probe.takes(op, longer);
  found.refuses_shorter = body->empty() || !probe.takes(op, ByteSpan(*body).first(body->size() - 8));
  return found;
}

[[noreturn]] void probe_all(const std::string& driver, int report) {
  auto probe = Probe::create(driver);
  const UniqueFd nowhere(open("/dev/null", O_WRONLY | O_CLOEXEC));
  if (probe.ok())
    (void)dup2(nowhere.get(), STDERR_FILENO);  // the software GPU tells of each call that it lacks
  if (!probe.ok()) {
    LOG_ERROR("protocol", "%s", probe.status().message().c_str());
    _exit(1);
  }
  for (const uint16_t op : all_kinds()) {
    const Found found = look_at(**probe, op);
    if (write(report, &found, sizeof found) != static_cast<ssize_t>(sizeof found)) _exit(1);
  }
  _exit(0);
}

Result<std::unique_ptr<Link>> open_link(const Address& address, const std::string& ca) {
  Credentials credentials;
  credentials.ca = ca;
  TESSERA_ASSIGN_OR_RETURN(Opened opened,
                           open_session(address, credentials, "{}", monotonic_ns() + kPatienceNs));
  return std::make_unique<Link>(std::move(opened.transport), LinkOptions());
}

Status send(Link& link, uint16_t op, ByteSpan body) {
  const MessageHeader header{static_cast<uint32_t>(sizeof header + body.size()), op, kAnswerWanted};
  Link::Sender sender(link);
  sender.append(std::as_bytes(std::span(&header, 1)));
  sender.append(body);
  return sender.flush();
}

// What the driver has printed follows.
Status skip_output(Link& link, ByteSpan fields) {
  const auto bytes = read_at<uint64_t>(fields, 0);
  if (!bytes || *bytes > kMaxMessageBytes) return Status(Code::kInvalidData, "output of no length");
  std::vector<std::byte> text(padded(*bytes));
  return link.read(text);
}

// Answers, past whatever else the server says.
Status read_answer(Link& link) {
  for (;;) {
    MessageHeader header;
    TESSERA_RETURN_IF_ERROR(link.read(std::as_writable_bytes(std::span(&header, 1))));
    if (header.bytes < sizeof header || header.bytes > kMaxMessageBytes)
      return Status(Code::kInvalidData, "an answer of no length");
    std::vector<std::byte> body(header.bytes - sizeof header);
    TESSERA_RETURN_IF_ERROR(link.read(body));
    if (header.op == static_cast<uint16_t>(Message::kOutput))
      TESSERA_RETURN_IF_ERROR(skip_output(link, body));
    if (header.op != static_cast<uint16_t>(Message::kAnswer)) continue;
    return body.size() >= sizeof(AnswerHead) ? Status()
                                             : Status(Code::kInvalidData, "an answer without a result");
  }
}

}  // namespace

std::vector<MessageKind> find_message_kinds(const std::string& driver) {
  int ends[2];
  if (pipe(ends) != 0) return {};
  const UniqueFd from(ends[0]);
  UniqueFd to(ends[1]);
  const pid_t child = fork();
  if (child == 0) probe_all(driver, to.get());
  to.reset();
  std::vector<MessageKind> kinds;
  for (const uint16_t op : all_kinds()) {
    Found found;
    if (child < 0 || read(from.get(), &found, sizeof found) != static_cast<ssize_t>(sizeof found)) break;
    MessageKind kind{
        op, name_of(op), found.has_body != 0, {}, found.refuses_shorter != 0, found.refuses_longer != 0};
    kind.body.resize(found.bytes, std::byte{found.fill});
    kinds.push_back(std::move(kind));
  }
  int status = 0;
  const bool is_whole = child > 0 && waitpid(child, &status, 0) == child && status == 0;
  return is_whole ? kinds : std::vector<MessageKind>();
}

Result<WireCheck> check_over_wire(const Address& address, const std::string& ca,
                                  const std::vector<MessageKind>& kinds, size_t step,
                                  std::vector<std::string>& failures) {
  WireCheck check;
  TESSERA_ASSIGN_OR_RETURN(const std::unique_ptr<Link> link, open_link(address, ca));
  for (const MessageKind& kind : kinds) {
    if (!kind.has_body) continue;
    Status status = send(*link, kind.op, kind.body);
    if (status.ok()) status = read_answer(*link);
    if (!status.ok()) return status.with_context(kind.name);
    ++check.answered;
  }
  size_t number = 0;
  for (const MessageKind& kind : kinds) {
    if (!kind.has_body || kind.body.empty() || number++ % step != 0) continue;
    TESSERA_ASSIGN_OR_RETURN(const std::unique_ptr<Link> other, open_link(address, ca));
    ++check.cut;
    Status status = send(*other, kind.op, ByteSpan(kind.body).first(kind.body.size() - 8));
    if (status.ok()) status = read_answer(*other);
    if (status.ok()) {
      failures.push_back(kind.name + ", cut short, is answered over the wire");
    } else {
      ++check.refused;
    }
  }
  return check;
}

}  // namespace tessera::remote
