#include "virtualization/lease/client.h"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <csignal>

#include "common/log.h"

namespace tessera::vgpu {
namespace {

constexpr size_t kReaderStackBytes = 256 * 1024;

Result<void*> map_page(const UniqueFd& file, int protection, const char* name) {
  struct stat status {};
  // Reading past the end of a file raises SIGBUS: a page that is not all there is refused here.
  if (fstat(file.get(), &status) != 0 || status.st_size < static_cast<off_t>(kPageBytes)) {
    return Status::error(Code::kInvalidData, "tesserad sent a %s page that is too short", name);
  }
  void* page = mmap(nullptr, kPageBytes, protection, MAP_SHARED, file.get(), 0);
  if (page == MAP_FAILED) return Status::from_errno(errno, "cannot map the %s page", name);
  // A forked child is another process: it must neither count here nor read this lease's limits.
  madvise(page, kPageBytes, MADV_DONTFORK);
  return page;
}

}  // namespace

Result<std::unique_ptr<LeaseClient>> LeaseClient::attach(const std::string& socket_path,
                                                         const SliceToken& token) {
  TESSERA_ASSIGN_OR_RETURN(Connection connection, Connection::open(socket_path));
  AttachRequest request{};
  std::copy(token.begin(), token.end(), request.token);
  TESSERA_RETURN_IF_ERROR(connection.send_struct(MessageType::kAttach, 1, request));
  TESSERA_ASSIGN_OR_RETURN(Packet answer, connection.receive(kAnswerTimeoutMs));
  TESSERA_ASSIGN_OR_RETURN(AttachedReply slice, checked_slice(answer));
  std::unique_ptr<LeaseClient> client(new LeaseClient(std::move(connection), slice));
  client->next_request_ = 2;
  TESSERA_RETURN_IF_ERROR(client->map_pages(answer.descriptors));
  return client;
}

Status LeaseClient::map_pages(const std::vector<UniqueFd>& descriptors) {
  if (descriptors.size() != 2) {
    return Status::error(Code::kInvalidData, "tesserad sent %zu descriptors instead of 2",
                         descriptors.size());
  }
  TESSERA_ASSIGN_OR_RETURN(void* counters, map_page(descriptors[0], PROT_READ | PROT_WRITE, "counter"));
  counters_ = static_cast<CounterPage*>(counters);
  TESSERA_ASSIGN_OR_RETURN(void* grants, map_page(descriptors[1], PROT_READ, "grant"));
  grants_ = static_cast<const GrantPage*>(grants);
  return Status();
}

LeaseClient::~LeaseClient() {
  if (started_) {
    closing_ = true;
    if (connection_.usable()) shutdown(connection_.descriptor(), SHUT_RDWR);
    pthread_join(thread_, nullptr);
  }
  if (counters_ != nullptr) munmap(counters_, kPageBytes);
  if (grants_ != nullptr) munmap(const_cast<GrantPage*>(grants_), kPageBytes);
}

Status LeaseClient::start(RecallHandler on_recall) {
  on_recall_ = std::move(on_recall);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, kReaderStackBytes);
  // The program's signals are the program's: none may be delivered on a thread it does not know.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int error = pthread_create(&thread_, &attributes, &LeaseClient::run, this);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_attr_destroy(&attributes);
  if (error != 0) return Status::from_errno(error, "cannot start the lease thread");
  started_ = true;
  pthread_setname_np(thread_, "tessera-lease");
  return Status();
}

void* LeaseClient::run(void* client) {
  static_cast<LeaseClient*>(client)->read_loop();
  return nullptr;
}

void LeaseClient::read_loop() {
  for (;;) {
    auto packet = connection_.receive(-1);
    if (!packet.ok()) return lose(packet.status());
    if (packet->header.type == MessageType::kError) {
      return lose(packet->as<UsageReply>(MessageType::kUsage).status());
    }
    dispatch(std::move(packet).value());
  }
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
  uint32_t device = late->second;
  late_reserves_.erase(late);
  lock.unlock();
  auto reply = packet.as<ReservedReply>(MessageType::kReserved);
  if (reply.ok() && reply->granted_bytes > 0) release(device, reply->granted_bytes);
}

