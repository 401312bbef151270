#include "remote/client/request.h"

#include "common/log.h"

namespace tessera::remote {
namespace {

const char* name_of(uint16_t op) { return op < kCalls ? kCallNames[op] : "a message"; }

}  // namespace

Request::Request(uint16_t op, bool per_thread)
    : thread_(this_thread()), writer_(thread_.message), op_(op), flags_(per_thread ? kPerThreadDefault : 0) {
  thread_.message.assign(sizeof(MessageHeader), std::byte{0});
}

CUresult Request::run(ByteSpan payload, std::span<std::byte> payload_to) {
  Session* found = session_of(server());
  if (found == nullptr) return without_session();
  const CUresult result = found->call(thread_, op_, flags_, payload, payload_to);
  tells_ = result == CUDA_SUCCESS;
  LOG_DEBUG("remote", "%s: %d", name_of(op_), result);
  return result;
}

CUresult Request::send_piece(ByteSpan payload, bool is_borrowed, uint64_t* taken_at) {
  Session* found = session_of(server());
  if (found == nullptr) return without_session();
  return found->send_piece(thread_, op_, flags_, payload, is_borrowed, taken_at);
}

CUresult Request::run_and_tell() {
  const CUresult result = run();
  Session* found = session_of(server());
  return result != CUDA_SUCCESS || found == nullptr ? result : found->take_earlier();
}

CUresult Request::queue(ByteSpan payload) {
  Session* found = session_of(server());
  if (found == nullptr) return without_session();
  LOG_DEBUG("remote", "%s: queued", name_of(op_));
  return found->queue(thread_, op_, flags_, payload);
}

CUresult not_over_the_wire(const char* name) {
  LOG_INFO("remote", "%s: it concerns one machine only, and the GPU is on another", name);
  return CUDA_ERROR_NOT_SUPPORTED;
}

}  // namespace tessera::remote
