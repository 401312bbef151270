#include "remote/worker/worker.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "common/clock.h"
#include "common/log.h"
#include "remote/wire/copy.h"

namespace tessera::remote {
namespace {

constexpr size_t kMostThreads = 512;  // of the server, for one session
constexpr std::byte kNothing[4096] = {};

// Which context is current to this thread of the server, as far as we made it so.
thread_local CUcontext current_here = nullptr;
thread_local bool knows_current = false;
thread_local bool leads = false;
thread_local CUstreamCaptureMode mode_here = CU_STREAM_CAPTURE_MODE_GLOBAL;

Status malformed(const MessageHeader& header) {
  return Status::error(Code::kInvalidData, "message %u of %u bytes is malformed", header.op, header.bytes);
}

}  // namespace

Worker::Worker(Link& link, const cuda::DriverTable& driver, const WorkerOptions& options)
    : link_(link),
      driver_(driver),
      options_(options),
      stripes_(options.stripes == nullptr ? no_stripes_ : *options.stripes),
      content_(options.content),
      staging_(driver),
      pieces_out_(driver),
      mirrors_(driver),
      callbacks_(*this),
      code_(driver),
      placed_(driver),
      output_(stdout, STDOUT_FILENO),
      threads_(kMaxThreads) {
  if (options_.takes_errors) errors_.emplace(stderr, STDERR_FILENO);
}

Worker::~Worker() {
  stop(Status(Code::kUnavailable, "the session has ended"));
  for (std::thread& thread : pool_) thread.join();
  std::unique_lock lock(pool_lock_);
  has_ended_.wait(lock, [&] { return beside_ == 0; });
}

Status Worker::run() {
  {
    std::lock_guard lock(pool_lock_);
    pool_.emplace_back([this] { lead(); });
  }
  std::unique_lock lock(pool_lock_);
  has_ended_.wait(lock, [&] { return is_stopping_; });
  return ended_;
}

void Worker::stop(const Status& why) {
  {
    std::lock_guard lock(pool_lock_);
    if (!is_stopping_) ended_ = why;  // before the link's end, which other threads would tell of
    is_stopping_ = true;
  }
  is_over_.store(true);
  callbacks_.abandon();
  stripes_.end(why);
  link_.end();
  has_ended_.notify_all();
}

void Worker::lead() {
  Serving serving(*this, driver_, handles_);
  while (!is_over_.load()) {
    waiting_to_lead_.fetch_add(1);
    lead_.lock();
    waiting_to_lead_.fetch_sub(1);
    leads = true;
    while (leads && !is_over_.load()) {
      Status status = serve_next(serving);
      if (!status.ok()) stop(status.code() == Code::kFailedPrecondition ? Status() : status);
    }
    if (leads) {
      leads = false;
      lead_.unlock();
    }
  }
}

void Worker::let_others_lead() {
  // Captures know the thread that makes the calls; whatever waits is refused in them.
  if (!leads || !captures_.empty()) return;
  if (waiting_to_lead_.load() == 0) {
    std::lock_guard lock(pool_lock_);
    if (pool_.size() >= kMostThreads || is_stopping_) return;  // then everything waits for this call
    pool_.emplace_back([this] { lead(); });
  }
  leads = false;
  lead_.unlock();
}

ClientThread* Worker::thread_of(uint16_t number) {
  if (number >= kMaxThreads) return nullptr;
  if (threads_[number] == nullptr) {
    threads_[number] = std::make_unique<ClientThread>();
    threads_[number]->number = number;
    if (number != 0) note_others();
  }
  return threads_[number].get();
}

void Worker::activate(const ClientThread& thread) {
  if (CUstreamCaptureMode mode = mode_of(thread); mode != mode_here) {
    mode_here = mode;
    if (driver_.cuThreadExchangeStreamCaptureMode != nullptr)
      (void)driver_.cuThreadExchangeStreamCaptureMode(&mode);
  }
  if (knows_current && current_here == thread.current) return;
  if (driver_.cuCtxSetCurrent == nullptr) return;
  knows_current = driver_.cuCtxSetCurrent(thread.current) == CUDA_SUCCESS;
  current_here = thread.current;
}

// One thread of ours makes the calls of all of the client's: a capture that is its thread's own matter must
// not keep the others from theirs.
CUstreamCaptureMode Worker::mode_of(const ClientThread& thread) const {
  const auto is_others_own = [&](const Capture& capture) {
    return capture.thread != thread.number && capture.mode == CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
  };
  const bool are_others_own =
      !captures_.empty() && std::all_of(captures_.begin(), captures_.end(), is_others_own);
  return are_others_own ? CU_STREAM_CAPTURE_MODE_RELAXED : thread.capture_mode;
}

void Worker::capture_began(uint64_t stream, const ClientThread& thread, CUstreamCaptureMode mode) {
  captures_.push_back({stream, thread.number, mode});
}

bool Worker::may_end_capture(uint64_t stream, const ClientThread& thread) const {
  return std::none_of(captures_.begin(), captures_.end(), [&](const Capture& capture) {
    return capture.stream == stream && capture.thread != thread.number &&
           capture.mode != CU_STREAM_CAPTURE_MODE_RELAXED;
  });
}

void Worker::capture_ended(uint64_t stream) {
  std::erase_if(captures_, [&](const Capture& capture) { return capture.stream == stream; });
}

void Worker::set_current(ClientThread& thread, CUcontext context) {
  thread.current = context;
  if (context == nullptr || context == first_context_) return;
  if (first_context_ == nullptr) first_context_ = context;
  if (context != first_context_) has_several_contexts_ = true;
}

void Worker::note_done(uint64_t work) {
  if (!has_several_contexts_) done_.store(work, std::memory_order_relaxed);
}

void Worker::forget_current() { knows_current = false; }

void Worker::context_is_gone(CUcontext context) {
  for (auto& thread : threads_) {
    if (thread != nullptr && thread->current == context) thread->current = nullptr;
  }
  context_was_reset(context);
}

void Worker::context_was_reset(CUcontext context) {
  for (auto& thread : threads_) {
    if (thread == nullptr) continue;
    std::erase_if(thread->default_streams, [&](const auto& own) { return own.first == context; });
  }
  staging_.context_is_gone();
  forget_current();
}

CUresult Worker::default_stream(ClientThread& thread, CUstream* stream) {
  for (const auto& [context, own] : thread.default_streams) {
    if (context == thread.current) {
      *stream = own;
      return CUDA_SUCCESS;
    }
  }
  if (driver_.cuStreamCreate == nullptr) return CUDA_ERROR_NOT_SUPPORTED;
  const CUresult result = driver_.cuStreamCreate(stream, CU_STREAM_DEFAULT);
  if (result == CUDA_SUCCESS) thread.default_streams.emplace_back(thread.current, *stream);
  return result;
}

void Worker::latch(CUresult result) {
  int none = 0;
  earlier_result_.compare_exchange_strong(none, result);
}

Status Worker::read_message(MessageHeader& header, std::vector<std::byte>& body) {
  TESSERA_RETURN_IF_ERROR(link_.read(std::as_writable_bytes(std::span(&header, 1))));
  if (header.bytes < sizeof header || header.bytes > kMaxMessageBytes || header.bytes % 8 != 0) {
    return Status::error(Code::kInvalidData, "a message of %u bytes", header.bytes);
  }
  body.resize(header.bytes - sizeof header);
  return body.empty() ? Status() : link_.read(body);
}

Status Worker::serve_next(Serving& serving) {
  MessageHeader header;
  static thread_local std::vector<std::byte> body;
  TESSERA_RETURN_IF_ERROR(read_message(header, body));
  if (header.op == static_cast<uint16_t>(Message::kGoodbye)) {
    return Status(Code::kFailedPrecondition, "the client has said goodbye");
  }
  if (header.op == static_cast<uint16_t>(Message::kContent)) {
    ClientThread* thread = thread_of(header.thread & kThreadMask);
    if (thread == nullptr) return Status(Code::kInvalidData, "a thread that cannot be");
    return thread->content.announce(body, content_);
  }
  const bool may_wait =
      header.op < kCalls ? kWaits[header.op] : header.op == static_cast<uint16_t>(Message::kCopyOut);
  const ClientThread* thread = thread_of(header.thread & kThreadMask);
  if (may_wait && thread != nullptr && thread->content.is_named())
    return Status(Code::kInvalidData, "content is named where no payload belongs");
  const bool is_others = std::none_of(captures_.begin(), captures_.end(), [&](const Capture& capture) {
    return capture.thread == (header.thread & kThreadMask);
  });
  if (may_wait && is_others && !captures_.empty() && (header.thread & kAnswerWanted) != 0) {
    TESSERA_RETURN_IF_ERROR(serve_beside(header, body));
    return link_.failure();
  }
  serve(serving, header, body);
  return serving.is_malformed ? malformed(header) : link_.failure();
}

// Who begins a capture has to end it, so that this thread goes on leading; calls that wait are made by
// another.
Status Worker::serve_beside(const MessageHeader& header, const std::vector<std::byte>& body) {
  if (thread_of(header.thread & kThreadMask) == nullptr) return malformed(header);
  {
    std::lock_guard lock(pool_lock_);
    if (is_stopping_) return Status();
    if (beside_ >= kMaxThreads)  // each of the client's waits for one answer
      return Status(Code::kResourceExhausted, "too many calls wait while streams are captured");
    ++beside_;
  }
  std::thread([this, header, body] {
    {
      Serving serving(*this, driver_, handles_);
      serve(serving, header, body);
      if (serving.is_malformed) stop(malformed(header));
    }
    std::lock_guard lock(pool_lock_);
    --beside_;
    has_ended_.notify_all();
  }).detach();
  return Status();
}

void Worker::serve(Serving& serving, const MessageHeader& header, ByteSpan body) {
  serving.arena.clear();
  serving.answer.clear();
  serving.body = body;
  serving.in.begin(body);
  serving.op = header.op;
  serving.per_thread = (header.thread & kPerThreadDefault) != 0;
  serving.wants_answer = (header.thread & kAnswerWanted) != 0;
  serving.has_answered = false;
  serving.failed = CUDA_SUCCESS;
  serving.thread = thread_of(header.thread & kThreadMask);
  Serve function = own_serve(header.op);
  if (function == nullptr && header.op < kCalls) function = kServes[header.op];
  if (serving.thread == nullptr || function == nullptr) {
    serving.malformed();
    return;
  }
  ContentIn& content = serving.thread->content;
  const bool is_named = content.is_named();
  if (content.is_missing()) {
    if (!serving.wants_answer) serving.malformed();
    (void)content.served();
    if (serving.wants_answer) (void)answer(serving, kContentWanted, nullptr);
    return;
  }
  activate(*serving.thread);
  const CUresult result = function(serving);
  if (is_named && !content.served().ok()) serving.malformed();
  if (serving.is_malformed) return;
  if (serving.wants_answer) {
    if (!serving.has_answered)
      (void)answer(serving, result, nullptr);  // a broken link shows at the next read
  } else if (result != CUDA_SUCCESS) {
    LOG_INFO("session", "%s failed after its return: %d",
             header.op < kCalls ? kCallNames[header.op] : "a message", result);
    latch(result);
  }
}

Status Worker::answer(Serving& serving, CUresult result, Payload* payload) {
  serving.has_answered = true;
  AnswerHead head;
  head.result = result;
  head.earlier_result = earlier_result_.exchange(0);
  head.payload_bytes = payload == nullptr ? 0 : payload->bytes;
  MessageHeader header;
  header.bytes = static_cast<uint32_t>(sizeof header + sizeof head + serving.answer.size());
  header.op = static_cast<uint16_t>(Message::kAnswer);
  header.thread = serving.thread->number;
  std::lock_guard answering(answering_);
  {
    Link::Sender sender(link_);
    sender.append(std::as_bytes(std::span(&header, 1)));
    sender.append(std::as_bytes(std::span(&head, 1)));
    sender.append(serving.answer);
    if (payload == nullptr) return sender.flush();
  }
  return send_payload(*payload);
}

// Compressed, and over another connection, where that pays. The piece stays as it is until the link has taken
// it.
Status Worker::send_piece(Payload& payload, ByteSpan piece) {
  PieceHeader header{static_cast<uint32_t>(piece.size()), PieceForm::kPlain, piece.size(), 0};
  SharedArea* const area = link_.area_out();
  const auto slot = area == nullptr ? std::nullopt : area->number_of(piece.data());
  const ByteSpan coded = slot ? ByteSpan() : encoder_.encode(piece);
  if (slot) header = {header.bytes, PieceForm::kArea, *slot, 0};
  if (!coded.empty()) header = {header.bytes, PieceForm::kCoded, coded.size(), 0};
  const bool is_striped = payload.stripes > 0 && !slot;
  if (is_striped) {
    TESSERA_ASSIGN_OR_RETURN(header.number, stripes_.send(coded.empty() ? piece : coded, payload.stripes));
  }
  const bool follows = !slot && !is_striped;
  if (slot) link_.count_area(piece.size(), 0);
  {
    Link::Sender sender(link_);
    sender.append(std::as_bytes(std::span(&header, 1)));
    if (follows && coded.empty()) {
      payload.sent(sender.append_borrowed(piece));
    } else {
      payload.sent(0);
      if (follows) sender.append(coded);
    }
    if (follows) sender.append(ByteSpan(kNothing, padded(header.stored) - header.stored));
    TESSERA_RETURN_IF_ERROR(sender.flush());
  }
  encoder_.sent(is_striped ? stripes_.peer_had() : link_.peer_had());
  return Status();
}

// The link's sending side is not held between pieces: the next one may have to wait for it.
Status Worker::send_payload(Payload& payload) {
  encoder_.begin();
  for (uint64_t left = payload.bytes; left > 0;) {
    const uint64_t before = monotonic_ns();
    ByteSpan piece = payload.next(left);
    encoder_.worked(monotonic_ns() - before);  // the device's time is none of the way's
    if (piece.empty())
      piece = ByteSpan(kNothing, std::min<uint64_t>(left, sizeof kNothing));  // the end says why
    TESSERA_RETURN_IF_ERROR(send_piece(payload, piece));
    left -= piece.size();
  }
  const uint64_t end = payload.result();
  Link::Sender sender(link_);
  sender.append(std::as_bytes(std::span(&end, 1)));
  return sender.flush();
}

Status Worker::tell(Message message, const std::vector<std::byte>& fields, ByteSpan payload) {
  MessageHeader header;
  header.bytes = static_cast<uint32_t>(sizeof header + fields.size());
  header.op = static_cast<uint16_t>(message);
  std::lock_guard answering(answering_);
  Link::Sender sender(link_);
  sender.append(std::as_bytes(std::span(&header, 1)));
  sender.append(fields);
  sender.append(payload);
  sender.append(ByteSpan(kNothing, padded(payload.size()) - payload.size()));
  return sender.flush();
}

// What kernels have printed and written where the program can see it goes before the answer that says they
// are done.
void Worker::bring_host_changes() {
  bring_host_memory();
  bring_output(output_, STDOUT_FILENO);
  if (errors_) bring_output(*errors_, STDERR_FILENO);
}

void Worker::bring_host_memory() {
  const auto copied = [&](uint64_t address, ByteSpan bytes) {
    std::vector<std::byte> fields;
    Writer writer(fields);
    writer.value(address);
    writer.value<uint64_t>(bytes.size());
    (void)tell(Message::kHostData, fields, bytes);
  };
  const auto changed = [&](const Changes& changes) {
    std::vector<std::byte> fields;
    Writer writer(fields);
    writer.value(changes.address);
    writer.value(changes.bytes);
    writer.value<uint64_t>(changes.encoded.size());
    (void)tell(Message::kHostChanges, fields, changes.encoded);
  };
  mirrors_.collect(copied, changed);
}

void Worker::bring_output(CapturedOutput& output, int descriptor) {
  output.collect([&](ByteSpan bytes) {
    std::vector<std::byte> fields;
    Writer writer(fields);
    writer.value<uint64_t>(bytes.size());
    writer.value<uint64_t>(static_cast<uint64_t>(descriptor));
    (void)tell(Message::kOutput, fields, bytes);
  });
}

}  // namespace tessera::remote
