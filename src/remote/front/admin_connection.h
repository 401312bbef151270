// Somebody on this machine who asks a running server, or changes it: a line from them, a line back. They are
// the server's own user, or root; what they say is bounded all the same, and nobody waits for them.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "common/fd.h"

namespace tessera::remote {

class AdminConnection {
 public:
  static constexpr size_t kMostQuestionBytes = 16 << 10;
  static constexpr uint64_t kPatienceNs = 10'000'000'000;

  using Answer = std::function<std::string(const std::string& question)>;

  // kPermissionDenied for other users' processes.
  static Status check_peer(int socket);

  AdminConnection(UniqueFd socket, uint64_t deadline_ns)
      : socket_(std::move(socket)), deadline_ns_(deadline_ns) {}

  // As far as it goes without waiting. False: it is over.
  bool step(const Answer& answer);
  // After step(): whether it waits for the other side to read, rather than to write.
  bool is_answering() const { return has_answer_; }
  int descriptor() const { return socket_.get(); }
  uint64_t deadline_ns() const { return deadline_ns_; }

 private:
  bool read_question();
  bool write_answer();

  UniqueFd socket_;  // non-blocking
  uint64_t deadline_ns_;
  std::string question_, answer_;
  size_t written_ = 0;
  bool has_answer_ = false;
};

// The other side of it: what the server listening at that socket file answers to one line.
Result<std::string> ask_admin(const std::string& path, const std::string& question, uint64_t deadline_ns);

}  // namespace tessera::remote
