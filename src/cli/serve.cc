// tessera serve: lets programs of other machines use this node's GPUs. Each session is a program in a slice
// of its own, as `tessera run` would have it.
#include <signal.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>

#include "cli/commands.h"
#include "cli/daemon_start.h"
#include "cli/identity_file.h"
#include "cli/installation.h"
#include "cli/serve_limits.h"
#include "common/clock.h"
#include "common/fd.h"
#include "common/strings.h"
#include "node/runtime_path.h"
#include "remote/front/front.h"
#include "remote/transport/dial.h"
#include "remote/worker/run_session.h"
#include "virtualization/driver_loader.h"
#include "virtualization/driver_locator.h"

namespace tessera::cli {
namespace {

using node::ControlClient;
using node::Json;
using remote::Front;
using remote::SessionStart;

std::string id_text(const remote::SessionId& id) {
  std::string text;
  for (const std::byte byte : id) text += str_format("%02x", static_cast<unsigned>(byte));
  return text;
}

// What happens, to standard output: a line for people, or an object.
class Reporter {
 public:
  explicit Reporter(bool json) : json_(json) {}

  void listening(const std::vector<remote::Address>& addresses) const {
    Json event{{"event", "listening"}};
    std::string text;
    for (const remote::Address& address : addresses) {
      event["addresses"].push_back(remote::to_text(address));
      text += (text.empty() ? "" : ", ") + remote::to_text(address);
    }
    say(event, "listening on " + text);
  }
  void started(const SessionStart& start, pid_t pid) const {
    say({{"event", "session_started"},
         {"session", id_text(start.id)},
         {"identity", start.identity.name},
         {"peer", start.peer},
         {"pid", pid}},
        str_format("session %d of %s from %s", pid, start.identity.name.c_str(), start.peer.c_str()));
  }
  void ended(const remote::SessionEnd& end) const {
    const bool killed = WIFSIGNALED(end.wait_status);
    const int code = killed ? 128 + WTERMSIG(end.wait_status) : WEXITSTATUS(end.wait_status);
    say({{"event", "session_ended"},
         {"session", id_text(end.id)},
         {"identity", end.identity},
         {"pid", end.pid},
         {"exit_code", code},
         {"signal", killed ? WTERMSIG(end.wait_status) : 0},
         {"seconds", end.seconds}},
        str_format("session %d of %s has ended after %.1f s, exit code %d", end.pid, end.identity.c_str(),
                   end.seconds, code));
  }

 private:
  void say(const Json& event, const std::string& text) const {
    puts(json_ ? node::json_text(event).c_str() : ("tessera serve: " + text).c_str());
    fflush(stdout);
  }

  const bool json_;
};

Status take_identities(const ServeOptions& options, KnownIdentities& known) {
  if (!options.identities.empty()) TESSERA_RETURN_IF_ERROR(read_identities(options.identities, known));
  if (!options.token_file.empty()) TESSERA_RETURN_IF_ERROR(add_token_file(options.token_file, known));
  return Status();
}

// Beyond this machine nobody gets in who has not shown who they are.
Status check_exposure(const ServeOptions& options, const remote::Identities& identities) {
  const bool knows_clients = identities.any_token() || !options.client_ca.empty();
  for (const remote::Address& address : options.listen) {
    TESSERA_ASSIGN_OR_RETURN(const bool loopback, remote::is_loopback(address));
    if (loopback) continue;
    if (!knows_clients) {
      return Status::error(
          Code::kInvalidArgument,
          "%s can be reached from other machines, and whoever does would get in: give --token-file "
          "or --identities, or --tls-cert, --tls-key and --client-ca",
          remote::to_text(address).c_str());
    }
    if (options.tls_certificate.empty()) {
      fprintf(stderr,
              "tessera serve: what goes to and from %s is not encrypted: --tls-cert and --tls-key would see "
              "to it\n",
              remote::to_text(address).c_str());
    }
  }
  return Status();
}

// The slice of a session, which lives as long as the session's process.
class SessionSlices {
 public:
  // `limits` outlives it, and may change between sessions.
  SessionSlices(std::string socket, std::string driver, const std::map<std::string, SessionLimits>& limits,
                std::chrono::nanoseconds keep)
      : socket_(std::move(socket)), driver_(std::move(driver)), limits_(limits), keep_(keep) {}

  // In the session's process: the driver that it loads then finds itself in the slice.
  Status prepare(SessionStart& start) {
    start.keep = keep_;
    const auto limits = limits_.find(start.identity.name);
    TESSERA_ASSIGN_OR_RETURN(
        Json request,
        session_slice_request(start.identity.name, limits == limits_.end() ? SessionLimits() : limits->second,
                              start.wishes));
    request["op"] = "create_slice";
    TESSERA_ASSIGN_OR_RETURN(ControlClient client, connect_or_start(socket_));
    TESSERA_ASSIGN_OR_RETURN(const Json slice, client.ask(request));
    unsetenv("TESSERA_SERVER");  // of a client: the driver would look for its GPUs elsewhere
    setenv("TESSERA_SLICE", node::json_string(slice, "token").c_str(), 1);
    setenv("TESSERA_SOCKET", socket_.c_str(), 1);
    start.driver = driver_;
    // The slice lives as long as this connection, and the connection as long as the process.
    held_ = std::make_unique<ControlClient>(std::move(client));
    return Status();
  }

