#include "node/messages.h"

#include <cassert>
#include <cstring>

namespace tessera::node {
namespace {

using vgpu::MessageType;

template <typename T>
Result<T> payload_as(ByteSpan payload, const char* name) {
  if (payload.size() != sizeof(T)) {
    return Status::error(Code::kInvalidData, "%s carries %zu bytes instead of %zu", name, payload.size(),
                         sizeof(T));
  }
  return *read_at<T>(payload, 0);
}

Result<Token> decode_token(ByteSpan payload, const char* name) {
  TESSERA_ASSIGN_OR_RETURN(auto body, payload_as<vgpu::AttachRequest>(payload, name));
  Token token;
  std::memcpy(token.data(), body.token, sizeof body.token);
  return token;
}

// As far as it goes, whether it ends or not.
std::string text_of(const char (&uuid)[vgpu::kUuidBytes]) {
  return std::string(uuid, strnlen(uuid, sizeof uuid));
}

Result<ClientMessage> decode_reattach(uint32_t request, ByteSpan payload) {
  TESSERA_ASSIGN_OR_RETURN(auto body, payload_as<vgpu::ReattachRequest>(payload, "Reattach"));
  if (body.device_count > vgpu::kMaxDevicesPerSlice) {
    return Status::error(Code::kInvalidData, "Reattach names %u devices", body.device_count);
  }
  ReattachMessage message{{},
                          body.lease,
                          {body.held_bytes, body.held_bytes + body.device_count},
                          {body.resident_bytes, body.resident_bytes + body.device_count},
                          {body.swap_bytes, body.swap_bytes + body.device_count},
                          {body.neighbour_bytes, body.neighbour_bytes + body.device_count}};
  for (uint32_t i = 0; i < body.device_count; ++i) message.neighbours.push_back(text_of(body.neighbours[i]));
  std::memcpy(message.token.data(), body.token, sizeof body.token);
  return ClientMessage{request, std::move(message)};
}

Status check_device(uint32_t device) {
  if (device < vgpu::kMaxDevicesPerSlice) return Status();
  return Status::error(Code::kInvalidData, "device index %u is out of range", device);
}

Status check_kind(vgpu::BudgetKind kind) {
  if (static_cast<size_t>(kind) < vgpu::kBudgetKinds) return Status();
  return Status::error(Code::kInvalidData, "there is no budget of kind %u", static_cast<unsigned>(kind));
}

Result<ClientMessage> decode_reserve(uint32_t request, ByteSpan payload) {
  TESSERA_ASSIGN_OR_RETURN(auto body, payload_as<vgpu::ReserveRequest>(payload, "Reserve"));
  TESSERA_RETURN_IF_ERROR(check_device(body.device));
  TESSERA_RETURN_IF_ERROR(check_kind(body.kind));
  if (body.bytes_wanted < body.bytes_needed) {
    return Status::error(Code::kInvalidData, "Reserve wants %llu bytes but needs %llu",
                         static_cast<unsigned long long>(body.bytes_wanted),
                         static_cast<unsigned long long>(body.bytes_needed));
  }
  return ClientMessage{request, ReserveMessage{body.device, body.bytes_needed, body.bytes_wanted, body.kind,
                                               body.out_bytes, text_of(body.neighbour)}};
}

Result<ClientMessage> decode_body(const vgpu::MessageHeader& header, ByteSpan payload) {
  switch (header.type) {
    case MessageType::kAttach: {
      TESSERA_ASSIGN_OR_RETURN(Token token, decode_token(payload, "Attach"));
      return ClientMessage{header.request, AttachMessage{token}};
    }
    case MessageType::kReattach:
      return decode_reattach(header.request, payload);
    case MessageType::kObserve: {
      TESSERA_ASSIGN_OR_RETURN(Token token, decode_token(payload, "Observe"));
      return ClientMessage{header.request, ObserveMessage{token}};
    }
    case MessageType::kReserve:
      return decode_reserve(header.request, payload);
    case MessageType::kRelease: {
      TESSERA_ASSIGN_OR_RETURN(auto body, payload_as<vgpu::ReleaseNotice>(payload, "Release"));
      TESSERA_RETURN_IF_ERROR(check_device(body.device));
      TESSERA_RETURN_IF_ERROR(check_kind(body.kind));
      return ClientMessage{header.request, ReleaseMessage{body.device, body.bytes, body.kind}};
    }
    case MessageType::kRecalled: {
      TESSERA_ASSIGN_OR_RETURN(auto body, payload_as<vgpu::RecalledReply>(payload, "Recalled"));
      TESSERA_RETURN_IF_ERROR(check_device(body.device));
      TESSERA_RETURN_IF_ERROR(check_kind(body.kind));
      return ClientMessage{header.request, RecalledMessage{body.device, body.bytes, body.kind, body.out_bytes,
                                                           body.more != 0, body.no_swap != 0}};
    }
    case MessageType::kReturned: {
      TESSERA_ASSIGN_OR_RETURN(auto body, payload_as<vgpu::ReturnedNotice>(payload, "Returned"));
      TESSERA_RETURN_IF_ERROR(check_device(body.device));
      return ClientMessage{header.request, ReturnedMessage{body.device}};
    }
    case MessageType::kQuery: {
      TESSERA_ASSIGN_OR_RETURN(auto body, payload_as<vgpu::QueryRequest>(payload, "Query"));
      TESSERA_RETURN_IF_ERROR(check_device(body.device));
      return ClientMessage{header.request, QueryMessage{body.device}};
    }
    case MessageType::kListProcesses:
      if (!payload.empty()) {
        return Status::error(Code::kInvalidData, "ListProcesses carries %zu bytes instead of 0",
                             payload.size());
      }
      return ClientMessage{header.request, ListProcessesMessage{}};
    case MessageType::kWake:
    case MessageType::kIdle:
    case MessageType::kStopped: {
      TESSERA_ASSIGN_OR_RETURN(auto body, payload_as<vgpu::GateNotice>(payload, "a gate's notice"));
      TESSERA_RETURN_IF_ERROR(check_device(body.device));
      return ClientMessage{header.request, GateMessage{header.type, body.device, body.word}};
    }
    case MessageType::kControl:
      return ClientMessage{header.request,
                           ControlMessage{{reinterpret_cast<const char*>(payload.data()), payload.size()}}};
    default:
      return Status::error(Code::kInvalidData, "a client does not send messages of type %u",
                           static_cast<unsigned>(header.type));
  }
}

}  // namespace

Result<ClientMessage> decode_client_message(ByteSpan packet) {
  auto header = read_at<vgpu::MessageHeader>(packet, 0);
  if (!header) {
    return Status::error(Code::kInvalidData, "packet of %zu bytes is too short", packet.size());
  }
  if (packet.size() > vgpu::kMaxMessageBytes) {
    return Status::error(Code::kInvalidData, "packet of %zu bytes is too long", packet.size());
  }
  if (header->magic != vgpu::kLeaseMagic) {
    return Status::error(Code::kInvalidData, "not a lease message (magic 0x%08x)", header->magic);
  }
  if (header->version != vgpu::kLeaseVersion) {
    return Status::error(Code::kUnsupported, "protocol version %u; this daemon speaks %u", header->version,
                         vgpu::kLeaseVersion);
  }
  ByteSpan payload = packet.subspan(sizeof *header);
  if (header->payload_bytes != payload.size()) {
    return Status::error(Code::kInvalidData, "header says %u payload bytes, packet has %zu",
                         header->payload_bytes, payload.size());
  }
  return decode_body(*header, payload);
}

std::string encode_message(MessageType type, uint32_t request, std::string_view payload) {
  assert(payload.size() <= kMaxPayloadBytes);
  vgpu::MessageHeader header;
  header.type = type;
  header.request = request;
  header.payload_bytes = static_cast<uint32_t>(payload.size());
  std::string packet(reinterpret_cast<const char*>(&header), sizeof header);
  packet += payload;
  return packet;
}

std::string token_text(const Token& token) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (uint8_t byte : token) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

std::optional<Token> parse_token(std::string_view text) {
  Token token;
  if (text.size() != 2 * token.size()) return std::nullopt;
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
    if (digit < 0) return std::nullopt;
    uint8_t& byte = token[i / 2];
    byte = static_cast<uint8_t>(i % 2 == 0 ? digit << 4 : byte | digit);
  }
  return token;
}

}  // namespace tessera::node
