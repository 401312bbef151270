#include "virtualization/lease/client.h"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>

#include "common/failpoint.h"
#include "common/log.h"
#include "virtualization/quiet_thread.h"

namespace tessera::vgpu {
namespace {

// At `place`, which it then replaces; anywhere where that is null.
Result<void*> map_page(const UniqueFd& file, int protection, const char* name, void* place = nullptr) {
  struct stat status {};
  // Reading past the end of a file raises SIGBUS: a page that is not all there is refused here.
  if (fstat(file.get(), &status) != 0 || status.st_size < static_cast<off_t>(kPageBytes)) {
    return Status::error(Code::kInvalidData, "tesserad sent a %s page that is too short", name);
  }
  int flags = MAP_SHARED | (place != nullptr ? MAP_FIXED : 0);
  void* page = mmap(place, kPageBytes, protection, flags, file.get(), 0);
  if (page == MAP_FAILED) return Status::from_errno(errno, "cannot map the %s page", name);
  // A forked child is another process: it must neither count here nor read this lease's limits.
  madvise(page, kPageBytes, MADV_DONTFORK);
  return page;
}

Status check_pages(const std::vector<UniqueFd>& descriptors) {
  if (descriptors.size() == 2) return Status();
  return Status::error(Code::kInvalidData, "tesserad sent %zu descriptors instead of 2", descriptors.size());
}

}  // namespace

Result<std::unique_ptr<LeaseClient>> LeaseClient::attach(const std::string& socket_path,
                                                         const SliceToken& token) {
  auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(kAwayPatienceMs);
  for (int pause_ms = kFirstPauseMs;; pause_ms = std::min(2 * pause_ms, kLongestPauseMs)) {
    auto client = attach_once(socket_path, token);
    if (client.ok() || client.status().code() != Code::kUnavailable ||
        std::chrono::steady_clock::now() >= deadline) {
      return client;
    }
    usleep(static_cast<useconds_t>(pause_ms) * 1000);
  }
}

Result<std::unique_ptr<LeaseClient>> LeaseClient::attach_once(const std::string& socket_path,
                                                              const SliceToken& token) {
  TESSERA_ASSIGN_OR_RETURN(Connection connection, Connection::open(socket_path));
  AttachRequest request{};
  std::copy(token.begin(), token.end(), request.token);
  TESSERA_RETURN_IF_ERROR(connection.send_struct(MessageType::kAttach, 1, request));
  failpoint("client.attach.sent");
  TESSERA_ASSIGN_OR_RETURN(Packet answer, connection.receive(kAnswerTimeoutMs));
  TESSERA_ASSIGN_OR_RETURN(AttachedReply slice, checked_slice(answer));
  std::unique_ptr<LeaseClient> client(new LeaseClient(std::move(connection), socket_path, token, slice));
  client->next_request_ = 2;
  failpoint("client.attach.answered");
  TESSERA_RETURN_IF_ERROR(client->map_pages(answer.descriptors));
  return client;
}

Status LeaseClient::map_pages(const std::vector<UniqueFd>& descriptors) {
  TESSERA_RETURN_IF_ERROR(check_pages(descriptors));
  TESSERA_ASSIGN_OR_RETURN(void* counters, map_page(descriptors[0], PROT_READ | PROT_WRITE, "counter"));
  counters_ = static_cast<CounterPage*>(counters);
  TESSERA_ASSIGN_OR_RETURN(void* grants, map_page(descriptors[1], PROT_READ, "grant"));
  grants_ = static_cast<const GrantPage*>(grants);
  return Status();
}

Status LeaseClient::replace_pages(const std::vector<UniqueFd>& descriptors) {
  TESSERA_RETURN_IF_ERROR(check_pages(descriptors));
  // Other threads count meanwhile: what they add between the copy and the exchange is lost, a few launches at
  // most; figures of memory are written again, see ReattachedHandler.
  TESSERA_ASSIGN_OR_RETURN(void* counters, map_page(descriptors[0], PROT_READ | PROT_WRITE, "counter"));
  auto copy = [](std::atomic<uint64_t>& to, const std::atomic<uint64_t>& from) {
    to.store(from.load(std::memory_order_relaxed), std::memory_order_relaxed);
  };
  for (size_t i = 0; i < kMaxDevicesPerSlice; ++i) {
    DeviceCounters& to = static_cast<CounterPage*>(counters)->devices[i];
    const DeviceCounters& from = counters_->devices[i];
    copy(to.used_bytes, from.used_bytes);
    copy(to.peak_bytes, from.peak_bytes);
    copy(to.refusals, from.refusals);
    copy(to.allocations, from.allocations);
    copy(to.frees, from.frees);
    copy(to.launches, from.launches);
    copy(to.bytes_to_device, from.bytes_to_device);
    copy(to.bytes_from_device, from.bytes_from_device);
    copy(to.busy_ns, from.busy_ns);
    copy(to.kernels, from.kernels);
    copy(to.fault, from.fault);
    copy(to.ready_ns, from.ready_ns);
    copy(to.ready_sm_ns, from.ready_sm_ns);
    copy(to.resident_bytes, from.resident_bytes);
    copy(to.evicted_bytes, from.evicted_bytes);
    copy(to.restored_bytes, from.restored_bytes);
    copy(to.out_bytes, from.out_bytes);
    copy(to.swap_host_bytes, from.swap_host_bytes);
    copy(to.swap_file_bytes, from.swap_file_bytes);
    copy(to.swap_neighbour_bytes, from.swap_neighbour_bytes);
    copy(to.graph_launches, from.graph_launches);
    copy(to.cooperative_launches, from.cooperative_launches);
    copy(to.bytes_on_device, from.bytes_on_device);
    copy(to.errors, from.errors);
    copy(to.gate_waits, from.gate_waits);
    copy(to.gate_wait_ns, from.gate_wait_ns);
    for (size_t bucket = 0; bucket < kWaitBuckets; ++bucket)
      copy(to.gate_wait_buckets[bucket], from.gate_wait_buckets[bucket]);
    copy(to.timed_kernels, from.timed_kernels);
    copy(to.timed_kernel_ns, from.timed_kernel_ns);
    for (size_t bucket = 0; bucket < cuda::kRunTimeBuckets; ++bucket)
      copy(to.timed_kernel_buckets[bucket], from.timed_kernel_buckets[bucket]);
    for (size_t way = 0; way < kHostCopies; ++way) copy(to.copy_waits[way], from.copy_waits[way]);
    copy(to.copy_wait_ns, from.copy_wait_ns);
  }
  munmap(counters, kPageBytes);
  TESSERA_RETURN_IF_ERROR(map_page(descriptors[0], PROT_READ | PROT_WRITE, "counter", counters_).status());
  return map_page(descriptors[1], PROT_READ, "grant", const_cast<GrantPage*>(grants_)).status();
}

LeaseClient::~LeaseClient() {
  if (started_) {
    {
      std::lock_guard lock(mutex_);
      closing_ = true;
      if (connection_.usable()) shutdown(connection_.descriptor(), SHUT_RDWR);
    }
    changed_.notify_all();
    pthread_join(thread_, nullptr);
  }
  if (counters_ != nullptr) munmap(counters_, kPageBytes);
  if (grants_ != nullptr) munmap(const_cast<GrantPage*>(grants_), kPageBytes);
}

Status LeaseClient::start(Handlers handlers) {
  handlers_ = std::move(handlers);
  TESSERA_ASSIGN_OR_RETURN(thread_, start_quiet_thread("tessera-lease", &LeaseClient::run, this));
  started_ = true;
  return Status();
}

void* LeaseClient::run(void* client) {
  static_cast<LeaseClient*>(client)->run_connections();
  return nullptr;
}

void LeaseClient::run_connections() {
  for (;;) {
    Status reason = read_loop();
    if (!lose(reason) || !attach_again()) return;
    handlers_.reattached();
  }
}

Status LeaseClient::read_loop() {
  for (;;) {
    TESSERA_ASSIGN_OR_RETURN(Packet packet, connection_.receive(-1));
    if (packet.header.type == MessageType::kError) return packet.as<UsageReply>(MessageType::kUsage).status();
    dispatch(std::move(packet));
  }
}

bool LeaseClient::attach_again() {
  int pause_ms = 0;
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      if (changed_.wait_for(lock, std::chrono::milliseconds(pause_ms), [&] { return closing_.load(); }))
        return false;
    }
    pause_ms = std::clamp(2 * pause_ms, kFirstPauseMs, kLongestPauseMs);
    Status attached = try_to_attach();
    if (attached.ok()) {
      LOG_WARN("lease", "attached to tesserad again; slice %s can be granted device memory again",
               slice_.slice_name);
      return true;
    }
    std::lock_guard lock(mutex_);
    bool turned_away = attached.code() == Code::kPermissionDenied;
    if (turned_away && !turned_away_) LOG_WARN("lease", "not attached again: %s", attached.message().c_str());
    turned_away_ = turned_away;
    lost_ = attached;
    changed_.notify_all();
  }
}

