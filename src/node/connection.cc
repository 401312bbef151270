#include "node/connection.h"

#include "common/log.h"

namespace tessera::node {

void Connection::send(std::string packet, std::span<const int> descriptors) {
  if (closing_) return;
  if (queue_.empty()) {
    SendResult sent = send_packet(socket_.get(), packet, descriptors);
    if (sent == SendResult::kSent) return;
    if (sent == SendResult::kClosed || !descriptors.empty()) {
      mark_closing();
      return;
    }
  }
  if (!descriptors.empty() || queued_bytes_ + packet.size() > kMaxQueuedBytes) {
    LOG_WARN("connection", "process %d does not read its messages; connection dropped",
             static_cast<int>(peer_.pid));
    mark_closing();
    return;
  }
  *changed_ = true;
  queued_bytes_ += packet.size();
  queue_.push_back(std::move(packet));
}

void Connection::send_control_reply(uint32_t request, std::string_view text) {
  for (;;) {
    std::string_view part = text.substr(0, kMaxPayloadBytes);
    send(encode_message(vgpu::MessageType::kControlReply, request, part));
    text.remove_prefix(part.size());
    if (part.size() < kMaxPayloadBytes) return;
  }
}

void Connection::fail(const Status& why) {
  LOG_WARN("connection", "process %d of user %u: %s; connection closed", static_cast<int>(peer_.pid),
           peer_.uid, why.message().c_str());
  std::string_view text = why.message();
  send(encode_message(vgpu::MessageType::kError, 0, text.substr(0, kMaxPayloadBytes)));
  mark_closing();
}

void Connection::flush() {
  while (!queue_.empty() && !closing_) {
    SendResult sent = send_packet(socket_.get(), queue_.front());
    if (sent == SendResult::kWouldBlock) return;
    if (sent == SendResult::kClosed) {
      mark_closing();
      return;
    }
    queued_bytes_ -= queue_.front().size();
    queue_.pop_front();
    *changed_ = true;
  }
}

}  // namespace tessera::node
