// A server of sessions without slices, over any driver: for tests and benchmarks of the wire.
//
//   plain_server ADDRESS LIBCUDA [FOLDER [CERTIFICATE KEY]]
//
// Prints where it listens; ends with SIGTERM. FOLDER: keeps what clients send there; empty: nowhere.
#include <signal.h>
#include <sys/signalfd.h>

#include <cstdio>

#include "common/log.h"
#include "remote/front/front.h"
#include "remote/worker/run_session.h"

using namespace tessera;  // NOLINT(google-build-using-namespace): a program

namespace {

Status serve(const char* address, const std::string& driver, const std::string& cache,
             const char* certificate, const char* key) {
  remote::FrontOptions options;
  if (certificate != nullptr) {
    TESSERA_ASSIGN_OR_RETURN(options.tls, remote::TlsContext::server({certificate, key, ""}));
    options.wants_tls = true;
  }
  TESSERA_ASSIGN_OR_RETURN(remote::Address parsed, remote::parse_address(address, remote::Purpose::kListen));
  options.addresses = {parsed};
  options.hooks.prepare = [driver, cache](remote::SessionStart& start) {
    start.driver = driver;
    start.content.directory = cache;
    start.content.identity = start.identity.name;
    return Status();
  };
  options.nobody_may_in = true;
  options.keeps_spare = true;
  options.hooks.run = remote::run_session;
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  options.stop_descriptor = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
  remote::prepare_sessions(driver);
  TESSERA_ASSIGN_OR_RETURN(auto front, remote::Front::create(std::move(options)));
  printf("%s\n", remote::to_text(front->addresses()[0]).c_str());
  fflush(stdout);
  return front->run();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3 || argc > 6 || argc == 5) {
    fprintf(stderr, "usage: plain_server ADDRESS LIBCUDA [FOLDER [CERTIFICATE KEY]]\n");
    return 2;
  }
  log_init("plain_server", "TESSERA_LOG");
  const bool has_tls = argc == 6;
  const Status status = serve(argv[1], argv[2], argc > 3 ? argv[3] : "", has_tls ? argv[4] : nullptr,
                              has_tls ? argv[5] : nullptr);
  if (!status.ok()) fprintf(stderr, "plain_server: %s\n", status.message().c_str());
  return status.ok() ? 0 : 1;
}