Status LeaseClient::try_to_attach() {
  TESSERA_ASSIGN_OR_RETURN(Connection connection, Connection::open(socket_path_));
  ReattachRequest request{};
  std::copy(token_.begin(), token_.end(), request.token);
  request.lease = slice_.lease;
  request.device_count = slice_.device_count;
  uint64_t epoch;
  {
    std::lock_guard lock(mutex_);
    epoch = ++epoch_;
    owed_ = {};  // in what the handler says now
  }
  for (uint32_t i = 0; i < request.device_count; ++i) {
    request.held_bytes[i] = handlers_.held(i, BudgetKind::kLimit, epoch);
    request.resident_bytes[i] = handlers_.held(i, BudgetKind::kResident, epoch);
    request.swap_bytes[i] = handlers_.held(i, BudgetKind::kSwap, epoch);
    request.neighbour_bytes[i] = handlers_.held(i, BudgetKind::kNeighbour, epoch);
  }
  {
    std::lock_guard lock(mutex_);  // it changes only while nothing is held
    for (uint32_t i = 0; i < request.device_count; ++i)
      neighbours_[i].copy(request.neighbours[i], sizeof request.neighbours[i] - 1);
  }
  failpoint("client.reattach.told");
  TESSERA_RETURN_IF_ERROR(connection.send_struct(MessageType::kReattach, 1, request));
  failpoint("client.reattach.sent");
  TESSERA_ASSIGN_OR_RETURN(Packet answer, connection.receive(kAnswerTimeoutMs));
  TESSERA_ASSIGN_OR_RETURN(AttachedReply slice, checked_slice(answer));
  if (slice.device_count != slice_.device_count) {
    return Status(Code::kInvalidData, "tesserad described another slice than before");
  }
  TESSERA_RETURN_IF_ERROR(replace_pages(answer.descriptors));
  failpoint("client.reattach.answered");
  std::lock_guard lock(mutex_);
  slice_.lease = slice.lease;
  connection_ = std::move(connection);
  reattachments_.fetch_add(1, std::memory_order_release);
  lost_ = Status();
  turned_away_ = false;
  for (BudgetKind kind :
       {BudgetKind::kLimit, BudgetKind::kResident, BudgetKind::kSwap, BudgetKind::kNeighbour}) {
    for (uint32_t i = 0; i < slice_.device_count; ++i) {
      uint64_t bytes = std::exchange(owed_[static_cast<size_t>(kind)][i], 0);
      // A failure to send shows on the next receive.
      if (bytes > 0) (void)connection_.send_struct(MessageType::kRelease, 0, ReleaseNotice{i, kind, bytes});
    }
  }
  changed_.notify_all();
  return Status();
}

