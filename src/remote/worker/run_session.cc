#include "remote/worker/run_session.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <unistd.h>

#include <array>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>

#include "common/clock.h"
#include "common/log.h"
#include "common/log_output.h"
#include "common/strings.h"
#include "remote/front/control.h"
#include "remote/link/stripes.h"
#include "remote/session/exchange.h"
#include "remote/transport/spinner.h"
#include "remote/worker/own_calls.h"
#include "remote/worker/worker.h"
#include "virtualization/driver_loader.h"

namespace tessera::remote {
namespace {

constexpr uint64_t kProofNs = 10'000'000'000;
constexpr int kSoonerEnded = 6;  // times as soon as one that has fallen silent
constexpr std::chrono::milliseconds kLookForClient(100);
constexpr std::chrono::microseconds kSpin(30);

bool has_ended(int process) {
  pollfd waiting{process, POLLIN, 0};
  return poll(&waiting, 1, 0) > 0;
}

// Connections that the client makes later, as they come.
class Returns {
 public:
  // `client`: a pidfd of its process, or -1.
  Result<std::unique_ptr<Transport>> wait(const Status& broken, std::chrono::nanoseconds keep, int client) {
    if (broken.code() != Code::kDeadlineExceeded) keep /= kSoonerEnded;
    LOG_INFO("session", "without a connection (%s): kept for %.1f s", broken.message().c_str(),
             std::chrono::duration<double>(keep).count());
    std::unique_lock lock(lock_);
    is_waited_for_ = true;
    const auto is_over = [&] { return next_ != nullptr || is_ending_; };
    const auto until = std::chrono::steady_clock::now() + keep;
    bool lives = true;
    while (!is_over() && lives && std::chrono::steady_clock::now() < until) {
      const auto look = std::chrono::steady_clock::now() + kLookForClient;
      (void)changed_.wait_until(lock, client < 0 ? until : std::min(until, look), is_over);
      lives = client < 0 || !has_ended(client);
    }
    is_waited_for_ = false;
    if (is_ending_) return Status(Code::kFailedPrecondition, "the server ends");
    if (next_ == nullptr)
      return broken.with_context(lives ? "the client has not come back" : "the client's process has ended");
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
  std::optional<cache::ContentCache> content;  // none: nothing is kept
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
  options.reconnect = [&session, &stripe](const Status& broken) {
    return stripe.returns.wait(broken, session.start.keep, session.start.client.get());
  };
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

struct Prepared {
  std::string path;
  Result<cuda::DriverTable> driver;
};
const Prepared* prepared = nullptr;

Result<cuda::DriverTable> find_driver(const std::string& path) {
  const bool is_there = prepared != nullptr && prepared->path == path && prepared->driver.ok();
  return is_there ? prepared->driver : vgpu::load_program_driver(path);
}

// Standard error will be the program's: what is logged, here and by the driver's library, goes on to where it
// went.
void keep_log() {
  const int descriptor = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
  if (descriptor < 0) return;
  log_to(descriptor);
  setenv(kLogDescriptorVariable, std::to_string(descriptor).c_str(), 1);
}

}  // namespace

void prepare_sessions(const std::string& driver) {
  prepared = new Prepared{driver, vgpu::load_program_driver(driver)};
  (void)own_serve(0);
}

int run_session(SessionStart start) {
  keep_log();
  auto driver = find_driver(start.driver);
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
    options.reconnect = [&session](const Status& broken) {
      return session.returns.wait(broken, session.start.keep, session.start.client.get());
    };
  }
  session.link = std::make_unique<Link>(std::move(session.start.transport), std::move(options));
  session.content = open_content(session.start);
  std::thread control([&session] { watch_control(session); });
  // Nor is the worker destroyed: calls of it may wait for kernels that never end, and the driver may be about
  // to call functions of the program. The process's end is theirs.
  cache::ContentCache* const content = session.content ? &*session.content : nullptr;
  auto& worker =
      *new Worker(*session.link, *driver, {session.start.tenant_key, true, content, &session.stripes});
  const Status ended = worker.run();
  session.is_over.store(true);
  for (auto& stripe : session.each) stripe.returns.end();
  session.stripes.end(ended);
  control.join();
  if (!ended.ok()) LOG_WARN("session", "ended: %s", ended.message().c_str());
  return ended.ok() ? 0 : 1;
}

}  // namespace tessera::remote
