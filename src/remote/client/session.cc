#include "remote/client/session.h"

#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "common/clock.h"
#include "common/log.h"
#include "remote/client/callbacks.h"
#include "remote/client/launch.h"
#include "remote/client/servers.h"
#include "remote/wire/writer.h"
#include "virtualization/quiet_thread.h"

namespace tessera::remote {
namespace {

constexpr size_t kFlushAtBytes = 32 << 10;
constexpr size_t kBorrowFromBytes = 64 << 10;  // smaller payloads are copied, so that nobody waits for them
constexpr uint32_t kMostAnswerBytes = 256 << 20;
constexpr std::byte kPadding[8] = {};

void nap(uint64_t nanoseconds) {
  timespec pause{0, static_cast<long>(nanoseconds)};
  nanosleep(&pause, nullptr);
}

template <auto Body>
bool begin_thread(const char* name, Session* session) {
  const auto run = [](void* its) -> void* {
    (static_cast<Session*>(its)->*Body)();
    return nullptr;
  };
  const auto started = vgpu::start_quiet_thread(name, run, session);
  if (!started.ok()) LOG_ERROR("remote", "%s", started.status().message().c_str());
  return started.ok();
}

}  // namespace

Session::Session(std::unique_ptr<Link> link, unsigned server, std::string where)
    : link_(link.get()), server_(server), where_(std::move(where)), bulk_(*link) {
  links_.push_back(std::move(link));
}

uint64_t Session::append(ThreadState& thread, Link::Sender& sender, uint16_t op, uint16_t flags) {
  if (const uint64_t now = generation_.load(std::memory_order_relaxed);
      thread.told_generation[server_] != now) {
    thread.told_generation[server_] = now;
    thread.told[server_] = nullptr;
  }
  CUcontext current = thread.current();
  // It concerns this server, though the thread is about another: whatever was current here last will do.
  if (has_several_servers() && current_server() != server_) {
    current = thread.told[server_] != nullptr ? thread.told[server_] : some_context_of(server_);
  }
  if (thread.told[server_] != current) {
    struct {
      MessageHeader header;
      uint64_t context;
    } use;
    use.header = {sizeof use, static_cast<uint16_t>(Message::kUseContext), thread.number};
    use.context = reinterpret_cast<uint64_t>(current);
    sender.append(std::as_bytes(std::span(&use, 1)));
    thread.told[server_] = current;
  }
  const MessageHeader header{static_cast<uint32_t>(thread.message.size()), op,
                             static_cast<uint16_t>(thread.number | flags)};
  memcpy(thread.message.data(), &header, sizeof header);
  sender.append(thread.message);
  return durability_ == nullptr ? 0 : durability_->number_for(op, thread.message);
}

void Session::journal(ThreadState& thread, uint64_t number, ByteSpan payload, bool with_answer) {
  if (number == 0) return;
  durability_->keep(number, reinterpret_cast<uint64_t>(thread.told[server_]), thread.message, payload,
                    with_answer ? ByteSpan(thread.answer).subspan(sizeof(AnswerHead)) : ByteSpan());
}

CUresult Session::lost(const Status& why) {
  if (is_abandoned_.load()) return CUDA_ERROR_DEINITIALIZED;
  if (!has_said_lost_.exchange(true)) {
    LOG_ERROR(
        "remote", "the session with the GPU server %s is lost, and what it had on the GPU with it, %s: %s%s",
        where_.c_str(), Known::describe(server_).c_str(), why.message().c_str(),
        durability_ == nullptr ? "; with --durable it could be made again" : durability_->why_not().c_str());
  }
  return CUDA_ERROR_DEVICE_UNAVAILABLE;
}

CUresult Session::queue(ThreadState& thread, uint16_t op, uint16_t flags, ByteSpan payload) {
  if (is_abandoned_.load(std::memory_order_relaxed)) return CUDA_ERROR_NOT_INITIALIZED;
  if (durability_ != nullptr) checkpoint_if_due(op);
  const bool is_borrowed = payload.size() >= kBorrowFromBytes;
  uint64_t offset = 0;
  size_t unsent = 0;
  Link* link = nullptr;
  {
    const Epoch epoch = this->epoch();
    link = &this->link();
    Link::Sender sender(*link);
    const uint64_t number = append(thread, sender, op, flags);
    if (is_borrowed) {
      offset = sender.append_borrowed(payload);
    } else {
      sender.append(payload);
    }
    sender.append(ByteSpan(kPadding, padded(payload.size()) - payload.size()));
    unsent = sender.unsent_bytes();
    journal(thread, number, payload, false);
  }
  Status status;
  if (is_borrowed) {
    status = link->wait_taken(offset);
  } else if (unsent >= kFlushAtBytes) {
    status = link->flush();
  } else {
    status = wake_flusher();
  }
  // What is in the journal has been sent again.
  return status.ok() || recover(*link, status) ? CUDA_SUCCESS : lost(status);
}

CUresult Session::send_piece(ThreadState& thread, uint16_t op, uint16_t flags, ByteSpan payload,
                             bool is_borrowed, uint64_t* taken_at) {
  if (is_abandoned_.load(std::memory_order_relaxed)) return CUDA_ERROR_NOT_INITIALIZED;
  if (durability_ != nullptr) checkpoint_if_due(op);
  Link* its = nullptr;
  Status status;
  {
    const Epoch epoch = this->epoch();
    its = &link();
    Link::Sender sender(*its);
    thread.piece_link = its;
    const uint64_t number = append(thread, sender, op, flags);
    if (is_borrowed) {
      *taken_at = sender.append_borrowed(payload);
    } else {
      sender.append(payload);
    }
    sender.append(ByteSpan(kPadding, padded(payload.size()) - payload.size()));
    journal(thread, number, payload, false);
    status = sender.flush();
  }
  return status.ok() || recover(*its, status) ? CUDA_SUCCESS : lost(status);
}

CUresult Session::wait_taken(uint64_t offset) {
  Link& its = link();
  // A link that is over takes nothing any more.
  if (this_thread().piece_link != &its) return CUDA_SUCCESS;
  const Status status = its.wait_taken(offset);
  return status.ok() || recover(its, status) ? CUDA_SUCCESS : lost(status);
}

Status Session::exchange(ThreadState& thread, uint16_t op, uint16_t flags, ByteSpan payload,
                         std::span<std::byte> payload_to, Epoch epoch, Link& its) {
  thread.payload = payload_to;
  thread.payload_result = CUDA_SUCCESS;
  {
    std::lock_guard lock(turn_);
    thread.has_answer = false;
    if (threads_.size() <= thread.number) threads_.resize(thread.number + size_t{1});
    threads_[thread.number] = &thread;
  }
  uint64_t number = 0;
  Status status;
  {
    Link::Sender sender(its);
    number = append(thread, sender, op, flags | kAnswerWanted);
    if (!payload.empty()) {
      sender.append_borrowed(payload);
      sender.append(ByteSpan(kPadding, padded(payload.size()) - payload.size()));
    }
    status = sender.flush();
  }
  if (epoch.owns_lock()) epoch.unlock();
  if (status.ok()) status = await(its, thread);
  if (status.ok() && thread.answer.size() < sizeof(AnswerHead))
    status = Status(Code::kInvalidData, "an empty answer");
  if (!status.ok()) {
    std::lock_guard lock(turn_);
    if (threads_[thread.number] == &thread) threads_[thread.number] = nullptr;
    return status;
  }
  AnswerHead head;
  memcpy(&head, thread.answer.data(), sizeof head);
  if (head.result == CUDA_SUCCESS) journal(thread, number, payload, true);
  if (durability_ != nullptr && op == static_cast<uint16_t>(Message::kHello))
    durability_->keep_hello(thread.message, ByteSpan(thread.answer).subspan(sizeof head));
  return status;
}

CUresult Session::call(ThreadState& thread, uint16_t op, uint16_t flags, ByteSpan payload,
                       std::span<std::byte> payload_to) {
  if (is_abandoned_.load(std::memory_order_relaxed)) return CUDA_ERROR_NOT_INITIALIZED;
  if (durability_ != nullptr) checkpoint_if_due(op);
  for (;;) {
    Epoch epoch = this->epoch();
    Link& its = link();
    in_flight_.fetch_add(1);
    const Status status = exchange(thread, op, flags, payload, payload_to, std::move(epoch), its);
    in_flight_.fetch_sub(1);
    if (status.ok()) break;
    if (!recover(its, status)) return lost(status);
  }
  AnswerHead head;
  memcpy(&head, thread.answer.data(), sizeof head);
  if (int none = 0; head.earlier_result != 0) earlier_.compare_exchange_strong(none, head.earlier_result);
  const CUresult result = head.result != 0 ? static_cast<CUresult>(head.result) : thread.payload_result;
  Known::heard(result);
  Known::heard(static_cast<CUresult>(head.earlier_result));
  if (durability_ != nullptr && !Known::healthy()) durability_->give_up("a context has failed");
  return result;
}

CUresult Session::take_earlier() { return static_cast<CUresult>(earlier_.exchange(0)); }

Status Session::await(Link& link, ThreadState& thread) {
  std::unique_lock lock(turn_);
  for (;;) {
    if (thread.has_answer) return Status();
    if (Status status = link.failure(); !status.ok()) return status;
    if (is_reading_) {
      ++waiting_;
      turned_.wait(lock);
      --waiting_;
      continue;
    }
    is_reading_ = true;
    lock.unlock();
    Status status;
    while (status.ok() && !thread.has_answer) status = read_message(link, &thread);
    lock.lock();
    is_reading_ = false;
    if (waiting_ > 0) turned_.notify_all();
    if (!status.ok()) return status;
  }
}

Status Session::read_message(Link& link, ThreadState* me) {
  MessageHeader header;
  TESSERA_RETURN_IF_ERROR(link.read(std::as_writable_bytes(std::span(&header, 1))));
  if (header.bytes < sizeof header || header.bytes > kMostAnswerBytes || header.bytes % 8 != 0) {
    return Status::error(Code::kInvalidData, "the server sent a message of %u bytes", header.bytes);
  }
  if (header.op == static_cast<uint16_t>(Message::kAnswer)) return read_answer(link, header, me);
  std::vector<std::byte> fields(header.bytes - sizeof header);
  TESSERA_RETURN_IF_ERROR(link.read(fields));
  switch (static_cast<Message>(header.op)) {
    case Message::kHostData:
      return read_host_data(link, fields);
    case Message::kHostChanges:
      return read_host_changes(link, fields);
    case Message::kOutput:
      return read_output(link, fields);
    case Message::kCallback: {
      const auto turn = read_at<CallbackTurn>(fields, 0);
      if (!turn) break;
      std::lock_guard lock(callback_lock_);
      if (due_callbacks_.size() >= kMostDueCallbacks) break;
      due_callbacks_.push_back(*turn);
      has_callback_.notify_one();
      return Status();
    }
    default:
      break;
  }
  return Status::error(Code::kInvalidData, "the server sent message %u", header.op);
}

Status Session::read_answer(Link& link, const MessageHeader& header, ThreadState* me) {
  const uint16_t number = header.thread & kThreadMask;
  ThreadState* thread = nullptr;
  {
    std::lock_guard lock(turn_);
    if (number < threads_.size()) thread = threads_[number];
    if (thread == nullptr || thread->has_answer) {
      return Status(Code::kInvalidData, "the server answered what nobody asked");
    }
    threads_[number] = nullptr;
  }
  thread->answer.resize(header.bytes - sizeof header);
  TESSERA_RETURN_IF_ERROR(link.read(thread->answer));
  const auto payload_bytes = read_at<uint64_t>(thread->answer, offsetof(AnswerHead, payload_bytes));
  if (!payload_bytes || (*payload_bytes != 0 && *payload_bytes != thread->payload.size())) {
    return Status(Code::kInvalidData, "the server sent a payload that nobody asked for");
  }
  if (*payload_bytes != 0) {
    TESSERA_RETURN_IF_ERROR(bulk_.read_payload(thread->payload));
    uint64_t result = 0;
    TESSERA_RETURN_IF_ERROR(link.read(std::as_writable_bytes(std::span(&result, 1))));
    thread->payload_result = static_cast<CUresult>(result);
  }
  if (thread == me) {
    thread->has_answer = true;
    return Status();
  }
  std::lock_guard lock(turn_);
  thread->has_answer = true;
  turned_.notify_all();
  return Status();
}

Status Session::read_host_data(Link& link, ByteSpan fields) {
  const auto address = read_at<uint64_t>(fields, 0);
  const auto bytes = read_at<uint64_t>(fields, 8);
  if (!bytes) return Status(Code::kInvalidData, "the server sent memory without its address");
  const std::span<std::byte> place = host_.place_for(*address, *bytes);
  if (place.size() != *bytes) {  // ordinary memory, or freed meanwhile, or nothing of ours
    std::vector<std::byte> piece(std::min<uint64_t>(padded(*bytes), 64 << 10));
    for (uint64_t at = 0; at < padded(*bytes);) {
      const uint64_t part = std::min<uint64_t>(padded(*bytes) - at, piece.size());
      TESSERA_RETURN_IF_ERROR(link.read(std::span(piece).first(part)));
      (void)host_.put_implicit(*address + at, ByteSpan(piece).first(std::min(part, *bytes - at)));
      at += part;
    }
    return Status();
  }
  TESSERA_RETURN_IF_ERROR(link.read(place));
  std::byte padding[8];
  TESSERA_RETURN_IF_ERROR(link.read(std::span(padding, padded(*bytes) - *bytes)));
  host_.arrived(*address, place);
  return Status();
}

Status Session::read_host_changes(Link& link, ByteSpan fields) {
  const auto address = read_at<uint64_t>(fields, 0), bytes = read_at<uint64_t>(fields, 8),
             encoded_bytes = read_at<uint64_t>(fields, 16);
  if (!encoded_bytes || *encoded_bytes > 2 * kMostChangedSpan)
    return Status(Code::kInvalidData, "the server sent too many changes of memory");
  std::vector<std::byte> encoded(padded(*encoded_bytes));
  TESSERA_RETURN_IF_ERROR(link.read(encoded));
  const Changes changes{*address, *bytes, ByteSpan(encoded).first(*encoded_bytes)};
  if (!are_changes(changes))
    return Status(Code::kInvalidData, "the server sent changes of memory that are none");
  host_.put_changes(changes);
  return Status();
}

Status Session::read_output(Link& link, ByteSpan fields) {
  const auto bytes = read_at<uint64_t>(fields, 0), descriptor = read_at<uint64_t>(fields, 8);
  if (!bytes || !descriptor || *bytes > kMaxMessageBytes)
    return Status(Code::kInvalidData, "the server sent too much output");
  std::vector<std::byte> text(padded(*bytes));
  TESSERA_RETURN_IF_ERROR(link.read(text));
  // What has been said before comes again where a session is made again.
  const bool is_error = *descriptor == STDERR_FILENO;
  const uint64_t skipped = is_error ? 0 : std::min(*bytes, skip_output_.load());
  skip_output_.fetch_sub(skipped);
  if (!is_error) printed_.fetch_add(*bytes - skipped);
  // Behind what the program has printed before by stdio.
  fflush(is_error ? stderr : stdout);
  for (size_t at = skipped; at < *bytes;) {
    const ssize_t written = write(is_error ? STDERR_FILENO : STDOUT_FILENO, text.data() + at, *bytes - at);
    if (written <= 0) break;
    at += static_cast<size_t>(written);
  }
  return Status();
}

Status Session::wake_flusher() {
  appended_.fetch_add(1, std::memory_order_relaxed);
  if (flusher_awake_.load(std::memory_order_relaxed) != 0 || flusher_awake_.exchange(1) != 0) return Status();
  if (has_flusher_.exchange(true)) {
    flusher_awake_.notify_one();
    return Status();
  }
  if (begin_thread<&Session::flush_soon>("tessera-flush", this)) return Status();
  has_flusher_.store(false);
  flusher_awake_.store(0);  // the next one tries again
  return link().flush();
}

bool Session::flush() {
  Link& its = link();
  const Status status = its.flush();
  return status.ok() || recover(its, status);
}

// Sends what was queued and has waited for a moment: many messages go with one system call. Moments are
// longer where callers have sent everything themselves of late, by waiting for something: then this one only
// takes their processor.
void Session::flush_soon() {
  prctl(PR_SET_TIMERSLACK, 1000UL);
  constexpr uint64_t kMoment = 20'000, kLongestMoment = 160'000;
  constexpr int kIdleMoments = 50;
  while (!is_abandoned_.load(std::memory_order_relaxed)) {
    flusher_awake_.wait(0);
    uint64_t seen = ~uint64_t{0}, moment = kMoment;
    for (int idle = 0; idle < kIdleMoments;) {
      nap(moment);
      const uint64_t now = appended_.load(std::memory_order_relaxed);
      idle = now == seen ? idle + 1 : 0;
      seen = now;
      if (idle != 0) continue;
      moment = Link::Sender(link()).unsent_bytes() > 0 ? kMoment : std::min(moment * 2, kLongestMoment);
      if (!flush()) return;
    }
    flusher_awake_.store(0);
    // What was queued between the last look and this is sent now.
    if (!flush()) return;
  }
}

// Answers heartbeats while the program makes no calls, and reads while functions of the program are in
// streams.
void Session::keep() {
  while (!is_abandoned_.load(std::memory_order_relaxed)) {
    const bool expects = has_lasting_callbacks_.load() || callbacks_.load() > 0;
    bool reads = false;
    {
      std::unique_lock lock(turn_);
      if (!is_reading_) reads = is_reading_ = true;
    }
    Status status;
    Link& its = link();
    if (reads) {
      auto is_readable = its.readable(expects ? std::chrono::milliseconds(5) : std::chrono::milliseconds(0));
      status = is_readable.status();
      if (is_readable.ok() && *is_readable) status = read_message(its, nullptr);
      std::lock_guard lock(turn_);
      is_reading_ = false;
      turned_.notify_all();
    }
    if (!status.ok() && !recover(its, status)) {
      lost(status);
      return;
    }
    if (!expects) nap(100'000'000);
    if (!reads && expects) nap(1'000'000);
  }
}

void Session::run_callbacks() {
  for (;;) {
    CallbackTurn due;
    {
      std::unique_lock lock(callback_lock_);
      has_callback_.wait(lock, [&] { return !due_callbacks_.empty(); });
      due = due_callbacks_.front();
      due_callbacks_.pop_front();
    }
    ThreadState& thread = this_thread();
    thread.message.assign(sizeof(MessageHeader), std::byte{0});
    (void)call(thread, static_cast<uint16_t>(Message::kCollect), 0);
    run_callback(due);
    // Work behind it in its stream may read what it has written.
    publish_host_memory(*this, {});
    callbacks_.fetch_sub(1);
    thread.message.assign(sizeof(MessageHeader), std::byte{0});
    Writer(thread.message).value(due.callback);
    (void)queue(thread, static_cast<uint16_t>(Message::kCallbackDone), 0);
    if (!link().flush().ok()) return;
  }
}

void Session::expect_callbacks(bool is_lasting) {
  if (!runs_callbacks_.exchange(true) && !begin_thread<&Session::run_callbacks>("tessera-calls", this))
    runs_callbacks_.store(false);
  if (is_lasting) {
    has_lasting_callbacks_.store(true);
  } else {
    callbacks_.fetch_add(1);
  }
}

void Session::start_keeping() { (void)begin_thread<&Session::keep>("tessera-keep", this); }

void Session::goodbye() {
  if (is_abandoned_.exchange(true)) return;
  {
    Link::Sender sender(link());
    const MessageHeader header{sizeof header, static_cast<uint16_t>(Message::kGoodbye), 0};
    sender.append(std::as_bytes(std::span(&header, 1)));
    (void)sender.flush();
  }
  link().end();
}

}  // namespace tessera::remote
