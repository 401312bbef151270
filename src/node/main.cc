// tesserad: the node daemon. What it does is in Daemon; this is the process around it.
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "common/log.h"
#include "common/size.h"
#include "common/strings.h"
#include "node/daemon.h"
#include "node/instance.h"
#include "node/runtime_path.h"
#include "node/version.h"

namespace tessera::node {
namespace {

constexpr int kExitFailure = 1;
constexpr int kExitUsage = 2;
constexpr int kExitRunsAlready = 3;
constexpr rlim_t kDescriptorsWanted = 8192;  // a socket and a pidfd per process, and some
constexpr off_t kMaxLogBytes = 4 * 1024 * 1024;
constexpr uint64_t kNsPerSecond = 1'000'000'000;
constexpr uint64_t kLeastSwapHostBytes = 64 * kMiB;  // room for exchanges, see SwapSpace

constexpr const char* kHelp =
    "usage: tesserad [options]\n"
    "\n"
    "The daemon of Tessera: keeps this node's slices and grants GPU memory to their processes.\n"
    "'tessera run' starts one where none runs.\n"
    "\n"
    "  --socket PATH        listen here (default: $TESSERA_SOCKET, else tesserad.sock in\n"
    "                       $XDG_RUNTIME_DIR/tessera, /run/tessera for root, or /tmp/tessera-UID)\n"
    "  --foreground         stay in the foreground and log to standard error\n"
    "  --idle-exit SECONDS  end when nothing has been connected and no slice has existed for so long\n"
    "  --order POLICY       who is next within a priority class: weighted-fair (default), feedback or\n"
    "                       earliest-deadline\n"
    "  --time-slice POLICY  how long a turn lasts: adaptive (default) or fixed\n"
    "  --co-execution auto|off\n"
    "                       whether slices whose kernels fit together run side by side (default: auto)\n"
    "  --overcommit FACTOR  slices may be promised so many times the memory of a GPU, 1 (default) to 16:\n"
    "                       what does not fit waits in the host's memory, and tenants take turns\n"
    "  --residence-round SECONDS\n"
    "                       within which everybody has such a turn, 1 to 3600 (default: 24)\n"
    "  --swap-codec CODEC   how what waits is stored: none (default), adaptive, lz4, zstd or snappy\n"
    "  --swap-encrypt       and encrypted, by a key of each process that is nowhere else\n"
    "  --swap-host SIZE     as much of the host's memory is for what waits, as 8GiB (default: all of it)\n"
    "  --swap-dir FOLDER    what does not find room there goes to files of this folder\n"
    "  --mps                keep slices in space to their SMs by NVIDIA's Multi-Process Service, where its\n"
    "                       control daemon runs; a fault of one program then ends those of all\n"
    "  --packing POLICY     where slices go that name no GPU: spread (default) or binpack\n"
    "  --refuse-faulty      programs that keep failing on the GPU have to wait for their next slice\n"
    "  --round-the-gate warn|hard|stop\n"
    "                       what becomes of processes that use a GPU beside their turns: a warning "
    "(default),\n"
    "                       their slice is held to its share, or they are killed\n"
    "  --log-level LEVEL    error, warn (default), info or debug\n"
    "  --version, --help\n";

struct Options {
  std::string socket = default_socket_path();
  bool foreground = false;
  bool print_inventory = false;
  bool print_xids = false;
  uint64_t idle_exit_s = 0;
  bool refuse_faulty = false;
  scheduling::SchedulerConfig scheduling = ComputeBroker::default_config();
  partitioning::Packing packing = partitioning::Packing::kSpread;
  RoundPolicy round_policy = RoundPolicy::kWarn;
  bool co_execution = true;
  uint32_t overcommit_permille = 1000;
  uint64_t residence_round_s = partitioning::kResidenceRoundNs / kNsPerSecond;
  memory::SwapOptions swap;
  uint64_t swap_host_bytes = 0;
  bool use_mps = false;
};

int usage_error(const char* format, const char* text) {
  fprintf(stderr, "tesserad: ");
  fprintf(stderr, format, text);
  fprintf(stderr, "; see 'tesserad --help'\n");
  return kExitUsage;
}

bool set_log_level(std::string_view name) {
  constexpr const char* kNames[] = {"error", "warn", "info", "debug"};
  for (int level = 0; level < 4; ++level) {
    if (name != kNames[level]) continue;
    log_set_level(static_cast<LogLevel>(level));
    return true;
  }
  return false;
}

std::optional<uint32_t> parse_overcommit(const char* text) {
  constexpr double kMost = 16;
  char* end = nullptr;
  const double factor = strtod(text, &end);
  if (end == text || *end != '\0' || !(factor >= 1 && factor <= kMost)) return std::nullopt;
  return static_cast<uint32_t>(factor * 1000 + 0.5);
}

// Processes go by it, wherever they are.
Result<std::string> swap_folder(const char* text) {
  char path[PATH_MAX];
  struct stat info {};
  if (realpath(text, path) == nullptr || stat(path, &info) != 0)
    return Status::from_errno(errno, "cannot use %s", text);
  if (!S_ISDIR(info.st_mode)) return Status::error(Code::kInvalidArgument, "%s is no folder", text);
  if (strlen(path) >= sizeof vgpu::SwapTerms{}.directory)
    return Status::error(Code::kInvalidArgument, "the name of %s is too long", text);
  return std::string(path);
}

// The exit code where there is nothing left to do.
std::optional<int> parse_options(int argc, char** argv, Options& options) {
  enum {
    kSocket = 256,
    kForeground,
    kIdleExit,
    kOrder,
    kTimeSlice,
    kCoExecution,
    kOvercommit,
    kResidenceRound,
    kSwapCodec,
    kSwapEncrypt,
    kSwapHost,
    kSwapDir,
    kMps,
    kPacking,
    kRefuseFaulty,
    kRoundTheGate,
    kLogLevel,
    kVersionFlag,
    kHelpFlag,
    kPrintInventory,
    kPrintXids
  };
  static const option kOptions[] = {{"socket", required_argument, nullptr, kSocket},
                                    {"foreground", no_argument, nullptr, kForeground},
                                    {"idle-exit", required_argument, nullptr, kIdleExit},
                                    {"order", required_argument, nullptr, kOrder},
                                    {"time-slice", required_argument, nullptr, kTimeSlice},
                                    {"co-execution", required_argument, nullptr, kCoExecution},
                                    {"overcommit", required_argument, nullptr, kOvercommit},
                                    {"residence-round", required_argument, nullptr, kResidenceRound},
                                    {"swap-codec", required_argument, nullptr, kSwapCodec},
                                    {"swap-encrypt", no_argument, nullptr, kSwapEncrypt},
                                    {"swap-host", required_argument, nullptr, kSwapHost},
                                    {"swap-dir", required_argument, nullptr, kSwapDir},
                                    {"mps", no_argument, nullptr, kMps},
                                    {"packing", required_argument, nullptr, kPacking},
                                    {"refuse-faulty", no_argument, nullptr, kRefuseFaulty},
                                    {"round-the-gate", required_argument, nullptr, kRoundTheGate},
                                    {"log-level", required_argument, nullptr, kLogLevel},
                                    {"version", no_argument, nullptr, kVersionFlag},
                                    {"help", no_argument, nullptr, kHelpFlag},
                                    // What InventoryMonitor starts: asks the driver, prints, ends.
                                    {"print-inventory", no_argument, nullptr, kPrintInventory},
                                    // What XidMonitor starts: waits for the driver's events, prints them.
                                    {"print-xids", no_argument, nullptr, kPrintXids},
                                    {nullptr, 0, nullptr, 0}};
  opterr = 0;
  for (;;) {
    int next = getopt_long(argc, argv, ":", kOptions, nullptr);
    switch (next) {
      case -1:
        if (optind < argc) return usage_error("unexpected argument '%s'", argv[optind]);
        return std::nullopt;
      case kSocket:
        if (*optarg == '\0') return usage_error("--socket needs a path%s", "");
        options.socket = optarg;
        break;
      case kForeground:
        options.foreground = true;
        break;
      case kIdleExit: {
        auto seconds = parse_uint(optarg);
        if (!seconds || *seconds == 0 || *seconds > 1'000'000) {
          return usage_error("--idle-exit needs 1 to 1000000 seconds, not '%s'", optarg);
        }
        options.idle_exit_s = *seconds;
        break;
      }
      case kOrder: {
        const Status known = scheduling::make_order_policy(optarg).status();
        if (!known.ok()) return usage_error("--order: %s", known.message().c_str());
        options.scheduling.order = optarg;
        break;
      }
      case kTimeSlice: {
        const Status known = scheduling::make_slice_policy(optarg, options.scheduling.limits).status();
        if (!known.ok()) return usage_error("--time-slice: %s", known.message().c_str());
        options.scheduling.slice = optarg;
        break;
      }
      case kCoExecution:
        if (strcmp(optarg, "auto") != 0 && strcmp(optarg, "off") != 0) {
          return usage_error("--co-execution is auto or off, not '%s'", optarg);
        }
        options.co_execution = strcmp(optarg, "auto") == 0;
        break;
      case kOvercommit: {
        const auto permille = parse_overcommit(optarg);
        if (!permille) return usage_error("--overcommit is a factor from 1 to 16, as 1.5, not '%s'", optarg);
        options.overcommit_permille = *permille;
        break;
      }
      case kResidenceRound: {
        const auto seconds = parse_uint(optarg);
        if (!seconds || *seconds == 0 || *seconds > 3600) {
          return usage_error("--residence-round needs 1 to 3600 seconds, not '%s'", optarg);
        }
        options.residence_round_s = *seconds;
        break;
      }
      case kSwapCodec: {
        const auto encoding = memory::parse_swap_encoding(optarg);
        if (!encoding)
          return usage_error("--swap-codec is none, adaptive, lz4, zstd or snappy, not '%s'", optarg);
        options.swap.encoding = *encoding;
        break;
      }
      case kSwapEncrypt:
        options.swap.encrypt = true;
        break;
      case kSwapHost: {
        const auto bytes = parse_size(optarg);
        if (!bytes.ok()) return usage_error("--swap-host: %s", bytes.status().message().c_str());
        if (*bytes < kLeastSwapHostBytes)
          return usage_error("--swap-host is 64MiB or more, not '%s'", optarg);
        options.swap_host_bytes = *bytes;
        break;
      }
      case kSwapDir:
        if (const auto folder = swap_folder(optarg); folder.ok()) {
          options.swap.directory = *folder;
          break;
        } else {
          return usage_error("--swap-dir: %s", folder.status().message().c_str());
        }
      case kMps:
        options.use_mps = true;
        break;
      case kPacking: {
        const auto packing = partitioning::parse_packing(optarg);
        if (!packing) return usage_error("--packing is spread or binpack, not '%s'", optarg);
        options.packing = *packing;
        break;
      }
      case kRefuseFaulty:
        options.refuse_faulty = true;
        break;
      case kRoundTheGate: {
        auto policy = parse_round_policy(optarg);
        if (!policy) return usage_error("--round-the-gate is warn, hard or stop, not '%s'", optarg);
        options.round_policy = *policy;
        break;
      }
      case kLogLevel:
        if (!set_log_level(optarg)) {
          return usage_error("--log-level is error, warn, info or debug, not '%s'", optarg);
        }
        break;
      case kPrintInventory:
        options.print_inventory = true;
        break;
      case kPrintXids:
        options.print_xids = true;
        break;
      case kVersionFlag:
        printf("tesserad %s\n", kVersion);
        return 0;
      case kHelpFlag:
        fputs(kHelp, stdout);
        return 0;
      case ':':
        return usage_error("%s needs a value", argv[optind - 1]);
      default:
        return usage_error("unknown option '%s'", argv[optind - 1]);
    }
  }
}

int fail(const Status& status) {
  fprintf(stderr, "tesserad: %s\n", status.message().c_str());
  return status.code() == Code::kAlreadyExists ? kExitRunsAlready : kExitFailure;
}

void raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= kDescriptorsWanted) return;
  limit.rlim_cur = std::min(limit.rlim_max, kDescriptorsWanted);
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0) LOG_WARN("daemon", "cannot raise the limit of open files");
}

