#include "remote/front/admin_connection.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

#include "remote/session/exchange.h"
#include "remote/transport/dial.h"
#include "remote/transport/socket_transport.h"

namespace tessera::remote {
namespace {

constexpr size_t kMostAnswerBytes = size_t{64} << 20;

bool would_wait(int error) { return error == EAGAIN || error == EWOULDBLOCK || error == EINTR; }

}  // namespace

Status AdminConnection::check_peer(int socket) {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
    return Status::from_errno(errno, "cannot tell who connects");
  if (peer.uid == 0 || peer.uid == geteuid()) return Status();
  return Status::error(Code::kPermissionDenied, "process %d is of user %u, not of the server's", peer.pid,
                       peer.uid);
}

// False where no question comes any more.
bool AdminConnection::read_question() {
  char bytes[4096];
  for (;;) {
    const ssize_t count = recv(socket_.get(), bytes, sizeof bytes, 0);
    if (count < 0) return would_wait(errno);
    if (count == 0) return false;
    question_.append(bytes, static_cast<size_t>(count));
    if (question_.find('\n') != std::string::npos) return true;
    if (question_.size() > kMostQuestionBytes) return false;
  }
}

// False once all of it has gone, or the other side has.
bool AdminConnection::write_answer() {
  while (written_ < answer_.size()) {
    const ssize_t count =
        send(socket_.get(), answer_.data() + written_, answer_.size() - written_, MSG_NOSIGNAL);
    if (count < 0) return would_wait(errno);
    written_ += static_cast<size_t>(count);
  }
  return false;
}

bool AdminConnection::step(const Answer& answer) {
  if (!has_answer_) {
    if (!read_question()) return false;
    const size_t end = question_.find('\n');
    if (end == std::string::npos) return true;
    answer_ = answer(question_.substr(0, end)) + "\n";
    has_answer_ = true;
  }
  return write_answer();
}

Result<std::string> ask_admin(const std::string& path, const std::string& question, uint64_t deadline_ns) {
  TESSERA_ASSIGN_OR_RETURN(UniqueFd socket, dial({Flavour::kUnix, "", 0, path}, deadline_ns));
  TESSERA_ASSIGN_OR_RETURN(auto transport, SocketTransport::create(std::move(socket), "unix"));
  TESSERA_RETURN_IF_ERROR(send_all(*transport, question + "\n", deadline_ns));
  std::string answer;
  while (answer.size() < kMostAnswerBytes && !answer.ends_with('\n')) {
    char bytes[64 << 10];
    TESSERA_ASSIGN_OR_RETURN(const size_t count,
                             transport->receive(std::as_writable_bytes(std::span(bytes))));
    answer.append(bytes, count);
    if (count > 0) continue;
    TESSERA_ASSIGN_OR_RETURN(const unsigned ready, transport->wait(Transport::kReadable, until(deadline_ns)));
    if (ready == 0) return Status(Code::kDeadlineExceeded, "the server does not answer in time");
  }
  if (!answer.ends_with('\n')) return Status(Code::kInvalidData, "the server's answer is too long");
  answer.pop_back();
  return answer;
}

}  // namespace tessera::remote
