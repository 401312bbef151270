#include "remote/worker/run_session.h"

#include <poll.h>
#include <pthread.h>

#include <array>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>

#include "common/clock.h"
#include "common/log.h"
#include "common/strings.h"
#include "remote/front/control.h"
#include "remote/link/stripes.h"
#include "remote/session/exchange.h"
#include "remote/transport/spinner.h"
#include "remote/worker/worker.h"
#include "virtualization/driver_loader.h"

namespace tessera::remote {
namespace {

constexpr uint64_t kProofNs = 10'000'000'000;
// How long a session without a connection is kept for its client.
constexpr std::chrono::seconds kParked(60);
constexpr std::chrono::microseconds kSpin(30);

// Connections that the client makes later, as they come.
class Returns {
 public:
  Result<std::unique_ptr<Transport>> wait(const Status& broken) {
    LOG_INFO("session", "without a connection (%s): kept for %lld s", broken.message().c_str(),
             static_cast<long long>(kParked.count()));
    std::unique_lock lock(lock_);
    is_waited_for_ = true;
    const bool came = changed_.wait_for(lock, kParked, [&] { return next_ != nullptr || is_ending_; });
    is_waited_for_ = false;
    if (is_ending_) return Status(Code::kFailedPrecondition, "the server ends");
    if (!came) return broken.with_context("the client has not come back");
    return std::move(next_);
  }
  // Whether the one before is known to be broken.
  bool put(std::unique_ptr<Transport> transport) {
    bool is_waited_for = false;
    {
      std::lock_guard lock(lock_);
      next_ = std::move(transport);
      is_waited_for = is_waited_for_;
    }
    changed_.notify_all();
    return is_waited_for;
  }
  void end() {
    {
      std::lock_guard lock(lock_);
      is_ending_ = true;
    }
    changed_.notify_all();
  }

 private:
  std::mutex lock_;
  std::condition_variable changed_;
  std::unique_ptr<Transport> next_;
  bool is_ending_ = false;
  bool is_waited_for_ = false;
};

struct Session {
  SessionStart start;
  Returns returns;
  std::unique_ptr<Link> link;
  Stripes stripes;
  std::mutex stripes_lock;
  struct Stripe {
    Returns returns;
    Link* link = nullptr;  // of `stripes`
  };
  std::array<Stripe, Stripes::kMost> each;  // by their numbers; links of them under stripes_lock
  std::atomic<bool> is_over{false};
};

// A further connection for large payloads, or one that has broken anew: its first bytes say which.
Status take_stripe(Session& session, std::unique_ptr<Transport> transport) {
  uint64_t index = 0;
  TESSERA_RETURN_IF_ERROR(
      receive_exactly(*transport, std::as_writable_bytes(std::span(&index, 1)), monotonic_ns() + kProofNs));
  std::lock_guard lock(session.stripes_lock);
  if (index > session.stripes.count() || index >= Stripes::kMost)
    return Status(Code::kInvalidData, "a connection with a number that does not follow the others");
  Session::Stripe& stripe = session.each[index];
  if (stripe.link != nullptr) {
    if (!stripe.returns.put(std::move(transport))) stripe.link->break_connection();
    return Status();
  }
  LinkOptions options;
  options.checked = session.start.checksums;
  options.reconnect = [&stripe](const Status& broken) { return stripe.returns.wait(broken); };
  auto link = std::make_unique<Link>(std::move(transport), std::move(options));
  Link* const made = link.get();
  TESSERA_RETURN_IF_ERROR(session.stripes.add(std::move(link)));
  stripe.link = made;
  return Status();
}

// False where the session is to end.
bool look_at_control(Session& session) {
  auto event = receive_control(session.start.control.get());
  if (!event.ok() || event->kind == ControlEvent::Kind::kGone || event->kind == ControlEvent::Kind::kEnd)
    return false;
  if (event->kind != ControlEvent::Kind::kConnection) return true;
  // Whoever connects may be slow on purpose.
  std::thread([&session, connection = std::move(event->connection)]() mutable {
    auto returned = accept_connection(session.start, std::move(connection), monotonic_ns() + kProofNs);
    if (!returned.ok()) {
      LOG_INFO("session", "a connection was refused: %s", returned.status().message().c_str());
    } else if (returned->kind == ConnectionKind::kResume) {
      if (!session.returns.put(std::move(returned->transport))) session.link->break_connection();
    } else if (returned->kind == ConnectionKind::kStripe) {
      const Status taken = take_stripe(session, std::move(returned->transport));
      if (!taken.ok()) LOG_INFO("session", "a connection was refused: %s", taken.message().c_str());
    }
  }).detach();
  return true;
}

void watch_control(Session& session) {
  while (!session.is_over.load()) {
    pollfd waiting{session.start.control.get(), POLLIN, 0};
    if (poll(&waiting, 1, 200) <= 0) continue;
    if (look_at_control(session)) continue;
    session.returns.end();
    for (auto& stripe : session.each) stripe.returns.end();
    session.link->end();
    session.stripes.end(Status(Code::kUnavailable, "the server ends"));
    return;
  }
}

// What the session's identity has sent before, where it is kept.
std::optional<cache::ContentCache> open_content(const SessionStart& start) {
  if (start.content.directory.empty()) return std::nullopt;
  auto cache = cache::ContentCache::open(start.content);
  if (cache.ok()) return std::move(*cache);
  LOG_WARN("session", "nothing is kept of what comes: %s", cache.status().message().c_str());
  return std::nullopt;
}

}  // namespace

int run_session(SessionStart start) {
  auto driver = vgpu::load_program_driver(start.driver);
  if (!driver.ok()) {
    LOG_ERROR("session", "%s", driver.status().message().c_str());
    return 1;
  }
  // Lives as long as the process: threads may still hold it when it ends.
  auto& session = *new Session;
  session.start = std::move(start);
  LinkOptions options;
  options.checked = session.start.checksums;
  if (may_spin()) options.spin = kSpin;
  if (std::string_view(session.start.transport->kind()) != "shm") {
    options.reconnect = [&session](const Status& broken) { return session.returns.wait(broken); };
  }
  session.link = std::make_unique<Link>(std::move(session.start.transport), std::move(options));
  auto content = open_content(session.start);
  std::thread control([&session] { watch_control(session); });
  Status ended;
  {
    Worker worker(*session.link, *driver, content ? &*content : nullptr, &session.stripes);
    ended = worker.run();
  }
  session.is_over.store(true);
  for (auto& stripe : session.each) stripe.returns.end();
  session.stripes.end(ended);
  control.join();
  if (!ended.ok()) LOG_WARN("session", "ended: %s", ended.message().c_str());
  return ended.ok() ? 0 : 1;
}

}  // namespace tessera::remote
