#include "remote/client/connection.h"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <memory>
#include <mutex>

#include "common/clock.h"
#include "common/log.h"
#include "common/size.h"
#include "common/strings.h"
#include "remote/client/installs.h"
#include "remote/client/request.h"
#include "remote/client/servers.h"
#include "remote/client/session.h"
#include "remote/session/client.h"
#include "remote/session/exchange.h"
#include "remote/transport/address.h"
#include "remote/transport/spinner.h"
#include "remote/wire/regions.h"

namespace tessera::remote {
namespace {

constexpr uint64_t kConnectNs = 20'000'000'000;
constexpr uint64_t kStripeNs = 5'000'000'000;
constexpr std::chrono::microseconds kSpin(30);

struct Server {
  unsigned place = 0;
  Address address;
  SessionId id{};
  std::mutex secret_lock;  // it changes while others use it
  Secret secret{};
  std::unique_ptr<Session> session;
};

struct Connected {
  RemoteConfig config;
  bool asks_only = false;  // no calls follow
  Credentials credentials;
  std::vector<std::unique_ptr<Server>> servers;
  std::unique_ptr<ServerInfo> info;
};

constinit std::atomic<Session*> sessions[kMostServers] = {};
constinit std::atomic<unsigned> servers{1};
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

// Tries until the grace is over: the server parks the session as long. `dial`: until when one attempt may
// last.
template <typename Dial>
Result<std::unique_ptr<Transport>> keep_trying(const Server& server, const Status& broken, Dial dial) {
  if (has_ended.load()) return Status(Code::kFailedPrecondition, "the program ends");
  const Connected& c = connected();
  LOG_WARN("remote", "the connection to %s has broken (%s): coming back to the session",
           to_text(server.address).c_str(), broken.message().c_str());
  const uint64_t until = monotonic_ns() + static_cast<uint64_t>(c.config.grace_seconds * 1e9);
  for (uint64_t pause = 50'000'000;; pause = std::min<uint64_t>(pause * 2, 2'000'000'000)) {
    auto transport = dial(std::min(until, monotonic_ns() + 5'000'000'000));
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

Result<std::unique_ptr<Transport>> come_back(Server& server, const Status& broken) {
  return keep_trying(server, broken, [&](uint64_t deadline_ns) {
    std::lock_guard lock(server.secret_lock);
    return resume_session(server.address, connected().credentials, server.id, server.secret, deadline_ns);
  });
}

Status prepare(Connected& c) {
  TESSERA_ASSIGN_OR_RETURN(const std::vector<Address> addresses, parse_addresses(c.config.server));
  if (addresses.size() > kMostServers)
    return Status::error(Code::kInvalidArgument, "%zu servers are named, of at most %u", addresses.size(),
                         kMostServers);
  for (const Address& address : addresses) {
    auto server = std::make_unique<Server>();
    server->place = static_cast<unsigned>(c.servers.size());
    server->address = address;
    c.servers.push_back(std::move(server));
  }
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

// A session there, of which nothing has been said yet.
Result<std::unique_ptr<Link>> open_link(Server& server, const Address& address) {
  const Connected& c = connected();
  TESSERA_ASSIGN_OR_RETURN(
      Opened opened, open_session(address, c.credentials, c.config.wishes, monotonic_ns() + kConnectNs));
  server.address = address;
  server.id = opened.session;
  server.secret = opened.secret;
  LinkOptions options;
  options.checked = c.config.checksums;
  if (may_spin()) options.spin = kSpin;
  if (server.address.flavour != Flavour::kShm)
    options.reconnect = [&server](const Status& broken) { return come_back(server, broken); };
  return std::make_unique<Link>(std::move(opened.transport), std::move(options));
}

// Where it was, or else where others are; until the grace is over.
Result<std::unique_ptr<Link>> reopen(Server& server) {
  std::vector<Address> candidates = {server.address};
  for (const auto& other : connected().servers) {
    if (other.get() != &server && other->address != server.address) candidates.push_back(other->address);
  }
  const uint64_t until = monotonic_ns() + static_cast<uint64_t>(connected().config.grace_seconds * 1e9);
  for (uint64_t pause = 50'000'000;; pause = std::min<uint64_t>(pause * 2, 1'000'000'000)) {
    if (has_ended.load()) return Status(Code::kFailedPrecondition, "the program ends");
    Status why;
    for (const Address& address : candidates) {
      auto link = open_link(server, address);
      if (link.ok()) return link;
      why = link.status();
    }
    if (monotonic_ns() + pause > until) return why;
    const timespec wait{static_cast<time_t>(pause / 1'000'000'000), static_cast<long>(pause % 1'000'000'000)};
    nanosleep(&wait, nullptr);
  }
}

Status connect(const Connected& c, Server& server) {
  TESSERA_ASSIGN_OR_RETURN(auto link, open_link(server, server.address));
  server.session = std::make_unique<Session>(std::move(link), server.place, to_text(server.address));
  if (c.config.durable) {
    DurabilityOptions options;
    options.journal_bytes = c.config.journal_bytes;
    server.session->make_durable(std::make_unique<Durability>(options, [&server] { return reopen(server); }));
  }
  sessions[server.place].store(server.session.get());
  return Status();
}

// A further connection of the session, for large payloads: the server is told which one it is.
Result<std::unique_ptr<Transport>> dial_stripe(Server& server, size_t index) {
  const uint64_t deadline_ns = monotonic_ns() + kStripeNs;
  std::lock_guard lock(server.secret_lock);
  TESSERA_ASSIGN_OR_RETURN(auto transport, open_stripe(server.address, connected().credentials, server.id,
                                                       server.secret, deadline_ns));
  const uint64_t number = index;
  TESSERA_RETURN_IF_ERROR(send_all(*transport, std::as_bytes(std::span(&number, 1)), deadline_ns));
  return transport;
}

Result<std::unique_ptr<Link>> connect_stripe(Server& server, size_t index) {
  TESSERA_ASSIGN_OR_RETURN(auto transport, dial_stripe(server, index));
  LinkOptions options;
  options.checked = connected().config.checksums;
  options.reconnect = [&server, index](const Status& broken) {
    return keep_trying(server, broken, [&](uint64_t) { return dial_stripe(server, index); });
  };
  return std::make_unique<Link>(std::move(transport), std::move(options));
}

// Fields of the answer to kHello, in the order the worker writes them.
// What all have together: what one lacks is not there.
void read_info(Request& hello, unsigned server, ServerInfo& info) {
  const int version = hello.next_value<int>();
  info.driver_version = server == 0 ? version : std::min(info.driver_version, version);
  uint64_t count = 0;
  const auto* entries = hello.next_array<uint8_t>(&count);
  info.entries.resize(cuda::kDriverEntriesCount, 1);
  for (size_t i = 0; i < info.entries.size(); ++i) {
    if (i >= count || entries[i] == 0) info.entries[i] = 0;
  }
  const auto devices = hello.next_value<uint32_t>();
  for (uint32_t i = 0; i < devices && i < 256; ++i) {
    RemoteDevice device;
    device.server = server;
    device.local = static_cast<CUdevice>(i);
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
  info.uses_area = hello.next_value<uint32_t>() != 0;
}

// The first message to a server: what it has is a part of `info` then.
CUresult greet(Server& server, ServerInfo& info) {
  Request hello(Message::kHello, false);
  hello.to(server.place)
      .value<uint64_t>(kCallsDigest)
      .value<uint32_t>(0)
      .value<uint64_t>(first_number(server.place));
  const bool is_placed = server.place != 0 || connected().config.durable;
  hello.value<uint64_t>(is_placed ? region_of(server.place) : 0);
  // Of who only asks nothing is hidden, as NVML has it.
  for (const char* name : kDriverSettings) hello.text(connected().asks_only ? nullptr : getenv(name));
  const CUresult result = hello.run();
  if (result == CUDA_SUCCESS) {
    read_info(hello, server.place, info);
    if (connected().asks_only) return result;
    // What can be made again is what the journal has seen go by, with all of its bytes.
    const bool is_durable = connected().config.durable, is_wire = server.address.flavour != Flavour::kShm;
    server.session->bulk().begin({is_wire, info.keeps_content && !is_durable, info.uses_area && !is_durable,
                                  is_wire && !is_durable ? connected().config.stripes : 1},
                                 [&server](size_t index) { return connect_stripe(server, index); });
    server.session->start_keeping();
  } else if (result == CUDA_ERROR_SYSTEM_DRIVER_MISMATCH) {
    LOG_ERROR("remote", "the server %s has another version of Tessera; both ends must be of the same one",
              to_text(server.address).c_str());
  } else {
    LOG_ERROR("remote", "the driver of the server %s does not start: error %d",
              to_text(server.address).c_str(), result);
  }
  return result;
}

// All of them, or none: a program that was promised a list of GPUs has no use for a part of it.
void begin(Connected& c) {
  Status status = prepare(c);
  for (size_t i = 0; i < c.servers.size() && status.ok(); ++i) {
    status = connect(c, *c.servers[i]);
    if (!status.ok() && c.servers.size() > 1)
      status = status.with_context(str_format("server %zu of %zu", i + 1, c.servers.size()));
  }
  if (!status.ok()) {
    LOG_ERROR("remote", "no GPU at %s: %s", c.config.server.c_str(), status.message().c_str());
    return;
  }
  servers.store(static_cast<unsigned>(c.servers.size()));
  c.info = std::make_unique<ServerInfo>();
  for (const auto& server : c.servers) {
    c.info->init_result = greet(*server, *c.info);
    if (c.info->init_result != CUDA_SUCCESS) break;
  }
  current_info.store(c.info.get(), std::memory_order_release);
}

void end_sessions() {
  for (auto& place : sessions) {
    if (Session* found = place.exchange(nullptr)) found->goodbye();
  }
}

// After the exit handlers and destructors of the program, which may still call the driver.
__attribute__((destructor)) void say_goodbye() {
  has_ended.store(true);
  end_sessions();
}

void after_fork_in_child() {
  // Threads and the connection are the parent's. A child of a program that has begun with CUDA cannot go on
  // with it.
  for (auto& place : sessions) {
    Session* found = place.exchange(nullptr);
    if (found == nullptr) continue;
    is_forked_child = true;
    found->abandon();
  }
}

}  // namespace

unsigned server_count() { return servers.load(std::memory_order_relaxed); }

Session* session_of(unsigned server) {
  return server < kMostServers ? sessions[server].load(std::memory_order_acquire) : nullptr;
}

unsigned current_server() {
  if (!has_several_servers()) return 0;
  CUcontext current = this_thread().current();
  return current == nullptr ? 0 : server_of(reinterpret_cast<uint64_t>(current));
}

Session* session() { return session_of(current_server()); }

unsigned server_of_device(CUdevice device) {
  const ServerInfo* info = current_info.load(std::memory_order_acquire);
  const RemoteDevice* found = info == nullptr ? nullptr : info->device(device);
  return found == nullptr ? 0 : found->server;
}

// What is none stays none: the server says so.
CUdevice local_device(CUdevice device) {
  if (!has_several_servers()) return device;
  const RemoteDevice* found = current_info.load()->device(device);
  if (found != nullptr) return found->local;
  return device < 0 ? device : CU_DEVICE_INVALID;
}

CUdevice global_device(unsigned server, CUdevice device) {
  if (!has_several_servers()) return device;
  const std::vector<RemoteDevice>& all = current_info.load()->devices;
  const auto found = std::find_if(all.begin(), all.end(), [&](const RemoteDevice& one) {
    return one.server == server && one.local == device;
  });
  return found == all.end() ? device : static_cast<CUdevice>(found - all.begin());
}

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
  config.durable = env_or("TESSERA_SERVER_DURABLE", "off") == "on";
  auto journal = parse_size(env_or("TESSERA_SERVER_JOURNAL", "256MiB"));
  if (!journal.ok()) return journal.status().with_context("TESSERA_SERVER_JOURNAL");
  config.journal_bytes = *journal;
  const std::string grace = env_or("TESSERA_SERVER_GRACE", "60");
  char* end = nullptr;
  config.grace_seconds = strtod(grace.c_str(), &end);
  if (end == grace.c_str() || *end != '\0' || config.grace_seconds < 0 || config.grace_seconds > 86400) {
    return Status::error(Code::kInvalidArgument, "TESSERA_SERVER_GRACE=%s: seconds, 0 to 86400, are expected",
                         grace.c_str());
  }
  const std::string stripes = env_or("TESSERA_SERVER_STRIPES", "4");
  const auto count = parse_uint(stripes);
  if (!count || *count < 1 || *count > Stripes::kMost) {
    return Status::error(Code::kInvalidArgument, "TESSERA_SERVER_STRIPES=%s: 1 to %zu are expected",
                         stripes.c_str(), Stripes::kMost);
  }
  config.stripes = *count;
  return config;
}

const ServerInfo* server_info() {
  const ServerInfo* info = current_info.load(std::memory_order_acquire);
  if (info != nullptr || has_tried.load(std::memory_order_acquire)) return info;
  std::lock_guard lock(connecting());
  if (has_tried.load()) return current_info.load();
  begin(connected());
  has_tried.store(true, std::memory_order_release);
  return current_info.load();
}

const ServerInfo* server_info_alone(RemoteConfig config) {
  connected().config = std::move(config);
  connected().asks_only = true;
  const ServerInfo* const info = server_info();
  end_sessions();
  return info;
}

bool is_forked_from_one_with_cuda() { return is_forked_child; }
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
