#include "remote/front/testing/echo_session.h"

#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <string>

#include "common/clock.h"
#include "remote/front/control.h"
#include "remote/session/exchange.h"

namespace tessera::remote {
namespace {

constexpr uint64_t kPatienceNs = 10'000'000'000;

class EchoSession {
 public:
  explicit EchoSession(SessionStart start) : start_(std::move(start)) {}

  int run() {
    while (!ended_) {
      look_at_control();
      if (start_.transport) {
        if (!serve()) start_.transport.reset();
      } else if (!stays_) {
        return 0;
      } else {
        usleep(1000);
      }
    }
    return 0;
  }

 private:
  // False once the connection has ended.
  bool serve() {
    std::array<std::byte, 65536> space;
    const auto count = start_.transport->receive(space);
    if (!count.ok()) return false;
    if (*count == 0) {
      // Longer each time: a thousand of these fit on a processor.
      idle_ = std::min(idle_ + 1, 6);
      return start_.transport->wait(Transport::kReadable, std::chrono::milliseconds(5 << idle_)).ok();
    }
    idle_ = 0;
    const std::string text(reinterpret_cast<const char*>(space.data()), *count);
    const bool is_question = *count == 1 && text[0] >= kAskPid && text[0] <= kEndNow;
    return send_all(*start_.transport, is_question ? answer(text[0]) : text, monotonic_ns() + kPatienceNs)
        .ok();
  }

  std::string answer(char question) {
    std::string text = "done";
    if (question == kAskPid) text = std::to_string(getpid());
    if (question == kAskIdentity) text = start_.identity.name;
    if (question == kAskWishes) text = start_.wishes;
    if (question == kAskTokens) text = std::to_string(start_.identity.token.size());
    stays_ = stays_ || question == kStayWithoutConnection;
    deaf_ = deaf_ || question == kIgnoreTheFront;
    ended_ = question == kEndNow;
    text.resize(32);
    return text;
  }

  void look_at_control() {
    if (deaf_) return;
    auto event = receive_control(start_.control.get());
    if (!event.ok() || event->kind == ControlEvent::Kind::kGone || event->kind == ControlEvent::Kind::kEnd) {
      ended_ = true;
    } else if (event->kind == ControlEvent::Kind::kConnection) {
      auto returned = accept_connection(start_, std::move(event->connection), monotonic_ns() + kPatienceNs);
      if (!returned.ok()) return;
      if (returned->kind == ConnectionKind::kResume) {
        start_.transport = std::move(returned->transport);
      } else {
        stripe_ = std::move(returned->transport);
      }
    }
  }

  SessionStart start_;
  std::unique_ptr<Transport> stripe_;
  int idle_ = 0;
  bool stays_ = false, deaf_ = false, ended_ = false;
};

}  // namespace

int run_echo_session(SessionStart start) { return EchoSession(std::move(start)).run(); }

int signalfd_for(const sigset_t& signals) { return signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK); }

}  // namespace tessera::remote
