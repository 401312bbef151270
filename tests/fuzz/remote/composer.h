// Makes messages of a client out of a fuzzer's bytes: every kind of them comes, most are well formed, and
// what they name is often there. The rest is as it falls.
#pragma once

#include <algorithm>
#include <map>
#include <mutex>
#include <span>
#include <vector>

#include "common/bytes.h"
#include "remote/ops.h"
#include "remote/wire/message.h"
#include "remote/wire/writer.h"

namespace tessera::remote::fuzz {

// Bytes that decide; zeros once they have been used up.
class Decisions {
 public:
  explicit Decisions(std::span<const uint8_t> bytes) : bytes_(bytes) {}
  bool empty() const { return bytes_.empty(); }
  uint8_t byte() {
    const uint8_t first = bytes_.empty() ? 0 : bytes_[0];
    if (!bytes_.empty()) bytes_ = bytes_.subspan(1);
    return first;
  }
  uint64_t word(size_t bytes) {
    uint64_t word = 0;
    for (size_t i = 0; i < bytes; ++i) word |= uint64_t{byte()} << (8 * i);
    return word;
  }
  void fill(std::span<std::byte> space) {
    const size_t count = std::min(space.size(), bytes_.size());
    std::copy_n(std::as_bytes(bytes_).begin(), count, space.begin());
    bytes_ = bytes_.subspan(count);
  }

 private:
  std::span<const uint8_t> bytes_;
};

class Composer {
 public:
  explicit Composer(Decisions& decisions) : in_(decisions), out_(fields_) {}

  // A message with what follows it, appended.
  void next(std::vector<std::byte>& stream);
  // What the server has sent: ids of handles in it are used from here on. From any thread.
  void learn(ByteSpan sent);

  // The messages that a client begins with.
  void hello(std::vector<std::byte>& stream);

 private:
  uint64_t number();
  uint64_t small() { return in_.byte() % 4; }
  uint64_t handle(HandleKind kind);
  uint64_t new_handle(HandleKind kind);
  // Appends to the payload that follows the message.
  void payload(uint64_t bytes);
  void bytes(uint64_t count);

  void generated(uint16_t op);
  bool by_hand(uint16_t op);
  bool code(uint16_t op);
  bool copies(uint16_t op);
  bool graphs(uint16_t op);
  bool launches(uint16_t op);
  bool own_message(uint16_t op);
  void jit_options(uint64_t count);
  void image_fields();
  void launch_fields(bool with_attributes);
  void box(unsigned form);
  void new_node();
  void finish(std::vector<std::byte>& stream, uint16_t op, uint16_t thread);

  Decisions& in_;
  std::vector<std::byte> fields_, payload_;
  Writer out_;
  std::mutex lock_;
  std::map<HandleKind, std::vector<uint64_t>> known_;  // under lock_
};

}  // namespace tessera::remote::fuzz