void LeaseClient::dispatch(Packet packet) {
  if (packet.header.type == MessageType::kRecall) return serve_recall(packet);
  std::unique_lock lock(mutex_);
  uint32_t request = packet.header.request;
  auto waiter = waiters_.find(request);
  if (waiter != waiters_.end()) {
    waiter->second->packet = std::move(packet);
    waiter->second->answered.notify_one();
    waiters_.erase(waiter);
    return;
  }
  auto late = late_reserves_.find(request);
  if (late == late_reserves_.end()) return;
  const BudgetId of = late->second;
  uint64_t epoch = epoch_;
  late_reserves_.erase(late);
  lock.unlock();
  auto reply = packet.as<ReservedReply>(MessageType::kReserved);
  if (reply.ok() && reply->granted_bytes > 0) release(of.device, of.kind, reply->granted_bytes, epoch);
}

void LeaseClient::serve_recall(const Packet& packet) {
  auto recall = packet.as<RecallNotice>(MessageType::kRecall);
  if (!recall.ok() || recall->device >= slice_.device_count) {
    LOG_WARN("lease", "a recall that makes no sense was passed over");
    return;
  }
  const auto given = handlers_.recall(recall->device, recall->kind, recall->bytes, packet.header.request);
  if (!given) return;
  RecalledReply reply{recall->device, recall->kind, *given, 0, 0, 0};
  failpoint("client.recall.taken");
  std::lock_guard lock(mutex_);
  // A failure to send shows on the next receive.
  (void)connection_.send_struct(MessageType::kRecalled, packet.header.request, reply);
  failpoint("client.recall.sent");
}

