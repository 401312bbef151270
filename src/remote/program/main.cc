// remote_gpu_protocol: tests the protocol between programs and GPU servers against a server that it starts,
// and measures what it costs.
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "common/command_line.h"
#include "common/log.h"
#include "remote/front/front.h"
#include "remote/program/damage.h"
#include "remote/program/measure.h"
#include "remote/program/message_kinds.h"
#include "remote/testing/certificates.h"
#include "remote/worker/run_session.h"
#include "virtualization/driver_locator.h"

namespace tessera::remote {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kExitFailure = 1;
// With --quick: a sixteenth of the messages is cut short over the wire; all are in this process.
constexpr size_t kQuickStep = 16;
constexpr size_t kQuickCopyBytes = 4 << 20;

struct Options {
  bool json = false, quick = false, no_measure = false;
  std::string driver;
};

// A server in a process of its own, over TCP, TLS and shared memory; it lives as long as this.
class TestServer {
 public:
  static Result<std::unique_ptr<TestServer>> start(const std::string& driver) {
    std::unique_ptr<TestServer> server(new TestServer);
    int ends[2];
    if (pipe(ends) != 0) return Status::from_errno(errno, "cannot make a pipe");
    const UniqueFd from(ends[0]);
    UniqueFd to(ends[1]);
    server->pid_ = fork();
    if (server->pid_ < 0) return Status::from_errno(errno, "cannot start a process");
    if (server->pid_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      _exit(server->serve(driver, to.get()));
    }
    to.reset();
    uint16_t ports[2];
    if (read(from.get(), ports, sizeof ports) != static_cast<ssize_t>(sizeof ports))
      return Status(Code::kUnavailable, "the server does not start");
    server->tcp_ = {Flavour::kTcp, "127.0.0.1", ports[0], ""};
    server->tls_ = {Flavour::kTls, "127.0.0.1", ports[1], ""};
    return server;
  }
  ~TestServer() {
    if (pid_ > 0) {
      kill(pid_, SIGTERM);
      (void)waitpid(pid_, nullptr, 0);
    }
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  const Address& tcp() const { return tcp_; }
  const Address& tls() const { return tls_; }
  Address shm() const { return {Flavour::kShm, "", 0, folder_ + "/socket"}; }
  std::string ca() const { return certificates_.ca(); }

 private:
  TestServer() {
    std::string name = (std::filesystem::temp_directory_path() / "remote_gpu_protocol-XXXXXX").string();
    if (mkdtemp(name.data()) != nullptr) folder_ = name;
  }

  int serve(const std::string& driver, int report) {
    FrontOptions options;
    options.addresses = {{Flavour::kTcp, "127.0.0.1", 0, ""}, {Flavour::kTcp, "127.0.0.1", 0, ""}, shm()};
    const Certificates::Files files = certificates_.issue("localhost");
    auto tls = TlsContext::server({files.certificate, files.key, ""});
    if (!tls.ok()) return kExitFailure;
    options.tls = *tls;
    options.nobody_may_in = true;
    options.most_sessions = 1024;
    options.hooks.prepare = [driver](SessionStart& start) {
      start.driver = driver;
      return Status();
    };
    options.hooks.run = run_session;
    log_set_level(LogLevel::kError);  // sessions that are damaged on purpose say so
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigprocmask(SIG_BLOCK, &signals, nullptr);
    const UniqueFd stop(signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
    options.stop_descriptor = stop.get();
    auto front = Front::create(std::move(options));
    if (!front.ok()) {
      LOG_ERROR("protocol", "%s", front.status().message().c_str());
      return kExitFailure;
    }
    // Likewise what its driver lacks.
    const UniqueFd nowhere(open("/dev/null", O_WRONLY | O_CLOEXEC));
    (void)dup2(nowhere.get(), STDERR_FILENO);
    const uint16_t ports[2] = {(*front)->addresses()[0].port, (*front)->addresses()[1].port};
    if (write(report, ports, sizeof ports) != static_cast<ssize_t>(sizeof ports)) return kExitFailure;
    return (*front)->run().ok() ? 0 : kExitFailure;
  }

  pid_t pid_ = -1;
  std::string folder_;
  Certificates certificates_;
  Address tcp_, tls_;
};

Json check_kinds(const std::vector<MessageKind>& kinds, std::vector<std::string>& failures) {
  size_t whole = 0, refused = 0;
  Json things = Json::array();
  for (const MessageKind& kind : kinds) {
    if (!kind.has_body) {
      things.push_back(kind.name);
      continue;
    }
    ++whole;
    if (kind.refuses_shorter && kind.refuses_longer) {
      ++refused;
    } else {
      failures.push_back(kind.name + " is taken where it is " +
                         (kind.refuses_shorter ? "too long" : "cut short"));
    }
  }
  if (kinds.empty()) failures.emplace_back("no kind of message could be looked at");
  return {
      {"kinds", kinds.size()}, {"taken_whole", whole}, {"refused_damaged", refused}, {"need_things", things}};
}

Json check_transport(const Address& address, const std::string& ca, const std::vector<MessageKind>& kinds,
                     size_t step, std::vector<std::string>& failures) {
  auto checked = check_over_wire(address, ca, kinds, step, failures);
  if (!checked.ok()) {
    failures.push_back(std::string(flavour_name(address.flavour)) + ": " + checked.status().message());
    return Json::object();
  }
  return {{"answered", checked->answered}, {"cut_short", checked->cut}, {"refused", checked->refused}};
}

Json damage_json(const DamageCheck& check) {
  return {{"round_trips", check.round_trips}, {"damaged", check.damaged}, {"caught", check.caught}};
}

Json floors_json(const Floors& floors) {
  return {{"tcp_ping_us", floors.ping_us},
          {"tcp_send_bytes_per_second", floors.send},
          {"tcp_receive_bytes_per_second", floors.receive},
          {"memcpy_bytes_per_second", floors.memcpy}};
}

Json figures_json(const WireFigures& figures) {
  return {{"connect_ms", figures.connect_ms},
          {"shortest_call_us", figures.round_trip_us},
          {"synchronous_call_us", figures.sync_call_us},
          {"launch_and_wait_us", figures.launch_and_wait_us},
          {"enqueue_ns", figures.enqueue_ns},
          {"to_device_bytes_per_second", figures.to_device},
          {"from_device_bytes_per_second", figures.from_device}};
}

void print_test(const Json& report) {
  const Json& test = report["test"];
  const auto number = [](const Json& object, const char* key) {
    return object[key].get<unsigned long long>();
  };
  printf(
      "messages   %llu kinds, %llu taken whole, %llu refused where cut short or too long, %zu need things "
      "that exist\n",
      number(test["messages"], "kinds"), number(test["messages"], "taken_whole"),
      number(test["messages"], "refused_damaged"), test["messages"]["need_things"].size());
  for (const char* what : {"handshake", "frames"})
    printf("%-10s %llu come back as they were, %llu of %llu damaged ones caught\n", what,
           number(test[what], "round_trips"), number(test[what], "caught"), number(test[what], "damaged"));
  for (const auto& [way, wire] : test["wires"].items()) {
    if (!wire.contains("answered")) continue;
    printf("%-10s %llu kinds answered, %llu of %llu cut short refused\n", way.c_str(),
           number(wire, "answered"), number(wire, "refused"), number(wire, "cut_short"));
  }
}

void print_figures(const Json& report) {
  const Json& floors = report["floors"];
  const auto figure = [](const Json& object, const char* key) { return object[key].get<double>(); };
  const double ping = figure(floors, "tcp_ping_us");
  printf("\n%-10s %9s %9s %9s %9s %9s %11s %11s\n", "", "connect", "shortest", "call", "launch+", "enqueue",
         "to GPU", "from GPU");
  printf("%-10s %9s %9s %9s %9s %9s %11s %11s\n", "", "ms", "us", "us", "wait us", "ns", "GB/s", "GB/s");
  printf("%-10s %9s %9s %9.1f %9s %9s %11.2f %11.2f\n", "bare TCP", "", "", ping, "", "",
         figure(floors, "tcp_send_bytes_per_second") / 1e9,
         figure(floors, "tcp_receive_bytes_per_second") / 1e9);
  const double copy = figure(floors, "memcpy_bytes_per_second") / 1e9;
  printf("%-10s %9s %9s %9s %9s %9s %11.2f %11.2f\n", "memcpy", "", "", "", "", "", copy, copy);
  for (const auto& [way, wire] : report["wires"].items()) {
    if (!wire.contains("connect_ms")) continue;
    printf("%-10s %9.1f %9.1f %9.1f %9.1f %9.0f %11.2f %11.2f\n", way.c_str(), figure(wire, "connect_ms"),
           figure(wire, "shortest_call_us"), figure(wire, "synchronous_call_us"),
           figure(wire, "launch_and_wait_us"), figure(wire, "enqueue_ns"),
           figure(wire, "to_device_bytes_per_second") / 1e9,
           figure(wire, "from_device_bytes_per_second") / 1e9);
  }
}

Status measure(const TestServer& server, const Options& options, Json& report) {
  MeasureOptions how;
  if (options.quick) how = {kQuickCopyBytes, 1, 50};
  TESSERA_ASSIGN_OR_RETURN(const Floors floors, measure_floors(how));
  report["floors"] = floors_json(floors);
  for (const Address& address : {server.tcp(), server.tls(), server.shm()}) {
    const std::string ca = address.flavour == Flavour::kTls ? server.ca() : "";
    auto figures = measure_wire(to_text(address), ca, how);
    if (!figures.ok()) return figures.status().with_context(flavour_name(address.flavour));
    report["wires"][flavour_name(address.flavour)] = figures_json(*figures);
  }
  return Status();
}

Result<std::string> find_driver(const std::string& wanted) {
  const vgpu::DriverSearch search = wanted.empty() ? vgpu::locate_driver() : vgpu::locate_driver(wanted);
  if (search.driver) return search.driver->libcuda;
  return Status(Code::kNotFound, "no driver: " + search.explanation());
}

int fail(const Status& status) {
  fprintf(stderr, "remote_gpu_protocol: %s\n", status.message().c_str());
  return kExitFailure;
}

int run(const Options& options) {
  const auto driver = find_driver(options.driver);
  if (!driver.ok()) return fail(driver.status());
  std::vector<std::string> failures;
  Json report{{"driver", *driver}};
  const std::vector<MessageKind> kinds = find_message_kinds(*driver);
  Json& test = report["test"];
  test["messages"] = check_kinds(kinds, failures);
  test["handshake"] = damage_json(check_handshake(failures));
  test["frames"] = damage_json(check_frames(failures));
  auto server = TestServer::start(*driver);
  if (!server.ok()) return fail(server.status());
  for (const Address& address : {(*server)->tcp(), (*server)->tls(), (*server)->shm()}) {
    const std::string ca = address.flavour == Flavour::kTls ? (*server)->ca() : "";
    test["wires"][flavour_name(address.flavour)] =
        check_transport(address, ca, kinds, options.quick ? kQuickStep : 1, failures);
  }
  if (!options.no_measure) {
    const Status status = measure(**server, options, report);
    if (!status.ok()) failures.push_back(status.message());
  }
  report["failures"] = failures;
  if (options.json) {
    puts(report.dump(2, ' ', false, Json::error_handler_t::replace).c_str());
  } else {
    print_test(report);
    if (report.contains("wires")) print_figures(report);
  }
  for (const std::string& failure : failures) fprintf(stderr, "remote_gpu_protocol: %s\n", failure.c_str());
  return failures.empty() ? 0 : kExitFailure;
}

int program(int argc, char** argv) {
  log_init("remote_gpu_protocol", "TESSERA_LOG");
  CLI::App app("Test the protocol between programs and GPU servers, and measure what it costs.",
               "remote_gpu_protocol");
  app.set_version_flag("--version", std::string("remote_gpu_protocol ") + TESSERA_VERSION);
  Options options;
  app.add_option("--driver", options.driver, "nvidia, software or a libcuda.so.1 (default: what is found)")
      ->type_name("DRIVER");
  app.add_flag("--quick", options.quick, "fewer messages over the wire, and small copies");
  app.add_flag("--no-measure", options.no_measure, "the test alone");
  app.add_flag("--json", options.json, "print JSON");
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& success) {
    return app.exit(success);
  } catch (const CLI::ParseError& error) {
    return usage_error(app, error);
  }
  return run(options);
}

}  // namespace
}  // namespace tessera::remote

int main(int argc, char** argv) { return tessera::remote::program(argc, argv); }