 private:
  const std::string socket_;
  const std::string driver_;  // the guest
  const std::map<std::string, SessionLimits>& limits_;
  const std::chrono::nanoseconds keep_;
  std::unique_ptr<ControlClient> held_;
};

// Ctrl-C and its like, as a descriptor.
Result<UniqueFd> stop_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&signals, number);
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  UniqueFd descriptor(signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!descriptor) return Status::from_errno(errno, "cannot make a signalfd");
  return descriptor;
}

// A descriptor for each connection of which nothing is known yet, and two for each session.
void allow_descriptors() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max) return;
  limit.rlim_cur = limit.rlim_max;
  (void)setrlimit(RLIMIT_NOFILE, &limit);
}

// The session's process may go to another folder.
std::string absolute(const std::string& path) {
  std::error_code error;
  const std::filesystem::path whole = std::filesystem::absolute(path, error);
  return error ? path : whole.string();
}

// Servers of one daemon have one such socket by default: it is the first one's. Without it a server serves
// all the same.
Status check_admin_path(const std::string& path) {
  if (path.size() >= sizeof(sockaddr_un::sun_path))
    return Status::error(Code::kInvalidArgument, "%s is too long for a socket", path.c_str());
  TESSERA_RETURN_IF_ERROR(node::prepare_socket_folder(path));
  const auto taken = remote::dial({remote::Flavour::kUnix, "", 0, path}, monotonic_ns() + 1'000'000'000);
  return taken.ok() ? Status::error(Code::kAlreadyExists, "another server has %s", path.c_str()) : Status();
}

Result<std::string> admin_path(const ServeOptions& options) {
  const bool is_chosen = !options.admin_path.empty();
  std::string path = absolute(is_chosen ? options.admin_path : default_admin_path(options.socket));
  const Status status = check_admin_path(path);
  if (status.ok()) return path;
  if (is_chosen) return status.with_context("--control");
  fprintf(stderr,
          "tessera serve: 'tessera limit' cannot ask this server: %s; --control names another place\n",
          status.message().c_str());
  return std::string();
}

// A folder that cannot be used is told of before anybody comes.
Status check_cache(const cache::ContentCache::Options& content) {
  if (content.directory.empty()) return Status();
  const auto opened = cache::ContentCache::open(content);
  return opened.ok() ? Status() : opened.status().with_context("--cache-dir");
}

// Sessions are forks of this process, and find the guest and its driver in it.
void load_for_sessions(const std::string& guest) {
  remote::prepare_sessions(guest);
  const vgpu::DriverSearch search = vgpu::locate_driver();
  if (search.driver) vgpu::load_ahead(search.driver->libcuda);
}

Status serve(const ServeOptions& options) {
  KnownIdentities known;
  TESSERA_RETURN_IF_ERROR(take_identities(options, known));
  TESSERA_RETURN_IF_ERROR(check_exposure(options, known.identities));
  TESSERA_ASSIGN_OR_RETURN(const std::string guest_folder, find_guest_folder());
  const std::string guest = guest_folder + "/libcuda.so.1";
  remote::FrontOptions front_options;
  if (!options.tls_certificate.empty()) {
    TESSERA_ASSIGN_OR_RETURN(
        front_options.tls,
        remote::TlsContext::server({options.tls_certificate, options.tls_key, options.client_ca}));
    front_options.wants_tls = true;
  }
  front_options.addresses = options.listen;
  front_options.nobody_may_in = !known.identities.any_token() && options.client_ca.empty();
  front_options.identities = std::move(known.identities);
  front_options.most_sessions = options.most_sessions;
  front_options.keeps_spare = true;
  front_options.bandwidth = {options.download, options.upload, std::move(known.bandwidth)};
  TESSERA_ASSIGN_OR_RETURN(const UniqueFd stop, stop_signals());
  front_options.stop_descriptor = stop.get();
  allow_descriptors();
  SessionSlices slices(absolute(options.socket), guest, known.limits,
                       std::chrono::nanoseconds(static_cast<int64_t>(options.keep_seconds * 1e9)));
  ServeLimits limits(known.limits);
  front_options.admin = [&](const std::string& question) { return limits.answer(question); };
  TESSERA_ASSIGN_OR_RETURN(front_options.admin_path, admin_path(options));
  const Reporter reporter(options.json);
  const cache::ContentCache::Options content = {
      options.cache_directory.empty() ? "" : absolute(options.cache_directory), remote::Identities::kNobody,
      options.cache_bytes, options.cache_identity_bytes};
  TESSERA_RETURN_IF_ERROR(check_cache(content));
  front_options.hooks.prepare = [&](SessionStart& start) {
    start.content = content;
    start.content.identity = start.identity.name;
    return slices.prepare(start);
  };
  front_options.hooks.run = remote::run_session;
  front_options.started = [&](const SessionStart& start, pid_t pid) { reporter.started(start, pid); };
  front_options.ended = [&](const remote::SessionEnd& end) { reporter.ended(end); };
  TESSERA_ASSIGN_OR_RETURN(const std::unique_ptr<Front> front, Front::create(std::move(front_options)));
  limits.of(front.get());
  load_for_sessions(guest);
  reporter.listening(front->addresses());
  return front->run();
}

}  // namespace

int serve_command(const ServeOptions& options) {
  const Status status = serve(options);
  if (status.ok()) return 0;
  print_error("serve", status);
  return status.code() == Code::kInvalidArgument ? kExitUsage : kExitFailure;
}

}  // namespace tessera::cli
