// What looking at many vGPUs costs.
//
//   bench_monitoring scrape DAEMON [VGPUS [ROUNDS]]      how long a scrape of /metrics takes, beside sending
//   the same
//                                                        bytes over a bare socket, and putting as many lines
//                                                        together
//   bench_monitoring sampling DAEMON [VGPUS [SECONDS]]   how much of a processor history, alerts and sensors
//   take, of
//                                                        the daemon and all that it starts, with 8 GPUs;
//                                                        beside the same daemon without them
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstring>
#include <fstream>
#include <map>
#include <numeric>
#include <optional>
#include <thread>

#include "bench/many_vgpus.h"
#include "common/clock.h"
#include "common/strings.h"

namespace {

using namespace tessera;
using namespace tessera::bench;

constexpr uint32_t kGpus = 8;
constexpr int kFirstOnes = 3;
// An answer is given again for 200 ms; each scrape is to be made anew.
constexpr auto kBetween = std::chrono::milliseconds(250);

uint16_t port_of(const std::string& address) {
  return static_cast<uint16_t>(parse_uint(address.substr(address.rfind(':') + 1)).value_or(0));
}

// All that comes from there until its end, after `request`.
std::string receive_all(uint16_t port, std::string_view request) {
  UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) return {};
  if (send(socket.get(), request.data(), request.size(), MSG_NOSIGNAL) < 0) return {};
  std::string text;
  std::array<char, 64 * 1024> part;
  for (ssize_t count; (count = read(socket.get(), part.data(), part.size())) > 0;)
    text.append(part.data(), static_cast<size_t>(count));
  return text;
}

// Sends the same to each who connects and says something, until it is shut.
class BareServer {
 public:
  explicit BareServer(std::string text)
      : text_(std::move(text)), listener_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), size) != 0 ||
        listen(listener_.get(), 8) != 0 ||
        getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0)
      exit(1);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  ~BareServer() {
    shutdown(listener_.get(), SHUT_RDWR);
    thread_.join();
  }
  uint16_t port() const { return port_; }

 private:
  void serve() {
    for (;;) {
      UniqueFd client(accept(listener_.get(), nullptr, nullptr));
      if (!client) return;
      std::array<char, 4096> request;
      if (read(client.get(), request.data(), request.size()) <= 0) continue;
      for (size_t done = 0; done < text_.size();) {
        const ssize_t count = send(client.get(), text_.data() + done, text_.size() - done, MSG_NOSIGNAL);
        if (count <= 0) break;
        done += static_cast<size_t>(count);
      }
    }
  }
  const std::string text_;
  UniqueFd listener_;
  uint16_t port_ = 0;
  std::thread thread_;
};

// Lines as those of `like`, put together anew from names and numbers that are there already.
size_t put_together(const std::vector<std::pair<std::string, double>>& samples) {
  std::string text;
  std::array<char, 32> number;
  for (const auto& [name, value] : samples) {
    text += name;
    text += ' ';
    const auto end = std::to_chars(number.data(), number.data() + number.size(), value);
    text.append(number.data(), end.ptr);
    text += '\n';
  }
  return text.size();
}

std::vector<std::pair<std::string, double>> samples_of(const std::string& text) {
  std::vector<std::pair<std::string, double>> samples;
  for (const std::string_view line : split(text, '\n')) {
    const size_t space = line.rfind(' ');
    if (line.empty() || line[0] == '#' || space == std::string_view::npos) continue;
    samples.emplace_back(line.substr(0, space), strtod(std::string(line.substr(space)).c_str(), nullptr));
  }
  return samples;
}

class Times {
 public:
  template <typename Work>
  void measure(Work work) {
    const uint64_t begin_ns = monotonic_ns();
    work();
    ms_.push_back(static_cast<double>(monotonic_ns() - begin_ns) / 1e6);
  }
  // The least that so large a part of them is no longer than.
  double quantile(double part) const {
    std::vector<double> sorted = ms_;
    std::sort(sorted.begin(), sorted.end());
    const double rank = std::ceil(part * static_cast<double>(sorted.size()));
    return sorted[static_cast<size_t>(std::max(rank, 1.0)) - 1];
  }
  void print(const char* what) const {
    printf("%-34s p50 %7.2f ms   p99 %7.2f ms   longest %7.2f ms\n", what, quantile(0.5), quantile(0.99),
           quantile(1));
  }

 private:
  std::vector<double> ms_;
};

int scrape(const std::string& program, size_t count, size_t rounds) {
  setenv("SOFTGPU_DEVICES", std::to_string(kGpus).c_str(), 1);
  const OwnDaemon daemon(program, {"--http", "127.0.0.1:0"});
  ManyVgpus vgpus(daemon, count, kGpus);
  const uint16_t port = port_of(node::json_string(daemon.ask({{"op", "info"}}), "http"));
  const std::string request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
  vgpus.work();
  const std::string first = receive_all(port, request);
  const auto samples = samples_of(first);
  BareServer bare(first);
  Times first_ones, scraped, sent, together;
  size_t bytes = 0;
  // The first few take the memory that all after them have: told by themselves, as a bare socket's is.
  for (int i = 0; i < kFirstOnes; ++i) {
    std::this_thread::sleep_for(kBetween);
    first_ones.measure([&] { (void)receive_all(port, request); });
    (void)receive_all(bare.port(), request);
  }
  for (size_t i = 0; i < rounds; ++i) {
    vgpus.work();
    std::this_thread::sleep_for(kBetween);
    scraped.measure([&] { bytes = receive_all(port, request).size(); });
    sent.measure([&] { (void)receive_all(bare.port(), request); });
    together.measure([&] { (void)put_together(samples); });
  }
  printf("%zu vGPUs, %zu samples, %.1f MB, %zu scrapes\n", count, samples.size(),
         static_cast<double>(bytes) / 1e6, rounds);
  printf("the longest of the first %d           %7.2f ms\n", kFirstOnes, first_ones.quantile(1));
  scraped.print("scrape of /metrics");
  sent.print("the same bytes by a bare socket");
  together.print("as many lines put together");
  const double floor = sent.quantile(0.5) + together.quantile(0.5);
  printf("a scrape takes %.2f times both (p50)\n", scraped.quantile(0.5) / floor);
  return bytes > 0 ? 0 : 1;
}

