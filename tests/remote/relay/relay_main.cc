// remote_relay: a network that is as bad as it is told to be, between clients and a server.
//
//   remote_relay --to HOST:PORT [--listen HOST:PORT] [--seed N] [NAME=VALUE...]
//
// Prints the port it listens on. Names are those of the command table below, with times in microseconds; each
// is a command on standard input, too, as are: cut, reset, refuse, accept, hold, release, connections, ever
// (how many there have been), bytes (up and down). A command is answered by a line, "ok" where it has nothing
// else to say. It ends at the end of standard input.
#include <poll.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "common/strings.h"
#include "tests/remote/relay/relay.h"

namespace tessera::remote {
namespace {

constexpr uint64_t kNsPerUs = 1000;
constexpr uint64_t kStepNs = 1'000'000'000;

// Where a setting's number goes, and in which unit it is said.
uint64_t* setting(Conditions& conditions, std::string_view name, uint64_t* unit) {
  const struct {
    std::string_view name;
    uint64_t* value;
    uint64_t unit;
  } all[] = {{"delay", &conditions.delay_ns, kNsPerUs},   {"jitter", &conditions.jitter_ns, kNsPerUs},
             {"merge", &conditions.merge_ns, kNsPerUs},   {"stall", &conditions.stall_ns, kNsPerUs},
             {"rate", &conditions.bytes_per_second, 1},   {"corrupt-every", &conditions.corrupt_every, 1},
             {"reset-every", &conditions.reset_every, 1}, {"drop-every", &conditions.drop_every, 1},
             {"stall-every", &conditions.stall_every, 1}};
  for (const auto& one : all) {
    if (one.name != name) continue;
    *unit = one.unit;
    return one.value;
  }
  return nullptr;
}

bool set(Conditions& conditions, std::string_view text) {
  const size_t at = text.find('=');
  const auto value = at == std::string_view::npos ? std::nullopt : parse_uint(text.substr(at + 1));
  if (!value) return false;
  if (text.substr(0, at) == "split") {
    conditions.split = *value != 0;
    return true;
  }
  uint64_t unit = 1;
  uint64_t* const into = setting(conditions, text.substr(0, at), &unit);
  if (into == nullptr || *value > UINT64_MAX / unit) return false;
  *into = *value * unit;
  return true;
}

std::string command(Relay& relay, std::string_view text) {
  if (text == "cut" || text == "reset") {
    relay.cut(text == "reset");
  } else if (text == "refuse" || text == "accept") {
    relay.refuse(text == "refuse");
  } else if (text == "hold" || text == "release") {
    relay.hold(text == "hold");
  } else if (text == "connections") {
    return std::to_string(relay.connections());
  } else if (text == "ever") {
    return std::to_string(relay.connections_ever());
  } else if (text == "bytes") {
    return std::to_string(relay.bytes_up()) + " " + std::to_string(relay.bytes_down());
  } else if (!set(relay.conditions(), text)) {
    return "unknown command";
  }
  return "ok";
}

// False at the end of standard input.
bool read_commands(Relay& relay, std::string& pending) {
  char bytes[4096];
  const ssize_t count = read(STDIN_FILENO, bytes, sizeof bytes);
  if (count <= 0) return false;
  pending.append(bytes, static_cast<size_t>(count));
  for (size_t end; (end = pending.find('\n')) != std::string::npos; pending.erase(0, end + 1)) {
    puts(command(relay, trim(std::string_view(pending).substr(0, end))).c_str());
    fflush(stdout);
  }
  return pending.size() < sizeof bytes;
}

int fail(const std::string& message) {
  fprintf(stderr, "remote_relay: %s\n", message.c_str());
  return 2;
}

int relay_main(int argc, char** argv) {
  std::string to, listen = "127.0.0.1:0";
  uint64_t seed = 1;
  Conditions conditions;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i], next = i + 1 < argc ? argv[i + 1] : "";
    if (word == "--to" || word == "--listen" || word == "--seed") {
      if (word == "--to") to = next;
      if (word == "--listen") listen = next;
      if (word == "--seed") seed = strtoull(next.c_str(), nullptr, 0);
      ++i;
    } else if (!set(conditions, word)) {
      return fail("unknown setting '" + word + "'");
    }
  }
  const auto at = parse_address(listen, Purpose::kListen), server = parse_address(to);
  if (!at.ok()) return fail(at.status().message());
  if (!server.ok()) return fail(server.status().message());
  prctl(PR_SET_TIMERSLACK, 1UL);  // delays are tens of microseconds
  auto relay = Relay::create(*at, *server, conditions, seed);
  if (!relay.ok()) return fail(relay.status().message());
  printf("%u\n", (*relay)->port());
  fflush(stdout);
  for (std::string pending;;) {
    const Status stepped = (*relay)->step(kStepNs, STDIN_FILENO);
    if (!stepped.ok()) return fail(stepped.message());
    pollfd input{STDIN_FILENO, POLLIN, 0};
    if (poll(&input, 1, 0) > 0 && !read_commands(**relay, pending)) return 0;
  }
}

}  // namespace
}  // namespace tessera::remote

int main(int argc, char** argv) { return tessera::remote::relay_main(argc, argv); }
