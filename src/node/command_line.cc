#include "node/command_line.h"

#include <getopt.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "common/log_levels.h"
#include "common/size.h"
#include "common/strings.h"
#include "monitoring/alerts/alert_rules.h"
#include "node/figures.h"
#include "node/version.h"

namespace tessera::node {
namespace {

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
    "  --overcommit-by limits|working-sets\n"
    "                       what of each slice counts for that: its limit (default), or what it has needed\n"
    "                       of late\n"
    "  --working-set-window SECONDS\n"
    "                       how late, 8 to 3600 (default: 60)\n"
    "  --residence-round SECONDS\n"
    "                       within which everybody has such a turn, 1 to 3600 (default: 26)\n"
    "  --swap-codec CODEC   how what waits is stored: none (default), adaptive, lz4, zstd or snappy\n"
    "  --swap-encrypt       and encrypted, by a key of each process that is nowhere else\n"
    "  --swap-host SIZE     as much of the host's memory is for what waits, as 8GiB (default: all of it)\n"
    "  --swap-dir FOLDER    what does not find room there goes to files of this folder\n"
    "  --swap-neighbour auto|always|never\n"
    "                       whether memory that nobody has or is promised on other GPUs is used before the\n"
    "                       host's: where that is measured to be faster (default), always or never\n"
    "  --mps                keep slices in space to their SMs by NVIDIA's Multi-Process Service, where its\n"
    "                       control daemon runs; a fault of one program then ends those of all\n"
    "  --packing POLICY     where slices go that name no GPU: spread (default) or binpack\n"
    "  --refuse-faulty      programs that keep failing on the GPU have to wait for their next slice\n"
    "  --round-the-gate warn|hard|stop\n"
    "                       what becomes of processes that use a GPU beside their turns: a warning "
    "(default),\n"
    "                       their slice is held to its share, or they are killed\n"
    "  --http ADDRESS:PORT  answer over HTTP there, as 127.0.0.1:9400: /metrics for Prometheus, /api/v1/, "
    "the page\n"
    "  --http-token FILE    whoever asks there must carry the token in FILE; needed beyond the loopback\n"
    "  --http-compat NAMES  /metrics has the names of dcgm-exporter (dcgm), HAMi (hami) or both, too\n"
    "  --history FILE       keep figures of the past in FILE: an hour of samples, a day of minutes, a month\n"
    "  --alerts FILE        judge figures by the rules in FILE (YAML), see docs/alerts.md\n"
    "  --alert-webhook URL  post each alert there when it fires and when it is resolved\n"
    "  --alert-secret FILE  and sign it with the secret in FILE\n"
    "  --log-level LEVEL    error, warn (default), info or debug\n"
    "  --version, --help\n";

int usage_error(const char* format, const char* text) {
  fprintf(stderr, "tesserad: ");
  fprintf(stderr, format, text);
  fprintf(stderr, "; see 'tesserad --help'\n");
  return kExitUsage;
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

bool is_figure(std::string_view name) { return find_figure(name) != nullptr; }

// The daemon leaves the folder that it was started in.
std::string absolute(const char* path) {
  char folder[PATH_MAX];
  if (path[0] == '/' || getcwd(folder, sizeof folder) == nullptr) return path;
  return std::string(folder) + "/" + path;
}

}  // namespace

std::optional<int> parse_command_line(int argc, char** argv, CommandLine& options) {
  enum {
    kSocket = 256,
    kForeground,
    kIdleExit,
    kOrder,
    kTimeSlice,
    kCoExecution,
    kOvercommit,
    kOvercommitBy,
    kWorkingSetWindow,
    kResidenceRound,
    kSwapCodec,
    kSwapEncrypt,
    kSwapHost,
    kSwapDir,
    kSwapNeighbour,
    kMps,
    kPacking,
    kRefuseFaulty,
    kRoundTheGate,
    kHttp,
    kHttpToken,
    kHttpCompat,
    kHistory,
    kAlerts,
    kAlertWebhook,
    kAlertSecret,
    kLogLevel,
    kVersionFlag,
    kHelpFlag,
    kPrintInventory,
    kTellInventory,
    kPrintXids,
    kKeepHistory,
    kSendWebhooks
  };
  static const option kOptions[] = {{"socket", required_argument, nullptr, kSocket},
                                    {"foreground", no_argument, nullptr, kForeground},
                                    {"idle-exit", required_argument, nullptr, kIdleExit},
                                    {"order", required_argument, nullptr, kOrder},
                                    {"time-slice", required_argument, nullptr, kTimeSlice},
                                    {"co-execution", required_argument, nullptr, kCoExecution},
                                    {"overcommit", required_argument, nullptr, kOvercommit},
                                    {"overcommit-by", required_argument, nullptr, kOvercommitBy},
                                    {"working-set-window", required_argument, nullptr, kWorkingSetWindow},
                                    {"residence-round", required_argument, nullptr, kResidenceRound},
                                    {"swap-codec", required_argument, nullptr, kSwapCodec},
                                    {"swap-encrypt", no_argument, nullptr, kSwapEncrypt},
                                    {"swap-host", required_argument, nullptr, kSwapHost},
                                    {"swap-dir", required_argument, nullptr, kSwapDir},
                                    {"swap-neighbour", required_argument, nullptr, kSwapNeighbour},
                                    {"mps", no_argument, nullptr, kMps},
                                    {"packing", required_argument, nullptr, kPacking},
                                    {"refuse-faulty", no_argument, nullptr, kRefuseFaulty},
                                    {"round-the-gate", required_argument, nullptr, kRoundTheGate},
                                    {"http", required_argument, nullptr, kHttp},
                                    {"http-compat", required_argument, nullptr, kHttpCompat},
                                    {"http-token", required_argument, nullptr, kHttpToken},
                                    {"history", required_argument, nullptr, kHistory},
                                    {"alerts", required_argument, nullptr, kAlerts},
                                    {"alert-webhook", required_argument, nullptr, kAlertWebhook},
                                    {"alert-secret", required_argument, nullptr, kAlertSecret},
                                    {"log-level", required_argument, nullptr, kLogLevel},
                                    {"version", no_argument, nullptr, kVersionFlag},
                                    {"help", no_argument, nullptr, kHelpFlag},
                                    // What InventoryMonitor starts: asks the driver, prints, and ends; or
                                    // asks again for each line that it is told.
                                    {"print-inventory", no_argument, nullptr, kPrintInventory},
                                    {"tell-inventory", no_argument, nullptr, kTellInventory},
                                    // What XidMonitor starts: waits for the driver's events, prints them.
                                    {"print-xids", no_argument, nullptr, kPrintXids},
                                    // What the history and the alerts start.
                                    {"keep-history", no_argument, nullptr, kKeepHistory},
                                    {"send-webhooks", no_argument, nullptr, kSendWebhooks},
                                    {nullptr, 0, nullptr, 0}};
  HttpOptions http;
  bool serves_http = false;
  opterr = 0;
  for (;;) {
    int next = getopt_long(argc, argv, ":", kOptions, nullptr);
    switch (next) {
      case -1:
        if (optind < argc) return usage_error("unexpected argument '%s'", argv[optind]);
        if (serves_http) options.http = std::move(http);
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
      case kOvercommitBy:
        if (strcmp(optarg, "limits") != 0 && strcmp(optarg, "working-sets") != 0) {
          return usage_error("--overcommit-by is limits or working-sets, not '%s'", optarg);
        }
        options.counts_needs = strcmp(optarg, "working-sets") == 0;
        break;
      case kWorkingSetWindow: {
        const auto seconds = parse_uint(optarg);
        if (!seconds || *seconds < 8 || *seconds > 3600) {
          return usage_error("--working-set-window needs 8 to 3600 seconds, not '%s'", optarg);
        }
        options.working_set_window_s = *seconds;
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
      case kSwapNeighbour: {
        const auto use = memory::parse_neighbour_use(optarg);
        if (!use) return usage_error("--swap-neighbour is auto, always or never, not '%s'", optarg);
        options.swap.neighbour_use = *use;
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
      case kHttp:
        if (const auto address = parse_http_address(optarg); address.ok()) {
          http.address = *address;
          serves_http = true;
          break;
        } else {
          return usage_error("--http: %s", address.status().message().c_str());
        }
      case kHttpToken:
        if (const auto token = read_http_token(optarg); token.ok()) {
          http.token = *token;
          break;
        } else {
          return usage_error("--http-token: %s", token.status().message().c_str());
        }
      case kHttpCompat:
        if (const auto names = parse_compat_names(optarg)) {
          http.compat = *names;
          break;
        }
        return usage_error("--http-compat is dcgm, hami or both separated by a comma, not '%s'", optarg);
      case kHistory:
        if (*optarg == '\0') return usage_error("--history needs a file%s", "");
        options.history = absolute(optarg);
        break;
      case kAlerts:
        if (auto rules = monitoring::read_alert_rules(optarg, is_figure); rules.ok()) {
          options.rules = std::move(*rules);
          break;
        } else {
          return usage_error("--alerts: %s", rules.status().message().c_str());
        }
      case kAlertWebhook:
        if (const Status fine = check_webhook_url(optarg); !fine.ok())
          return usage_error("--alert-webhook: %s", fine.message().c_str());
        options.webhook.url = optarg;
        break;
      case kAlertSecret:
        if (const auto secret = read_http_token(optarg); secret.ok()) {
          options.webhook.secret = *secret;
          options.webhook_secret_file = absolute(optarg);
          break;
        } else {
          return usage_error("--alert-secret: %s", secret.status().message().c_str());
        }
      case kKeepHistory:
        options.keep_history = true;
        break;
      case kSendWebhooks:
        options.send_webhooks = true;
        break;
      case kLogLevel:
        if (!log_set_levels(optarg)) {
          return usage_error(
              "--log-level is error, warn, info or debug, or such for modules, as warn,gate=debug, not '%s'",
              optarg);
        }
        break;
      case kPrintInventory:
        options.print_inventory = true;
        break;
      case kTellInventory:
        options.tell_inventory = true;
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

}  // namespace tessera::node
