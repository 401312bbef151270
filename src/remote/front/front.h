// The server's front: it accepts connections, finds out who makes them, and gives each session a process of
// its own. One thread, no CUDA: a session is a fork of it, and takes the connection as it is, encryption
// included. One that has no encryption may go to a fork that was made before it came.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "remote/bandwidth/bandwidth_board.h"
#include "remote/front/admin_connection.h"
#include "remote/front/pending_connection.h"
#include "remote/front/rate_limit.h"
#include "remote/front/session_process.h"
#include "remote/front/session_start.h"
#include "remote/front/spare_process.h"
#include "remote/transport/address.h"

namespace tessera::remote {

struct SessionEnd {
  SessionId id{};
  std::string identity;
  pid_t pid = 0;
  int wait_status = 0;  // as waitpid(2) has it
  double seconds = 0;
};

struct FrontOptions {
  std::vector<Address> addresses;
  std::shared_ptr<TlsContext> tls;  // null: no TLS
  bool wants_tls = false;           // of whoever comes over a network
  Identities identities;
  bool nobody_may_in = false;  // whoever has neither token nor certificate
  size_t most_sessions = 256;
  bool keeps_spare = false;            // a process is forked ahead of the next session
  size_t most_unauthenticated = 2048;  // beyond it the oldest is dropped
  size_t most_handshakes = 128;        // with TLS objects, likewise
  uint64_t handshake_ns = 10'000'000'000;
  uint64_t ending_ns = 10'000'000'000;  // what sessions have to end, when the server does
  BandwidthOptions bandwidth;
  std::string admin_path;         // a socket file for the server's own user; empty: none
  AdminConnection::Answer admin;  // what is answered there; it may call the front
  SessionHooks hooks;
  std::function<void(const SessionStart&, pid_t)> started;  // in the front
  std::function<void(const SessionEnd&)> ended;
  int stop_descriptor = -1;  // an eventfd or signalfd, non-blocking: stop() for each thing read from it
};

// A session as it is now.
struct SessionFigures {
  SessionId id{};
  std::string identity, peer;
  pid_t pid = 0;
  double seconds = 0;
  struct OneWay {
    uint64_t rate = BandwidthPage::kUnlimited;  // bytes a second that it may have now
    uint64_t bytes = 0, held_up = 0;            // so far; by what the session says
  };
  OneWay download, upload;
};

class Front final : private Gate {
 public:
  // Listens. Errors name the address.
  static Result<std::unique_ptr<Front>> create(FrontOptions options);
  ~Front() override;

  // Waits for `limit_ns` at most and does what there is to do.
  Status step(uint64_t limit_ns);
  // Until it has stopped.
  Status run();
  // No more connections; sessions are asked to end, and killed where they do not within ending_ns. A second
  // time: at once.
  void stop();
  bool stopped() const { return stopping_ && sessions_.empty(); }

  // Where it listens; ports are those that were free where 0 was asked for.
  const std::vector<Address>& addresses() const { return addresses_; }
  size_t sessions() const { return sessions_.size(); }
  size_t unauthenticated() const { return pending_.size(); }

  // --- while sessions go on
  std::vector<SessionFigures> figures() const;
  const BandwidthOptions& bandwidth() const { return options_.bandwidth; }
  // Holds for all sessions from the next shares on, which are made at once.
  void set_bandwidth(BandwidthOptions bandwidth);
  const Identities& known() const { return options_.identities; }
  // Of sessions that begin from now on. kNotFound where nobody has that name.
  Status set_admission(const std::string& name, std::optional<uint32_t> sessions,
                       std::optional<double> connections_per_second);
  size_t most_sessions() const { return options_.most_sessions; }
  void set_most_sessions(size_t most) { options_.most_sessions = most; }
  // What the hooks go by has changed: a process that was forked before would begin its session with what was.
  void renew_spare();
  // The process that is none of a session yet; 0 where there is none.
  pid_t waiting_process() const { return spare_ ? spare_->pid : 0; }

 private:
  using Watch = uint64_t;  // what epoll tells: of everything that is watched, ascending with age

  struct Listener {
    size_t address = 0;  // of addresses_
    UniqueFd socket;
  };
  struct Pending {
    PendingConnection connection;
    unsigned watched = Transport::kReadable;
  };
  struct Session {
    SessionId id{};
    std::string identity, peer;
    pid_t pid = 0;
    UniqueFd process;  // a pidfd
    UniqueFd control;
    uint64_t started_ns = 0;
    SharedBandwidthPage bandwidth;
    RateLimit returns{20, 100};  // its client's further connections
  };

  explicit Front(FrontOptions options) : options_(std::move(options)) {}

  Verdict judge(const Preamble& preamble, size_t listener) override;
  bool nobody_may_in(size_t listener) const override;
  const Identities& identities() const override { return options_.identities; }
  const std::shared_ptr<TlsContext>& tls() const override { return options_.tls; }

  Status listen();
  Status listen_for_admins();
  void accept_admins();
  void step_admin(Watch id);
  void drop_admin(Watch id);
  Status watch(int descriptor, uint32_t events, Watch id);
  void handle(Watch id);
  void accept_from(const Listener& listener);
  void drop(Watch id);
  void step_pending(Watch id);
  void settle(Watch id, PendingConnection& connection, PendingConnection::Outcome outcome);
  void bound_pending();
  void hand_to_session(PendingConnection& connection);
  // Whether that identity may have one more session, now.
  Status may_begin(const Identity& identity, uint64_t now_ns);
  Status begin_session(PendingConnection& connection);
  Result<NewSession> describe_session(const PendingConnection& connection);
  Status fork_session(NewSession session, PendingConnection& connection);
  // In a process of its own: what is of other connections, tenants and sessions.
  void forget_others();
  Status add_session(const SessionStart& start, Session session);
  // Soon, once whoever has just begun a session has had the processors. Only a session that has begun is
  // followed by one: what strangers do makes none, nor does one that has been killed.
  void want_spare();
  bool has_place_for_spare() const;
  void keep_spare(uint64_t now_ns);
  SpareProcess take_spare();
  void drop_spare();
  void share_bandwidth(uint64_t now_ns);
  void reap(Watch id);
  void kill_sessions();
  void expire(uint64_t now_ns);
  int wait_ms(uint64_t limit_ns, uint64_t now_ns) const;

  FrontOptions options_;
  std::vector<Address> addresses_;
  UniqueFd epoll_;
  Watch next_ = 1;
  std::map<Watch, Listener> listeners_;
  std::map<Watch, Pending> pending_;
  UniqueFd admin_listener_;
  Watch admin_watch_ = 0;
  std::map<Watch, AdminConnection> admins_;
  std::map<Watch, Session> sessions_;
  std::map<SessionId, Watch> by_id_;
  std::map<std::string, RateLimit> rates_;
  Bytes32 tenants_key_{};  // of which each tenant's comes; sessions forget it
  std::optional<SpareProcess> spare_;
  Watch spare_watch_ = 0;
  uint64_t spare_due_ns_ = 0;  // UINT64_MAX: when the next session has begun
  size_t handshakes_ = 0;
  BandwidthBoard bandwidth_;
  uint64_t next_share_ns_ = UINT64_MAX;  // nobody has a limit
  bool stopping_ = false;
  uint64_t kill_ns_ = 0;
};

}  // namespace tessera::remote
