#include "remote/client/connection.h"

#include <pthread.h>

#include <cstdlib>
#include <memory>
#include <mutex>

#include "common/clock.h"
#include "common/log.h"
#include "common/strings.h"
#include "remote/client/installs.h"
#include "remote/client/request.h"
#include "remote/client/session.h"
#include "remote/session/client.h"
#include "remote/transport/address.h"
#include "remote/transport/spinner.h"

namespace tessera::remote {
namespace {

constexpr uint64_t kConnectNs = 20'000'000'000;
constexpr std::chrono::microseconds kSpin(30);

struct Connected {
  RemoteConfig config;
  Address address;
  Credentials credentials;
  SessionId id{};
  Secret secret{};
  std::unique_ptr<Session> session;
  std::unique_ptr<ServerInfo> info;
};

constinit std::atomic<Session*> current_session{nullptr};
constinit std::atomic<const ServerInfo*> current_info{nullptr};
constinit std::atomic<bool> has_tried{false};
constinit std::atomic<bool> initialised{false};
constinit bool is_forked_child = false;
constinit std::atomic<bool> has_ended{false};
std::mutex& connecting() {
  static auto* lock = new std::mutex;
  return *lock;
}
Connected& connected() {
  static auto* found = new Connected;
  return *found;
}

// Tries until the grace is over: the server parks the session as long.
Result<std::unique_ptr<Transport>> come_back(const Status& broken) {
  if (has_ended.load()) return Status(Code::kFailedPrecondition, "the program ends");
  Connected& c = connected();
  LOG_WARN("remote", "the connection to %s has broken (%s): coming back to the session",
           to_text(c.address).c_str(), broken.message().c_str());
  const uint64_t until = monotonic_ns() + static_cast<uint64_t>(c.config.grace_seconds * 1e9);
  for (uint64_t pause = 50'000'000;; pause = std::min<uint64_t>(pause * 2, 2'000'000'000)) {
    auto transport = resume_session(c.address, c.credentials, c.id, c.secret,
                                    std::min(until, monotonic_ns() + 5'000'000'000));
    if (transport.ok()) {
      LOG_WARN("remote", "the session goes on");
      return transport;
    }
    const Code code = transport.status().code();
    const bool may_succeed = code == Code::kUnavailable || code == Code::kDeadlineExceeded;
    if (!may_succeed || monotonic_ns() + pause > until) return transport.status();
    timespec wait{static_cast<time_t>(pause / 1'000'000'000), static_cast<long>(pause % 1'000'000'000)};
    nanosleep(&wait, nullptr);
  }
}

Status prepare(Connected& c) {
  TESSERA_ASSIGN_OR_RETURN(c.address, parse_address(c.config.server));
  c.credentials.identity = c.config.identity;
  c.credentials.ca = c.config.ca;
  c.credentials.certificate = c.config.certificate;
  c.credentials.key = c.config.key;
  c.credentials.checksums = c.config.checksums;
  if (!c.config.token_file.empty()) {
    TESSERA_ASSIGN_OR_RETURN(c.credentials.token, read_token(c.config.token_file));
  }
  return Status();
}

Status connect(Connected& c) {
  TESSERA_RETURN_IF_ERROR(prepare(c));
  TESSERA_ASSIGN_OR_RETURN(
      Opened opened, open_session(c.address, c.credentials, c.config.wishes, monotonic_ns() + kConnectNs));
  c.id = opened.session;
  c.secret = opened.secret;
  LinkOptions options;
  options.checked = c.config.checksums;
  if (may_spin()) options.spin = kSpin;
  if (c.address.flavour != Flavour::kShm) options.reconnect = come_back;
  c.session =
      std::make_unique<Session>(std::make_unique<Link>(std::move(opened.transport), std::move(options)));
  current_session.store(c.session.get());
  return Status();
}

// Fields of the answer to kHello, in the order the worker writes them.
void read_info(Request& hello, ServerInfo& info) {
  info.driver_version = hello.next_value<int>();
  uint64_t count = 0;
  if (const auto* entries = hello.next_array<uint8_t>(&count)) info.entries.assign(entries, entries + count);
  info.entries.resize(cuda::kDriverEntriesCount);
  const auto devices = hello.next_value<uint32_t>();
  for (uint32_t i = 0; i < devices && i < 256; ++i) {
    RemoteDevice device;
    if (const char* name = hello.next_array<char>(&count))
      device.name.assign(name, count > 0 ? count - 1 : 0);
    device.uuid = hello.next_value<CUuuid>();
    device.total_bytes = hello.next_value<uint64_t>();
    if (const int* values = hello.next_array<int>(&count)) device.attributes.assign(values, values + count);
    if (const auto* has = hello.next_array<uint8_t>(&count)) device.has_attribute.assign(has, has + count);
    device.has_attribute.resize(device.attributes.size());
    info.devices.push_back(std::move(device));
  }
  info.keeps_content = hello.next_value<uint32_t>() != 0;
}

// After the exit handlers and destructors of the program, which may still call the driver.
__attribute__((destructor)) void say_goodbye() {
  has_ended.store(true);
  if (Session* found = current_session.exchange(nullptr)) found->goodbye();
}

void after_fork_in_child() {
  // Threads and the connection are the parent's. A child of a program that has begun with CUDA cannot go on
  // with it.
  is_forked_child = current_session.load() != nullptr;
  if (Session* found = current_session.exchange(nullptr)) found->abandon();
}

}  // namespace

Session* session() { return current_session.load(std::memory_order_acquire); }

CUresult without_session() {
  return has_ended.load() ? CUDA_ERROR_DEINITIALIZED : CUDA_ERROR_NOT_INITIALIZED;
}

Result<RemoteConfig> RemoteConfig::from_environment() {
  RemoteConfig config;
  config.server = env_or("TESSERA_SERVER", "");
  config.token_file = env_or("TESSERA_SERVER_TOKEN_FILE", "");
  config.identity = env_or("TESSERA_SERVER_IDENTITY", "");
  config.ca = env_or("TESSERA_SERVER_CA", "");
  config.certificate = env_or("TESSERA_SERVER_CERT", "");
  config.key = env_or("TESSERA_SERVER_KEY", "");
  config.wishes = env_or("TESSERA_SERVER_WISHES", "{}");
  config.checksums = env_or("TESSERA_SERVER_CHECKSUMS", "off") == "on";
  const std::string grace = env_or("TESSERA_SERVER_GRACE", "60");
  char* end = nullptr;
  config.grace_seconds = strtod(grace.c_str(), &end);
  if (end == grace.c_str() || *end != '\0' || config.grace_seconds < 0 || config.grace_seconds > 86400) {
    return Status::error(Code::kInvalidArgument, "TESSERA_SERVER_GRACE=%s: seconds, 0 to 86400, are expected",
                         grace.c_str());
  }
  return config;
}

const ServerInfo* server_info() {
  const ServerInfo* info = current_info.load(std::memory_order_acquire);
  if (info != nullptr || has_tried.load(std::memory_order_acquire)) return info;
  std::lock_guard lock(connecting());
  if (has_tried.load()) return current_info.load();
  Connected& c = connected();
  Status status = connect(c);
  if (status.ok()) {
    c.info = std::make_unique<ServerInfo>();
    Request hello(Message::kHello, false);
    hello.value<uint32_t>(0);
    for (const char* name : kDriverSettings) hello.text(getenv(name));
    c.info->init_result = hello.run();
    if (c.info->init_result == CUDA_SUCCESS) {
      read_info(hello, *c.info);
      c.session->bulk().begin(c.address.flavour != Flavour::kShm, c.info->keeps_content);
      c.session->start_threads();
    } else {
      LOG_ERROR("remote", "the server's driver does not start: error %d", c.info->init_result);
    }
    current_info.store(c.info.get(), std::memory_order_release);
  } else {
    LOG_ERROR("remote", "no GPU at %s: %s", c.config.server.c_str(), status.message().c_str());
  }
  has_tried.store(true, std::memory_order_release);
  return current_info.load();
}

bool is_initialised() { return initialised.load(std::memory_order_relaxed) && !is_forked_child; }
void set_initialised() { initialised.store(true, std::memory_order_relaxed); }

void install_remote(cuda::DriverTable& table, const cuda::DriverTable& exported, RemoteConfig config) {
  connected().config = std::move(config);
  install_generated_calls(table);
  install_device_calls(table);
  install_lookup_calls(table, exported);
  install_context_calls(table);
  install_stream_calls(table);
  install_code_calls(table);
  install_launch_calls(table);
  install_memory_calls(table);
  install_copy_calls(table);
  install_graph_calls(table);
  pthread_atfork(nullptr, nullptr, after_fork_in_child);
}

}  // namespace tessera::remote