void LeaseClient::recalled(const RecalledReply& reply, uint32_t number, uint64_t epoch) {
  std::lock_guard lock(mutex_);
  // The held bytes that were told since are without what this gives back.
  if (epoch != epoch_ || !lost_.ok()) return;
  (void)connection_.send_struct(MessageType::kRecalled, number,
                                reply);  // a failure shows on the next receive
}

// A daemon that is new, or gone, takes it for granted.
void LeaseClient::returned(uint32_t device) {
  std::lock_guard lock(mutex_);
  if (!lost_.ok()) return;
  (void)connection_.send_struct(MessageType::kReturned, 0, ReturnedNotice{device, 0});
}

void LeaseClient::set_neighbour(uint32_t device, std::string uuid) {
  std::lock_guard lock(mutex_);
  neighbours_[device] = std::move(uuid);
}

uint64_t LeaseClient::epoch() {
  std::lock_guard lock(mutex_);
  return epoch_;
}

bool LeaseClient::lose(const Status& reason) {
  std::lock_guard lock(mutex_);
  lost_ = reason;
  ended_ = closing_ || !connection_.usable();  // unusable: the program has closed it, and may again
  for (auto& [request, waiter] : waiters_) waiter->answered.notify_one();
  waiters_.clear();
  late_reserves_.clear();
  changed_.notify_all();
  if (closing_) return false;
  LOG_WARN("lease", "%s; slice %s keeps the device memory it was granted and gets no more until %s",
           reason.message().c_str(), slice_.slice_name,
           ended_ ? "the program is started again" : "tesserad is there again");
  return !ended_;
}

template <typename T>
Result<std::pair<Packet, uint64_t>> LeaseClient::ask(MessageType type, const T& payload,
                                                     std::optional<BudgetId> reserves_on) {
  Waiter waiter;
  std::unique_lock lock(mutex_);
  TESSERA_RETURN_IF_ERROR(lost_);
  uint64_t epoch = epoch_;
  uint32_t request = next_request_++;
  if (next_request_ == 0) next_request_ = 1;
  Status sent = connection_.send_struct(type, request, payload);
  if (!sent.ok() && !connection_.usable()) {
    lost_ = sent;
    ended_ = true;  // the thread will see it, later
  }
  TESSERA_RETURN_IF_ERROR(sent);
  if (reserves_on) failpoint("client.reserve.sent");
  waiters_[request] = &waiter;
  const auto is_over = [&] { return waiter.packet || !waiters_.contains(request); };
  bool woken = true;
  if (reserves_on && reserves_on->kind == BudgetKind::kResident) {
    waiter.answered.wait(lock, is_over);
  } else {
    woken = waiter.answered.wait_for(lock, std::chrono::milliseconds(kAnswerTimeoutMs), is_over);
  }
  if (waiter.packet) return std::pair(std::move(*waiter.packet), epoch);
  if (woken) return Status(Code::kUnavailable, "tesserad has ended");
  waiters_.erase(request);
  if (reserves_on) late_reserves_[request] = *reserves_on;
  return Status::error(Code::kDeadlineExceeded, "tesserad has not answered for %d ms", kAnswerTimeoutMs);
}

