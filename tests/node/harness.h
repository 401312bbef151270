// A daemon and its clients in one thread: the test steps the daemon while a client waits.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "common/clock.h"
#include "common/log.h"
#include "node/client.h"
#include "node/daemon.h"

namespace tessera::node {

inline constexpr uint64_t kPatienceNs = 10'000'000'000;
inline constexpr const char* kUuid = "GPU-11111111-2222-3333-4444-555555555555";

class TestDaemon {
 public:
  explicit TestDaemon(uint64_t gpu_bytes = uint64_t{1} << 30, const std::string& driver_kind = "software",
                      Machine machine = {}) {
    log_set_level(LogLevel::kError);
    char name[] = "/tmp/tessera-node-XXXXXX";
    folder_ = mkdtemp(name);
    path_ = folder_ + "/s";
    std::string answer = R"({"ok":true,"driver_kind":")" + driver_kind + R"(","gpus":[{"uuid":")" +
                         std::string(kUuid) +
                         R"(","name":"Test GPU","pci":"0000:30:00.0","used_bytes":0,"total_bytes":)" +
                         std::to_string(gpu_bytes) + "}]}";
    DaemonOptions options;
    options.inventory_command = {"/bin/echo", answer};
    options.machine = std::move(machine);
    daemon_ = Daemon::create(listen_on(path_).value(), options).value();
    EXPECT_TRUE(daemon_->start().ok());
  }
  ~TestDaemon() { std::filesystem::remove_all(folder_); }

  Daemon& operator*() { return *daemon_; }
  Daemon* operator->() { return daemon_.get(); }
  Ledger& ledger() { return daemon_->leases().ledger(); }
  const std::string& path() const { return path_; }

  // Steps until `done`; false if that takes too long.
  bool until(const std::function<bool()>& done) {
    uint64_t deadline_ns = monotonic_ns() + kPatienceNs;
    while (!done()) {
      if (monotonic_ns() > deadline_ns) return false;
      EXPECT_TRUE(daemon_->step(2'000'000).ok());
    }
    return true;
  }

  // A slice with a holder that lives as long as the test.
  Token open_slice(uint64_t bytes, uint8_t tag = 1, const std::string& program = "test") {
    SliceRequest request;
    request.program = program;
    request.token.fill(tag);
    request.owner = geteuid();
    request.memory_bytes = {bytes};
    EXPECT_TRUE(daemon_->leases().open_slice(request).ok());
    return request.token;
  }
  uint64_t granted() {
    uint64_t total = 0;
    for (const auto& [id, slice] : ledger().slices()) total += slice.devices[0].granted_bytes;
    return total;
  }

 private:
  std::string folder_;
  std::string path_;
  std::unique_ptr<Daemon> daemon_;
};

// Speaks the process's side of the protocol.
class TestClient {
 public:
  explicit TestClient(const std::string& path) : socket_(connect_to(path).value()) {}

  int descriptor() const { return socket_.get(); }
  void close() { socket_.reset(); }
  bool send(const std::string& packet) { return send_packet(socket_.get(), packet) == SendResult::kSent; }
  void attach(const Token& token) { present(vgpu::MessageType::kAttach, token); }
  void observe(const Token& token) { present(vgpu::MessageType::kObserve, token); }
  void query(uint32_t device) {
    send(encode_struct(vgpu::MessageType::kQuery, ++request_, vgpu::QueryRequest{device, 0}));
  }
  void list_processes() { send(encode_message(vgpu::MessageType::kListProcesses, ++request_, "")); }
  void reserve(uint64_t needed, uint64_t wanted) {
    send(encode_struct(vgpu::MessageType::kReserve, ++request_,
                       vgpu::ReserveRequest{0, vgpu::BudgetKind::kLimit, needed, wanted, 0, {}}));
  }
  void release(uint64_t bytes) {
    send(encode_struct(vgpu::MessageType::kRelease, 0,
                       vgpu::ReleaseNotice{0, vgpu::BudgetKind::kLimit, bytes}));
  }
  void recalled(uint32_t number, uint64_t bytes) {
    send(encode_struct(vgpu::MessageType::kRecalled, number,
                       vgpu::RecalledReply{0, vgpu::BudgetKind::kLimit, bytes, 0, 0, 0}));
  }

  // The next packet with its descriptors; nothing yet, or at the end, gives an empty one.
  std::string receive(bool wait = false) {
    std::string buffer(vgpu::kMaxMessageBytes, '\0');
    std::array<char, CMSG_SPACE(4 * sizeof(int))> control{};
    iovec part{buffer.data(), buffer.size()};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    ssize_t count = recvmsg(socket_.get(), &message, MSG_CMSG_CLOEXEC | (wait ? 0 : MSG_DONTWAIT));
    ended_ = count == 0 || (count < 0 && errno != EAGAIN);
    buffer.resize(count > 0 ? static_cast<size_t>(count) : 0);
    cmsghdr* rights = count > 0 ? CMSG_FIRSTHDR(&message) : nullptr;
    if (rights != nullptr && rights->cmsg_type == SCM_RIGHTS) {
      size_t files = (rights->cmsg_len - CMSG_LEN(0)) / sizeof(int);
      for (size_t i = 0; i < files && i < 2; ++i) {
        int file;
        memcpy(&file, CMSG_DATA(rights) + i * sizeof file, sizeof file);
        pages[i].reset(file);
      }
    }
    return buffer;
  }
  std::string receive(TestDaemon& daemon) {
    std::string packet;
    daemon.until([&] {
      packet = receive();
      return !packet.empty() || ended_;
    });
    return packet;
  }
  template <typename T>
  std::optional<T> receive(TestDaemon& daemon, vgpu::MessageType type) {
    std::string packet = receive(daemon);
    if (auto header = read_at<vgpu::MessageHeader>(std::as_bytes(std::span<const char>(packet)), 0)) {
      last_request = header->request;
    }
    return decode_struct<T>(std::as_bytes(std::span<const char>(packet)), type);
  }
  // The text of the error that ends the connection.
  std::string error(TestDaemon& daemon) {
    std::string packet = receive(daemon);
    auto header = read_at<vgpu::MessageHeader>(std::as_bytes(std::span<const char>(packet)), 0);
    if (!header || header->type != vgpu::MessageType::kError) return "no error";
    receive(daemon);
    return ended_ ? packet.substr(sizeof *header) : "not closed";
  }
  bool ended() const { return ended_; }

  UniqueFd pages[2];
  uint32_t last_request = 0;

 private:
  void present(vgpu::MessageType type, const Token& token) {
    vgpu::AttachRequest request;
    std::copy(token.begin(), token.end(), request.token);
    send(encode_struct(type, ++request_, request));
  }

  UniqueFd socket_;
  uint32_t request_ = 0;
  bool ended_ = false;
};

// A child that runs `body` and ends with its result.
inline pid_t in_child(const std::function<int()>& body) {
  pid_t child = fork();
  if (child == 0) _exit(body());
  return child;
}

// Steps the daemon until the child has ended; its wait status.
inline int wait_for(TestDaemon& daemon, pid_t child) {
  int status = -1;
  EXPECT_TRUE(daemon.until([&] { return waitpid(child, &status, WNOHANG) == child; }));
  return status;
}

}  // namespace tessera::node
