// The daemon's end of the lease protocol, as small as it can be: one slice, a thread per connection. A peer
// for tests of the client; the node daemon itself has its own tests.
#pragma once

#include <condition_variable>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "virtualization/lease/connection.h"

namespace tessera::test {

class TestDaemon {
 public:
  struct Options {
    uint64_t limit_bytes = 64 << 20;
    uint64_t chunk_bytes = 1 << 20;
    std::vector<std::string> uuids = {"GPU-00000000-0000-0000-0000-000000000000"};
  };

  explicit TestDaemon(Options options);
  TestDaemon() : TestDaemon(Options{}) {}
  ~TestDaemon();

  const std::string& socket_path() const { return path_; }
  std::string token_text() const { return std::string(64, 'a'); }
  vgpu::SliceToken token() const { return *vgpu::parse_slice_token(token_text()); }

  void set_limit(uint64_t bytes);
  // As after a limit was set below what is granted, or when enough of that has come back.
  void set_lowered(bool lowered);
  uint64_t granted_bytes();
  size_t connection_count();
  const vgpu::DeviceCounters& counters() const { return counters_->devices[0]; }
  // Asks the last attached process for budget; what it gave back.
  uint64_t recall(uint64_t bytes);
  // Closes every connection and listens no more.
  void stop();
  // Answers nothing from now on.
  void fall_silent() { silent_ = true; }

 private:
  void accept_loop();
  void serve(int socket);
  void handle(int socket, const vgpu::MessageHeader& header, const char* payload, uint64_t& granted);
  void attach(int socket, const vgpu::MessageHeader& header, const char* payload);
  void reply(int socket, vgpu::MessageType type, uint32_t request, const void* payload, size_t bytes,
             std::vector<int> descriptors = {});

  Options options_;
  std::string folder_;
  std::string path_;
  UniqueFd listener_;
  UniqueFd counter_file_;
  UniqueFd grant_file_;
  vgpu::CounterPage* counters_ = nullptr;
  vgpu::GrantPage* grants_ = nullptr;
  std::thread acceptor_;
  std::atomic<bool> silent_{false};

  std::mutex mutex_;
  std::condition_variable recalled_;
  std::vector<std::thread> servers_;
  std::map<int, bool> open_;
  uint64_t granted_ = 0;
  int last_attached_ = -1;
  std::optional<uint64_t> recall_answer_;
};

}  // namespace tessera::test
