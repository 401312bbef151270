// A tesserad of its own with many vGPUs of one process, whose counter pages say what nobody did.
#pragma once

#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "node/client.h"
#include "node/messages.h"
#include "virtualization/lease/client.h"

namespace tessera::bench {

template <typename T>
T expect(Result<T> result, const char* what) {
  if (result.ok()) return std::move(result).value();
  fprintf(stderr, "%s: %s\n", what, result.status().message().c_str());
  exit(1);
}

// In a folder of its own that ends with it.
class OwnDaemon {
 public:
  OwnDaemon(const std::string& program, std::vector<std::string> options) {
    char name[] = "/tmp/tessera-bench-XXXXXX";
    folder_ = mkdtemp(name);
    setenv("TESSERA_SOCKET", socket().c_str(), 1);
    setenv("SOFTGPU_STATE_DIR", (folder_ + "/devices").c_str(), 1);
    setenv("TESSERA_DRIVER", "software", 1);
    std::vector<std::string> words = {program, "--foreground", "--socket", socket()};
    words.insert(words.end(), options.begin(), options.end());
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    if (posix_spawn(&pid_, program.c_str(), nullptr, nullptr, arguments.data(), environ) != 0) exit(1);
    for (int i = 0; i < 500 && !node::ControlClient::connect(socket()).ok(); ++i) usleep(20'000);
  }
  ~OwnDaemon() {
    kill(pid_, SIGTERM);
    waitpid(pid_, nullptr, 0);
    std::filesystem::remove_all(folder_);
  }
  OwnDaemon(const OwnDaemon&) = delete;
  OwnDaemon& operator=(const OwnDaemon&) = delete;

  pid_t pid() const { return pid_; }
  std::string socket() const { return folder_ + "/tesserad.sock"; }
  std::string file(const std::string& name) const { return folder_ + "/" + name; }
  node::Json ask(const node::Json& request) const {
    auto client = expect(node::ControlClient::connect(socket()), "tesserad");
    return expect(client.ask(request), "tesserad");
  }

 private:
  std::string folder_;
  pid_t pid_ = 0;
};

class ManyVgpus {
 public:
  // Spread over the GPUs of the daemon.
  ManyVgpus(const OwnDaemon& daemon, size_t count, uint32_t gpus) {
    for (size_t i = 0; i < count; ++i) {
      node::Json request;
      request["op"] = "create_slice";
      request["program"] = "bench";
      request["name"] = "tenant-" + std::to_string(i);
      request["kept"] = true;
      request["gpus"] = {i % gpus};
      request["memory_bytes"] = {uint64_t{4} << 20};
      const node::Json made = daemon.ask(request);
      vgpu::SliceToken token{};
      const auto parsed = node::parse_token(node::json_string(made, "token"));
      std::copy(parsed->begin(), parsed->end(), token.begin());
      clients_.push_back(expect(vgpu::LeaseClient::attach(daemon.socket(), token), "attach"));
    }
  }
  // All of them have done something.
  void work() {
    for (const auto& client : clients_) {
      vgpu::DeviceCounters& counters = client->counters(0);
      const uint64_t launches = random_() % 1000;
      counters.launches.fetch_add(launches);
      counters.kernels.fetch_add(launches);
      counters.allocations.fetch_add(random_() % 10);
      counters.bytes_to_device.fetch_add(random_() % 1'000'000'000);
      counters.bytes_from_device.fetch_add(random_() % 1'000'000'000);
      counters.busy_ns.fetch_add(random_() % 1'000'000);
      counters.gate_waits.fetch_add(6);
      counters.timed_kernels.fetch_add(cuda::kRunTimeBuckets);
      for (auto& bucket : counters.gate_wait_buckets) bucket.fetch_add(1);
      for (auto& bucket : counters.timed_kernel_buckets) bucket.fetch_add(1);
    }
  }

 private:
  std::vector<std::unique_ptr<vgpu::LeaseClient>> clients_;
  std::mt19937_64 random_{1};
};

}  // namespace tessera::bench