void LeaseClient::serve_recall(const Packet& packet) {
  auto recall = packet.as<RecallNotice>(MessageType::kRecall);
  if (!recall.ok() || recall->device >= slice_.device_count) {
    LOG_WARN("lease", "a recall that makes no sense was passed over");
    return;
  }
  RecalledReply reply{};
  reply.device = recall->device;
  reply.bytes = on_recall_(recall->device, recall->bytes);
  std::lock_guard lock(mutex_);
  // A failure to send shows on the next receive.
  (void)connection_.send_struct(MessageType::kRecalled, packet.header.request, reply);
}

void LeaseClient::lose(const Status& reason) {
  std::lock_guard lock(mutex_);
  lose_locked(reason);
}

void LeaseClient::lose_locked(const Status& reason) {
  if (!lost_.ok()) return;
  lost_ = reason;
  for (auto& [request, waiter] : waiters_) waiter->answered.notify_one();
  waiters_.clear();
  if (closing_) return;
  LOG_WARN("lease",
           "%s; slice %s keeps the device memory it was granted and gets no more until the program is "
           "started again",
           reason.message().c_str(), slice_.slice_name);
}

template <typename T>
Result<Packet> LeaseClient::ask(MessageType type, const T& payload, std::optional<uint32_t> reserves_on) {
  Waiter waiter;
  std::unique_lock lock(mutex_);
  TESSERA_RETURN_IF_ERROR(lost_);
  uint32_t request = next_request_++;
  if (next_request_ == 0) next_request_ = 1;
  Status sent = connection_.send_struct(type, request, payload);
  if (!sent.ok() && !connection_.usable()) lose_locked(sent);
  TESSERA_RETURN_IF_ERROR(sent);
  waiters_[request] = &waiter;
  bool woken = waiter.answered.wait_for(lock, std::chrono::milliseconds(kAnswerTimeoutMs),
                                        [&] { return waiter.packet || !lost_.ok(); });
  if (waiter.packet) return std::move(*waiter.packet);
  if (woken) return lost_;
  waiters_.erase(request);
  if (reserves_on) late_reserves_[request] = *reserves_on;
  return Status::error(Code::kDeadlineExceeded, "tesserad has not answered for %d ms", kAnswerTimeoutMs);
}

Result<ReservedReply> LeaseClient::reserve(uint32_t device, uint64_t needed, uint64_t wanted) {
  ReserveRequest request{device, 0, needed, wanted};
  TESSERA_ASSIGN_OR_RETURN(Packet answer, ask(MessageType::kReserve, request, device));
  TESSERA_ASSIGN_OR_RETURN(ReservedReply reply, answer.as<ReservedReply>(MessageType::kReserved));
  if (reply.granted_bytes != 0 && (reply.granted_bytes < needed || reply.granted_bytes > wanted)) {
    return Status(Code::kInvalidData, "tesserad granted what was not asked for");
  }
  return reply;
}

void LeaseClient::release(uint32_t device, uint64_t bytes) {
  std::lock_guard lock(mutex_);
  if (!lost_.ok()) return;
  ReleaseNotice notice{device, 0, bytes};
  Status sent = connection_.send_struct(MessageType::kRelease, 0, notice);
  // Unsent, the daemon counts these bytes as ours until we end: too much, never too little.
  if (!sent.ok()) LOG_WARN("lease", "budget could not be given back: %s", sent.message().c_str());
}

Result<UsageReply> LeaseClient::query(uint32_t device) {
  QueryRequest request{device, 0};
  TESSERA_ASSIGN_OR_RETURN(Packet answer, ask(MessageType::kQuery, request, std::nullopt));
  return answer.as<UsageReply>(MessageType::kUsage);
}

void LeaseClient::abandon_in_child() { connection_.close(); }

}  // namespace tessera::vgpu