bool LeaseClient::wait_connected(std::chrono::steady_clock::time_point deadline) {
  std::unique_lock lock(mutex_);
  changed_.wait_until(lock, deadline, [&] { return lost_.ok() || turned_away_ || ended_; });
  return lost_.ok();
}

Result<LeaseClient::Grant> LeaseClient::reserve(uint32_t device, BudgetKind kind, uint64_t needed,
                                                uint64_t wanted, uint64_t out_bytes) {
  ReserveRequest request{device, kind, needed, wanted, out_bytes, {}};
  if (kind == BudgetKind::kNeighbour) {
    std::lock_guard lock(mutex_);
    neighbours_[device].copy(request.neighbour, sizeof request.neighbour - 1);
  }
  const BudgetId of{device, kind};
  const auto patience = std::chrono::milliseconds(kAwayPatienceMs);
  auto deadline = std::chrono::steady_clock::now() + patience;
  auto answer = ask(MessageType::kReserve, request, of);
  while (!answer.ok() && answer.status().code() != Code::kDeadlineExceeded) {
    // The daemon was there as long as it waited for others.
    if (kind == BudgetKind::kResident) deadline = std::chrono::steady_clock::now() + patience;
    if (std::chrono::steady_clock::now() >= deadline || !wait_connected(deadline)) break;
    answer = ask(MessageType::kReserve, request, of);
    // The thread may not have seen yet that this connection is at its end.
    if (!answer.ok()) usleep(1'000);
  }
  if (!answer.ok()) {
    std::lock_guard lock(mutex_);
    if (lost_.ok() || ended_ || turned_away_) return answer.status();
    return Status::error(
        Code::kUnavailable,
        "tesserad has not been there for %d s (%s); the program keeps what it was granted and "
        "attaches again by itself",
        kAwayPatienceMs / 1000, lost_.message().c_str());
  }
  TESSERA_ASSIGN_OR_RETURN(ReservedReply reply,
                           answer->first.template as<ReservedReply>(MessageType::kReserved));
  if (reply.granted_bytes != 0 && (reply.granted_bytes < needed || reply.granted_bytes > wanted)) {
    return Status(Code::kInvalidData, "tesserad granted what was not asked for");
  }
  return Grant{reply, answer->second};
}

void LeaseClient::release(uint32_t device, BudgetKind kind, uint64_t bytes, uint64_t epoch) {
  std::lock_guard lock(mutex_);
  if (epoch != epoch_) return;  // the held bytes that were told since are without them
  if (!lost_.ok()) {
    owed_[static_cast<size_t>(kind)][device] += bytes;
    return;
  }
  ReleaseNotice notice{device, kind, bytes};
  failpoint("client.release.begun");
  Status sent = connection_.send_struct(MessageType::kRelease, 0, notice);
  failpoint("client.release.sent");
  // Unsent, the daemon counts these bytes as ours until we end or attach again: too much, never too little.
  if (!sent.ok()) LOG_WARN("lease", "budget could not be given back: %s", sent.message().c_str());
}

Result<UsageReply> LeaseClient::query(uint32_t device) {
  QueryRequest request{device, 0};
  TESSERA_ASSIGN_OR_RETURN(auto answer, ask(MessageType::kQuery, request, std::nullopt));
  return answer.first.template as<UsageReply>(MessageType::kUsage);
}

Status LeaseClient::notify(MessageType type, const GateNotice& notice) {
  std::lock_guard lock(mutex_);
  TESSERA_RETURN_IF_ERROR(lost_);
  return connection_.send_struct(type, 0, notice);
}

bool LeaseClient::attached() {
  std::lock_guard lock(mutex_);
  return lost_.ok();
}

void LeaseClient::abandon_in_child() { connection_.close(); }

IndexSet LeaseClient::sms(uint32_t device) const {
  IndexSet::Words words{};
  for (size_t i = 0; i < words.size(); ++i) {
    words[i] = grants_->devices[device].sms[i].load(std::memory_order_relaxed);
  }
  return IndexSet::of_words(words);
}

}  // namespace tessera::vgpu