// Standard error into "<socket>.log", the rest to nowhere; the terminal is not ours any more.
Status leave_terminal(const std::string& socket) {
  std::string path = socket + ".log";
  UniqueFd log(open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600));
  UniqueFd nowhere(open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!log || !nowhere) return Status::from_errno(errno, "cannot open %s", path.c_str());
  struct stat info {};
  if (fstat(log.get(), &info) == 0 && info.st_size > kMaxLogBytes && ftruncate(log.get(), 0) != 0) {
    return Status::from_errno(errno, "cannot empty %s", path.c_str());
  }
  if (dup2(nowhere.get(), STDIN_FILENO) < 0 || dup2(nowhere.get(), STDOUT_FILENO) < 0 ||
      dup2(log.get(), STDERR_FILENO) < 0) {
    return Status::from_errno(errno, "cannot redirect the standard files");
  }
  return Status();
}

// Forks; the parent stays until the child is ready to serve (a byte in the pipe) or has failed, and ends with
// that.
UniqueFd go_to_background() {
  // Whoever started us may wait for the end of a pipe that we have inherited.
  close_range(STDERR_FILENO + 1, ~0U, 0);
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) exit(fail(Status::from_errno(errno, "cannot make a pipe")));
  pid_t child = fork();
  if (child < 0) exit(fail(Status::from_errno(errno, "cannot fork")));
  if (child == 0) {
    close(ends[0]);
    setsid();
    return UniqueFd(ends[1]);
  }
  close(ends[1]);
  char ready = 0;
  ssize_t count;
  do {
    count = read(ends[0], &ready, 1);
  } while (count < 0 && errno == EINTR);
  if (count == 1) _exit(0);
  int status = 0;
  waitpid(child, &status, 0);
  _exit(WIFEXITED(status) ? WEXITSTATUS(status) : kExitFailure);
}

