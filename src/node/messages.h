// Packets of the lease protocol, checked and unpacked. Pure: bytes in, a message or the broken rule out.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "common/bytes.h"
#include "common/status.h"
#include "virtualization/lease/protocol.h"

namespace tessera::node {

using Token = std::array<uint8_t, vgpu::kTokenBytes>;

inline constexpr size_t kMaxPayloadBytes = vgpu::kMaxMessageBytes - sizeof(vgpu::MessageHeader);

struct AttachMessage {
  Token token;
};
struct ReattachMessage {
  Token token;
  uint64_t lease;
  std::vector<uint64_t> held_bytes;
  std::vector<uint64_t> resident_bytes;
  std::vector<uint64_t> swap_bytes;
  std::vector<uint64_t> neighbour_bytes = {};
  std::vector<std::string> neighbours = {};  // UUIDs: where those are; empty: there are none
};
struct ObserveMessage {
  Token token;
};
struct ReserveMessage {
  uint32_t device;
  uint64_t bytes_needed;
  uint64_t bytes_wanted;
  vgpu::BudgetKind kind = vgpu::BudgetKind::kLimit;
  uint64_t out_bytes = 0;      // to be brought back, with this and more
  std::string neighbour = {};  // UUID; of BudgetKind::kNeighbour
};
struct ReleaseMessage {
  uint32_t device;
  uint64_t bytes;
  vgpu::BudgetKind kind = vgpu::BudgetKind::kLimit;
};
struct RecalledMessage {
  uint32_t device;
  uint64_t bytes;
  vgpu::BudgetKind kind = vgpu::BudgetKind::kLimit;
  uint64_t out_bytes = 0;
  bool more = false;
  bool no_swap = false;
};
struct ReturnedMessage {
  uint32_t device;
};
struct QueryMessage {
  uint32_t device;
};
struct ListProcessesMessage {};
struct GateMessage {
  vgpu::MessageType type;  // kWake, kIdle or kStopped
  uint32_t device;
  uint32_t word;
};
struct ControlMessage {
  std::string_view text;  // points into the packet
};

struct ClientMessage {
  uint32_t request = 0;
  std::variant<AttachMessage, ReattachMessage, ObserveMessage, ReserveMessage, ReleaseMessage,
               RecalledMessage, ReturnedMessage, QueryMessage, ListProcessesMessage, GateMessage,
               ControlMessage>
      body;
};

// What a client may send. Devices are checked against kMaxDevicesPerSlice only: the slice is not known here.
Result<ClientMessage> decode_client_message(ByteSpan packet);

// A packet of the given type; `payload` is at most kMaxPayloadBytes.
std::string encode_message(vgpu::MessageType type, uint32_t request, std::string_view payload);

template <typename T>
std::string encode_struct(vgpu::MessageType type, uint32_t request, const T& payload) {
  static_assert(std::is_trivially_copyable_v<T>);
  return encode_message(type, request,
                        std::string_view(reinterpret_cast<const char*>(&payload), sizeof payload));
}

// The payload of an answer as a T, or nothing where the packet is not such an answer.
template <typename T>
std::optional<T> decode_struct(ByteSpan packet, vgpu::MessageType type) {
  auto header = read_at<vgpu::MessageHeader>(packet, 0);
  if (!header || header->magic != vgpu::kLeaseMagic || header->version != vgpu::kLeaseVersion ||
      header->type != type || header->payload_bytes != sizeof(T) ||
      packet.size() != sizeof *header + sizeof(T)) {
    return std::nullopt;
  }
  return read_at<T>(packet, sizeof *header);
}

std::string token_text(const Token& token);
std::optional<Token> parse_token(std::string_view text);

}  // namespace tessera::node
