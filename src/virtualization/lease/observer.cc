#include "virtualization/lease/observer.h"

#include <algorithm>

namespace tessera::vgpu {

Result<Observer> Observer::open(const std::string& socket_path, const SliceToken& token) {
  TESSERA_ASSIGN_OR_RETURN(Connection connection, Connection::open(socket_path));
  AttachRequest request{};
  std::copy(token.begin(), token.end(), request.token);
  TESSERA_RETURN_IF_ERROR(connection.send_struct(MessageType::kObserve, 1, request));
  TESSERA_ASSIGN_OR_RETURN(Packet answer, connection.receive(kAnswerTimeoutMs));
  TESSERA_ASSIGN_OR_RETURN(AttachedReply slice, checked_slice(answer));
  return Observer(std::move(connection), slice);
}

Result<Packet> Observer::ask(MessageType type, ByteSpan payload) {
  uint32_t request = next_request_++;
  TESSERA_RETURN_IF_ERROR(connection_.send(type, request, payload));
  for (;;) {
    TESSERA_ASSIGN_OR_RETURN(Packet answer, connection_.receive(kAnswerTimeoutMs));
    // The answer to a question that was given up; an error message ends the connection and answers
    // everything.
    if (answer.header.request != request && answer.header.type != MessageType::kError) continue;
    return answer;
  }
}

Result<UsageReply> Observer::usage(uint32_t device) {
  QueryRequest request{device, 0};
  TESSERA_ASSIGN_OR_RETURN(Packet answer, ask(MessageType::kQuery, std::as_bytes(std::span(&request, 1))));
  return answer.as<UsageReply>(MessageType::kUsage);
}

Result<std::vector<int32_t>> Observer::processes() {
  TESSERA_ASSIGN_OR_RETURN(Packet answer, ask(MessageType::kListProcesses, {}));
  TESSERA_ASSIGN_OR_RETURN(ProcessesReply reply, answer.as<ProcessesReply>(MessageType::kProcesses));
  size_t count = std::min<size_t>(reply.count, kMaxListedProcesses);
  return std::vector<int32_t>(reply.pids, reply.pids + count);
}

}  // namespace tessera::vgpu