Status serve(Daemon& daemon) {
  sigset_t ending;
  sigemptyset(&ending);
  for (int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&ending, signal);
  sigprocmask(SIG_BLOCK, &ending, nullptr);
  UniqueFd signals(signalfd(-1, &ending, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals) return Status::from_errno(errno, "cannot make a signalfd");
  bool asked_to_end = false;
  TESSERA_ASSIGN_OR_RETURN(
      auto watch, daemon.loop().watch(signals.get(), EPOLLIN, [&](uint32_t) { asked_to_end = true; }));
  Status status;
  while (status.ok() && !asked_to_end && !daemon.idle_too_long()) status = daemon.step(std::nullopt);
  daemon.loop().unwatch(watch);
  LOG_INFO("daemon", "%s", asked_to_end ? "ends: asked to" : "ends: nothing to do");
  return status;
}

Status run(const Options& options, UniqueFd ready) {
  TESSERA_RETURN_IF_ERROR(prepare_socket_folder(options.socket));
  TESSERA_ASSIGN_OR_RETURN(InstanceLock lock, InstanceLock::take(options.socket));
  DaemonOptions daemon_options;
  daemon_options.inventory_command = {"/proc/self/exe", "--print-inventory"};
  daemon_options.xid_command = {"/proc/self/exe", "--print-xids"};
  daemon_options.journal = options.socket + ".journal";
  daemon_options.idle_exit_ns = options.idle_exit_s * 1'000'000'000;
  daemon_options.refuse_faulty = options.refuse_faulty;
  daemon_options.scheduling = options.scheduling;
  daemon_options.packing = options.packing;
  daemon_options.co_execution = options.co_execution;
  daemon_options.overcommit_permille = options.overcommit_permille;
  daemon_options.residence_round_ns = options.residence_round_s * kNsPerSecond;
  daemon_options.swap = options.swap;
  daemon_options.swap_host_bytes = options.swap_host_bytes;
  daemon_options.use_mps = options.use_mps;
  daemon_options.round_policy = options.round_policy;
  Result<Machine> machine = Machine::read();
  if (machine.ok()) {
    daemon_options.machine = std::move(machine).value();
  } else {
    LOG_WARN("daemon", "nothing is placed near GPUs: %s", machine.status().message().c_str());
  }
  TESSERA_ASSIGN_OR_RETURN(UniqueFd listener, listen_on(options.socket));
  TESSERA_ASSIGN_OR_RETURN(auto daemon, Daemon::create(std::move(listener), std::move(daemon_options)));
  TESSERA_RETURN_IF_ERROR(daemon->start());
  if (ready) {
    TESSERA_RETURN_IF_ERROR(leave_terminal(options.socket));
    if (write(ready.get(), "r", 1) != 1) return Status::from_errno(errno, "the starter is gone");
    ready.reset();
  }
  LOG_INFO("daemon", "tesserad %s serves %s", kVersion, options.socket.c_str());
  Status status = serve(*daemon);
  daemon->end();
  if (unlink(options.socket.c_str()) != 0) LOG_WARN("daemon", "cannot remove %s", options.socket.c_str());
  return status;
}

int daemon_main(int argc, char** argv) {
  log_init("tesserad", "TESSERA_LOG");
  Options options;
  if (auto code = parse_options(argc, argv, options)) return *code;
  if (options.print_inventory) {
    puts(inventory_answer_text(read_inventory()).c_str());
    return 0;
  }
  if (options.print_xids) {
    const Status printed = print_xids(stdout);
    return printed.ok() ? 0 : fail(printed);
  }
  if (options.socket.front() != '/') {
    char folder[PATH_MAX];
    if (getcwd(folder, sizeof folder) == nullptr) return fail(Status::from_errno(errno, "no current folder"));
    options.socket = std::string(folder) + "/" + options.socket;
  }
  signal(SIGPIPE, SIG_IGN);
  raise_descriptor_limit();
  UniqueFd ready;
  if (!options.foreground) {
    ready = go_to_background();
    if (chdir("/") != 0) return fail(Status::from_errno(errno, "cannot go to /"));
  }
  Status status = run(options, std::move(ready));
  return status.ok() ? 0 : fail(status);
}

}  // namespace
}  // namespace tessera::node

int main(int argc, char** argv) { return tessera::node::daemon_main(argc, argv); }
