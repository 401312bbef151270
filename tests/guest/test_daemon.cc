#include "test_daemon.h"

#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

namespace tessera::test {

using vgpu::MessageType;

namespace {

void* make_page(UniqueFd& file, const char* name) {
  file.reset(memfd_create(name, MFD_CLOEXEC));
  if (ftruncate(file.get(), vgpu::kPageBytes) != 0) abort();
  return mmap(nullptr, vgpu::kPageBytes, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
}

}  // namespace

TestDaemon::TestDaemon(Options options) : options_(std::move(options)) {
  char folder[] = "/tmp/tessera-test-XXXXXX";
  folder_ = mkdtemp(folder);
  path_ = folder_ + "/socket";
  counters_ = static_cast<vgpu::CounterPage*>(make_page(counter_file_, "counters"));
  grants_ = static_cast<vgpu::GrantPage*>(make_page(grant_file_, "grants"));
  set_limit(options_.limit_bytes);
  listener_.reset(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path_.c_str(), sizeof address.sun_path - 1);
  if (bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) abort();
  listen(listener_.get(), 16);
  acceptor_ = std::thread([this] { accept_loop(); });
}

TestDaemon::~TestDaemon() {
  stop();
  munmap(counters_, vgpu::kPageBytes);
  munmap(grants_, vgpu::kPageBytes);
  unlink(path_.c_str());
  rmdir(folder_.c_str());
}

void TestDaemon::stop() {
  if (!acceptor_.joinable()) return;
  shutdown(listener_.get(), SHUT_RDWR);
  acceptor_.join();
  std::vector<std::thread> servers;
  {
    std::lock_guard lock(mutex_);
    for (auto& [socket, open] : open_) shutdown(socket, SHUT_RDWR);
    servers.swap(servers_);
  }
  for (std::thread& server : servers) server.join();
}

void TestDaemon::set_limit(uint64_t bytes) {
  std::lock_guard lock(mutex_);
  options_.limit_bytes = bytes;
  for (vgpu::DeviceGrant& grant : grants_->devices) grant.limit_bytes = bytes;
}

void TestDaemon::set_lowered(bool lowered) {
  std::lock_guard lock(mutex_);
  for (vgpu::DeviceGrant& grant : grants_->devices) grant.lowered = lowered ? 1 : 0;
}

uint64_t TestDaemon::granted_bytes() {
  std::lock_guard lock(mutex_);
  return granted_;
}

size_t TestDaemon::connection_count() {
  std::lock_guard lock(mutex_);
  return open_.size();
}

uint64_t TestDaemon::recall(uint64_t bytes) {
  std::unique_lock lock(mutex_);
  recall_answer_.reset();
  vgpu::RecallNotice notice{0, vgpu::BudgetKind::kLimit, bytes};
  reply(last_attached_, MessageType::kRecall, 77, &notice, sizeof notice);
  recalled_.wait(lock, [&] { return recall_answer_.has_value(); });
  return *recall_answer_;
}

void TestDaemon::accept_loop() {
  for (;;) {
    int socket = accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC);
    if (socket < 0) return;
    std::lock_guard lock(mutex_);
    open_[socket] = true;
    servers_.emplace_back([this, socket] { serve(socket); });
  }
}

void TestDaemon::serve(int socket) {
  uint64_t granted = 0;
  std::vector<char> packet(vgpu::kMaxMessageBytes);
  for (;;) {
    ssize_t size = recv(socket, packet.data(), packet.size(), 0);
    if (size < static_cast<ssize_t>(sizeof(vgpu::MessageHeader))) break;
    if (silent_) continue;
    vgpu::MessageHeader header;
    std::memcpy(&header, packet.data(), sizeof header);
    std::lock_guard lock(mutex_);
    handle(socket, header, packet.data() + sizeof header, granted);
  }
  std::lock_guard lock(mutex_);
  granted_ -= granted;
  open_.erase(socket);
  close(socket);
}

void TestDaemon::handle(int socket, const vgpu::MessageHeader& header, const char* payload,
                        uint64_t& granted) {
  switch (header.type) {
    case MessageType::kAttach:
    case MessageType::kObserve:
      return attach(socket, header, payload);
    case MessageType::kReserve: {
      vgpu::ReserveRequest request;
      std::memcpy(&request, payload, sizeof request);
      uint64_t left = options_.limit_bytes - std::min(options_.limit_bytes, granted_);
      uint64_t grant = request.bytes_needed <= left ? std::min(left, request.bytes_wanted) : 0;
      granted_ += grant;
      granted += grant;
      vgpu::ReservedReply answer{grant, options_.limit_bytes, counters().used_bytes, 0,
                                 vgpu::Refusal::kLimit};
      return reply(socket, MessageType::kReserved, header.request, &answer, sizeof answer);
    }
    case MessageType::kRelease:
    case MessageType::kRecalled: {
      vgpu::ReleaseNotice notice;
      std::memcpy(&notice, payload, sizeof notice);
      granted_ -= notice.bytes;
      granted -= notice.bytes;
      if (header.type == MessageType::kRecalled) recall_answer_ = notice.bytes;
      recalled_.notify_all();
      return;
    }
    case MessageType::kQuery: {
      vgpu::UsageReply usage{options_.limit_bytes, counters().used_bytes, granted_};
      return reply(socket, MessageType::kUsage, header.request, &usage, sizeof usage);
    }
    case MessageType::kListProcesses: {
      vgpu::ProcessesReply processes{};
      processes.count = 1;
      processes.pids[0] = 4242;
      return reply(socket, MessageType::kProcesses, header.request, &processes, sizeof processes);
    }
    default:
      shutdown(socket, SHUT_RDWR);
  }
}

void TestDaemon::attach(int socket, const vgpu::MessageHeader& header, const char* payload) {
  vgpu::SliceToken expected = token();
  if (std::memcmp(payload, expected.data(), expected.size()) != 0) {
    std::string text = "no slice has this token";
    reply(socket, MessageType::kError, header.request, text.data(), text.size());
    shutdown(socket, SHUT_RDWR);
    return;
  }
  vgpu::AttachedReply slice{};
  slice.device_count = static_cast<uint32_t>(options_.uuids.size());
  std::strncpy(slice.slice_name, "test", sizeof slice.slice_name - 1);
  for (size_t i = 0; i < options_.uuids.size(); ++i) {
    std::strncpy(slice.devices[i].uuid, options_.uuids[i].c_str(), vgpu::kUuidBytes - 1);
    slice.devices[i].limit_bytes = options_.limit_bytes;
    slice.devices[i].chunk_bytes = options_.chunk_bytes;
    slice.devices[i].numa_node = vgpu::kNoNumaNode;
  }
  bool observes = header.type == MessageType::kObserve;
  if (!observes) last_attached_ = socket;
  reply(socket, MessageType::kAttached, header.request, &slice, sizeof slice,
        observes ? std::vector<int>{} : std::vector<int>{counter_file_.get(), grant_file_.get()});
}

void TestDaemon::reply(int socket, MessageType type, uint32_t request, const void* payload, size_t bytes,
                       std::vector<int> descriptors) {
  vgpu::MessageHeader header;
  header.type = type;
  header.request = request;
  header.payload_bytes = static_cast<uint32_t>(bytes);
  iovec parts[] = {{&header, sizeof header}, {const_cast<void*>(payload), bytes}};
  msghdr message{};
  message.msg_iov = parts;
  message.msg_iovlen = 2;
  alignas(cmsghdr) char control[CMSG_SPACE(2 * sizeof(int))] = {};
  if (!descriptors.empty()) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(descriptors.size() * sizeof(int));
    cmsghdr* rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(descriptors.size() * sizeof(int));
    std::memcpy(CMSG_DATA(rights), descriptors.data(), descriptors.size() * sizeof(int));
  }
  [[maybe_unused]] ssize_t sent = sendmsg(socket, &message, MSG_NOSIGNAL);
}

}  // namespace tessera::test
