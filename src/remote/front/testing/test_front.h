// A front in a process of its own, as it forks, for tests that are its clients.
#pragma once

#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "common/clock.h"
#include "common/log.h"
#include "remote/front/front.h"
#include "remote/front/testing/echo_session.h"
#include "remote/session/client.h"
#include "remote/session/exchange.h"
#include "remote/testing/certificates.h"
#include "remote/transport/dial.h"
#include "remote/transport/socket_transport.h"

namespace tessera::remote {

inline const std::string kToken = "a token of thirty-two characters";

inline uint64_t soon() { return monotonic_ns() + 10'000'000'000; }

// What the front's process tells the test once it listens.
struct Listening {
  uint16_t port = 0;
};

class TestFront {
 public:
  TestFront() {
    char name[] = "/tmp/tessera-front-XXXXXX";
    folder_ = mkdtemp(name);
    options.addresses = {{Flavour::kTcp, "127.0.0.1", 0, ""}, {Flavour::kShm, "", 0, folder_ + "/s"}};
    options.nobody_may_in = true;
    options.hooks.run = run_echo_session;
  }
  ~TestFront() {
    if (pid_ > 0) {
      kill(pid_, SIGKILL);
      waitpid(pid_, nullptr, 0);
    }
    std::filesystem::remove_all(folder_);
  }

  void start() {
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    pid_ = fork();
    ASSERT_GE(pid_, 0);
    if (pid_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      _exit(run(ends[1]));
    }
    close(ends[1]);
    Listening listening;
    ASSERT_EQ(read(ends[0], &listening, sizeof listening), static_cast<ssize_t>(sizeof listening));
    close(ends[0]);
    port_ = listening.port;
  }

  Address at(Flavour flavour) const {
    return is_local(flavour) ? Address{flavour, "", 0, folder_ + "/s"}
                             : Address{flavour, "127.0.0.1", port_, ""};
  }
  Result<Opened> open(Flavour flavour, const Credentials& credentials = {},
                      const std::string& wishes = "{}") {
    return open_session(at(flavour), credentials, wishes, soon());
  }

  void add_token(const std::string& name, const std::string& token, uint32_t sessions = 0, double rate = 0) {
    Identity identity;
    identity.name = name;
    identity.token = token;
    identity.sessions = sessions;
    identity.connections_per_second = rate;
    ASSERT_TRUE(options.identities.add(identity).ok());
    options.nobody_may_in = false;
  }
  void use_tls(Certificates& certificates, bool ask_clients) {
    const auto files = certificates.issue("localhost");
    options.tls =
        TlsContext::server({files.certificate, files.key, ask_clients ? certificates.ca() : ""}).value();
  }

  pid_t pid() const { return pid_; }
  // Its exit status; it has been asked to end by then.
  int join() {
    int status = 0;
    waitpid(pid_, &status, 0);
    pid_ = -1;
    return status;
  }

  FrontOptions options;

 private:
  int run(int report) {
    log_set_level(LogLevel::kError);
    sigset_t terminate;
    sigemptyset(&terminate);
    sigaddset(&terminate, SIGTERM);
    sigprocmask(SIG_BLOCK, &terminate, nullptr);
    const UniqueFd stop(signalfd_for(terminate));
    options.stop_descriptor = stop.get();
    auto front = Front::create(std::move(options));
    if (!front.ok()) return 1;
    const Listening listening{(*front)->addresses()[0].port};
    if (write(report, &listening, sizeof listening) != static_cast<ssize_t>(sizeof listening)) return 1;
    return (*front)->run().ok() ? 0 : 1;
  }

  std::string folder_;
  uint16_t port_ = 0;
  pid_t pid_ = -1;
};

// What comes back for what is sent: the same, from the session's process.
inline std::string echo(Transport& transport, const std::string& text) {
  std::string back(text.size(), '\0');
  Status sent;
  std::jthread sending([&] { sent = send_all(transport, text, soon()); });
  const Status status = receive_exactly(transport, std::as_writable_bytes(std::span(back)), soon());
  sending.join();
  return status.ok() && sent.ok() ? back : status.message() + sent.message();
}

inline std::string question(Transport& transport, char what) {
  // The answer to a question has 32 bytes, filled up with zeros.
  if (!send_all(transport, std::string(1, what), soon()).ok()) return "cannot send";
  std::string back(32, '\0');
  if (!receive_exactly(transport, std::as_writable_bytes(std::span(back)), soon()).ok()) return "no answer";
  return back.c_str();
}

inline bool comes_true(const std::function<bool()>& condition) {
  for (const uint64_t end = soon(); monotonic_ns() < end;) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return false;
}

inline bool is_alive(pid_t pid) { return kill(pid, 0) == 0; }

inline size_t children_of(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/task/" + std::to_string(pid) + "/children");
  size_t count = 0;
  for (int child; file >> child;) ++count;
  return count;
}

inline void allow_descriptors(rlim_t count) {
  rlimit limit{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  if (limit.rlim_cur >= count) return;
  limit.rlim_cur = std::min(count, limit.rlim_max);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
  ASSERT_GE(limit.rlim_cur, count);
}

}  // namespace tessera::remote