// Of the threads of a process, to the nanosecond.
double thread_seconds(const std::filesystem::path& process) {
  double ns = 0;
  std::error_code gone;
  for (const auto& task : std::filesystem::directory_iterator(process / "task", gone)) {
    double ran = 0;
    if (std::ifstream(task.path() / "schedstat") >> ran) ns += ran;
  }
  return ns / 1e9;
}

// By its first argument.
std::string what_it_does(const std::filesystem::path& process) {
  std::ifstream file(process / "cmdline");
  std::string word;
  std::getline(file, word, '\0');
  std::getline(file, word, '\0');
  return word;
}

// Processor time of a process and of those that it has started, living and ended, by process.
std::map<std::string, double> used_seconds(pid_t pid) {
  std::map<std::string, double> used;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    std::ifstream file(entry.path() / "stat");
    std::string line;
    if (!isdigit(entry.path().filename().string()[0]) || !std::getline(file, line)) continue;
    const auto fields = split(std::string_view(line).substr(line.rfind(')') + 2), ' ');
    if (fields.size() < 15) continue;
    const auto number = [&](size_t i) { return static_cast<double>(parse_uint(fields[i]).value_or(0)); };
    const bool is_it = parse_uint(entry.path().filename().string()) == static_cast<uint64_t>(pid);
    const bool is_child = parse_uint(fields[1]) == static_cast<uint64_t>(pid);
    if (is_it) used["ended children"] = (number(13) + number(14)) / static_cast<double>(sysconf(_SC_CLK_TCK));
    if (is_it) used["tesserad"] = thread_seconds(entry.path());
    if (is_child) used["child " + what_it_does(entry.path())] = thread_seconds(entry.path());
  }
  return used;
}

double sum(const std::map<std::string, double>& parts) {
  return std::accumulate(parts.begin(), parts.end(), 0.0,
                         [](double so_far, const auto& part) { return so_far + part.second; });
}

// In percent of a processor, by process.
std::map<std::string, double> measure_sampling(const std::string& program, size_t count, double seconds,
                                               bool on) {
  setenv("SOFTGPU_DEVICES", std::to_string(kGpus).c_str(), 1);
  char folder[] = "/tmp/tessera-history-XXXXXX";
  const std::string own = mkdtemp(folder);
  std::ofstream(own + "/rules.yaml") << "rules:\n- {name: full, metric: slice_memory_used_bytes, of: "
                                        "slice_memory_limit_bytes, above: 0.95, for: 30s}\n"
                                        "- {name: hot, metric: gpu_temperature_celsius, above: 90}\n";
  std::vector<std::string> options;
  if (on) options = {"--history", own + "/history", "--alerts", own + "/rules.yaml"};
  std::map<std::string, double> percent;
  {
    const OwnDaemon daemon(program, options);
    ManyVgpus vgpus(daemon, count, kGpus);
    std::this_thread::sleep_for(std::chrono::seconds(5));
    auto before = used_seconds(daemon.pid());
    const uint64_t begin_ns = monotonic_ns();
    while (monotonic_ns() - begin_ns < static_cast<uint64_t>(seconds * 1e9)) {
      vgpus.work();
      std::this_thread::sleep_for(std::chrono::milliseconds(500));
    }
    const double gone = static_cast<double>(monotonic_ns() - begin_ns) / 1e9;
    for (const auto& [part, used] : used_seconds(daemon.pid())) percent[part] = used;
    for (const auto& [part, used] : before) percent[part] -= used;
    for (auto& [part, used] : percent) used *= 100 / gone;
  }
  std::filesystem::remove_all(own);
  return percent;
}

void print(const char* what, const std::map<std::string, double>& percent) {
  printf("%s %.3f %% of a processor:", what, sum(percent));
  for (const auto& [part, used] : percent) {
    if (used != 0) printf(" %s %.3f", part.c_str(), used);
  }
  printf("\n");
}

int sampling(const std::string& program, size_t count, double seconds) {
  const auto without = measure_sampling(program, count, seconds, false);
  const auto with = measure_sampling(program, count, seconds, true);
  printf("%u GPUs, %zu vGPUs with a process each, over %.0f s, daemon and its children:\n", kGpus, count,
         seconds);
  print("without history and alerts ", without);
  print("with them                  ", with);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string what = argc > 2 ? argv[1] : "";
  const auto number = [&](int i, uint64_t otherwise) {
    return argc > i ? parse_uint(argv[i]).value_or(otherwise) : otherwise;
  };
  if (what == "scrape") return scrape(argv[2], number(3, 1000), number(4, 100));
  if (what == "sampling") return sampling(argv[2], number(3, 100), static_cast<double>(number(4, 30)));
  fprintf(stderr, "usage: bench_monitoring scrape|sampling TESSERAD [VGPUS [ROUNDS or SECONDS]]\n");
  return 2;
}
