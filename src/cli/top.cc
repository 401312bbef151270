// tessera top: GPUs and slices as they are, in the terminal.
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <ctime>

#include "cli/commands.h"
#include "cli/top_screen.h"
#include "common/clock.h"
#include "node/client.h"

namespace tessera::cli {
namespace {

using node::Json;

constexpr uint64_t kNsPerMs = 1'000'000;

volatile sig_atomic_t ended_by_signal = 0;
void note_end(int) { ended_by_signal = 1; }

std::string clock_now() {
  const time_t now = time(nullptr);
  tm local{};
  localtime_r(&now, &local);
  char text[16];
  strftime(text, sizeof text, "%H:%M:%S", &local);
  return text;
}

Result<Json> ask_op(const std::string& socket, const char* op) {
  TESSERA_ASSIGN_OR_RETURN(auto client, node::ControlClient::connect(socket));
  Json request;
  request["op"] = op;
  return client.ask(request);
}

// Without a daemon there are GPUs all the same.
Result<TopSnapshot> look(const std::string& socket) {
  TopSnapshot snapshot;
  TESSERA_ASSIGN_OR_RETURN(const Json gpus, ask_gpus(socket));
  TESSERA_ASSIGN_OR_RETURN(const Json slices, ask_slices(socket));
  snapshot.gpus = node::json_array(gpus, "gpus");
  snapshot.slices = node::json_array(slices, "slices");
  if (const auto events = ask_op(socket, "events"); events.ok())
    snapshot.events = node::json_array(*events, "events");
  if (const auto alerts = ask_op(socket, "alerts"); alerts.ok())
    snapshot.alerts = node::json_array(*alerts, "alerts");
  snapshot.at_ns = monotonic_ns();
  snapshot.wall_ms = wall_ns() / kNsPerMs;
  snapshot.clock = clock_now();
  return snapshot;
}

int print_once(const TopOptions& options, bool colour) {
  auto snapshot = look(options.socket);
  if (!snapshot.ok()) {
    print_error("top", snapshot.status());
    return kExitFailure;
  }
  if (options.json) {
    Json object;
    object["gpus"] = snapshot->gpus;
    object["slices"] = snapshot->slices;
    object["events"] = snapshot->events;
    object["alerts"] = snapshot->alerts;
    puts(node::json_text(object, 2).c_str());
    return 0;
  }
  TopView view;
  view.colour = colour && isatty(STDOUT_FILENO) == 1;
  constexpr size_t kColumns = 120;
  const size_t lines = snapshot->gpus.size() * 3 + snapshot->slices.size() * 2 + 16;
  auto shown = top_lines(view, *snapshot, *snapshot, kColumns, lines);
  shown.pop_back();  // what keys do
  while (!shown.empty() && shown.back().empty()) shown.pop_back();
  for (const std::string& line : shown) puts(line.c_str());
  return 0;
}

// The terminal without echo and lines, on a screen of its own, until the end.
class Terminal {
 public:
  Terminal() {
    tcgetattr(STDIN_FILENO, &before_);
    termios raw = before_;
    raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO | ISIG);
    raw.c_cc[VMIN] = 0;
    raw.c_cc[VTIME] = 0;
    tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    put("\x1b[?1049h\x1b[?25l");
  }
  ~Terminal() {
    put("\x1b[?25h\x1b[?1049l");
    tcsetattr(STDIN_FILENO, TCSANOW, &before_);
  }
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  void draw(const TopView& view, const TopSnapshot& snapshot, const TopSnapshot& before) {
    winsize size{};
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0 || size.ws_row == 0)
      size = {24, 80, 0, 0};
    std::string frame = "\x1b[H";
    const auto lines = top_lines(view, snapshot, before, size.ws_col, size.ws_row);
    for (size_t i = 0; i < lines.size(); ++i) frame += (i == 0 ? "" : "\r\n") + lines[i] + "\x1b[K";
    put(frame);
  }

  // Keys that were typed within `ms`; an escape sequence is one.
  std::vector<std::string> keys(int ms) {
    pollfd input{STDIN_FILENO, POLLIN, 0};
    std::vector<std::string> typed;
    if (poll(&input, 1, ms) <= 0) return typed;
    char buffer[64];
    const ssize_t count = read(STDIN_FILENO, buffer, sizeof buffer);
    if (count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR))
      ended_by_signal = 1;  // the terminal is gone
    for (ssize_t i = 0; i < count; ++i) {
      std::string key(1, buffer[i]);
      if (buffer[i] == '\x1b' && i + 2 < count && buffer[i + 1] == '[') {
        key.assign(&buffer[i], 3);
        i += 2;
      }
      typed.push_back(key);
    }
    return typed;
  }

 private:
  static void put(const std::string& text) {
    fputs(text.c_str(), stdout);
    fflush(stdout);
  }
  termios before_{};
};

int watch(const TopOptions& options, bool colour) {
  for (const int signal : {SIGTERM, SIGHUP, SIGINT}) {
    struct sigaction action {};
    action.sa_handler = note_end;
    sigaction(signal, &action, nullptr);
  }
  auto first = look(options.socket);
  if (!first.ok()) {
    print_error("top", first.status());
    return kExitFailure;
  }
  TopSnapshot now = std::move(first).value(), before = now;
  TopView view;
  view.colour = colour;
  Terminal terminal;
  const auto interval_ns = static_cast<uint64_t>(options.seconds * 1e9);
  while (ended_by_signal == 0) {
    terminal.draw(view, now, before);
    const uint64_t due_ns = now.at_ns + interval_ns, at_ns = monotonic_ns();
    for (const std::string& key :
         terminal.keys(static_cast<int>((due_ns - std::min(due_ns, at_ns)) / kNsPerMs) + 1)) {
      if (!top_key(view, now, key)) return 0;
    }
    if (monotonic_ns() < due_ns) continue;
    auto next = view.paused ? Result<TopSnapshot>(now) : look(options.socket);
    if (!next.ok()) {
      now.problem = next.status().message();
      now.at_ns = monotonic_ns();
      continue;
    }
    if (!view.paused) before = std::move(now);
    now = std::move(next).value();
    if (view.paused) now.at_ns = monotonic_ns();
  }
  return 0;
}

}  // namespace

int top_command(const TopOptions& options) {
  const char* no_colour = getenv("NO_COLOR");
  const char* terminal = getenv("TERM");
  const bool plain = terminal != nullptr && std::string_view(terminal) == "dumb";
  const bool colour = !options.no_colour && (no_colour == nullptr || *no_colour == '\0') && !plain;
  if (options.once) return print_once(options, colour);
  if (isatty(STDIN_FILENO) != 1 || isatty(STDOUT_FILENO) != 1) {
    fprintf(stderr,
            "tessera top: this is no terminal; 'tessera top --once' prints once, with --json for programs\n");
    return kExitUsage;
  }
  return watch(options, colour);
}

}  // namespace tessera::cli
