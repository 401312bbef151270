// Makes messages of a client out of a fuzzer's bytes: every kind of them comes, most are well formed, and
// what they name is often there. The rest is as it falls.
#pragma once

#include <algorithm>
#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "common/bytes.h"
#include "remote/ops.h"
#include "remote/wire/copy.h"
#include "remote/wire/message.h"
#include "remote/wire/writer.h"

namespace tessera::remote::fuzz {

inline constexpr uint16_t kOwnMessages = static_cast<uint16_t>(Message::kGoodbye) - kFirstOwnMessage + 1;

// Of which each makes a message well formed and lets it name what is there; enough for one.
inline constexpr uint8_t kSound = 0x80;
inline constexpr size_t kMostDecisions = 1024;

// Bytes that decide; zeros once they have been used up.
class Decisions {
 public:
  explicit Decisions(std::span<const uint8_t> bytes) : bytes_(bytes) {}
  bool empty() const { return bytes_.empty(); }
  size_t left() const { return bytes_.size(); }
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
  explicit Composer(Decisions& decisions) : decisions_(decisions), in_(&decisions_), out_(fields_) {}

  // A message with what follows it, appended: first one for each thing of a world in which most others make
  // sense, where it is so decided (world.cc).
  void next(std::vector<std::byte>& stream);
  bool has_world_to_make() const;
  // What the server has sent: ids of handles in it are used from here on. From any thread.
  void learn(ByteSpan sent);

  // What a client begins with; and whether it makes a world, and whether it sends much.
  void hello(std::vector<std::byte>& stream);

 private:
  uint8_t byte() { return in_->byte(); }
  uint64_t number();
  uint64_t small() { return byte() % 4; }
  uint64_t program_address();
  uint64_t device_address();
  uint64_t handle(HandleKind kind);
  uint64_t new_handle(HandleKind kind);
  // Of what is copied: more than goes at once, in some inputs.
  uint64_t long_size();
  // Appends to the payload that follows the message.
  void payload(uint64_t bytes);
  void bytes(uint64_t count);

  void generated(uint16_t op);
  bool by_hand(uint16_t op);
  bool code(uint16_t op);
  static ByteSpan image();  // code that is worth keeping
  void load_what_is_named(std::vector<std::byte>& stream);
  bool memory(uint16_t op);
  bool copies(uint16_t op);
  bool graphs(uint16_t op);
  bool launches(uint16_t op);
  bool attributes(uint16_t op);
  bool own_message(uint16_t op);
  void copy_in();
  void coded_copy_in(CopyFields fields);
  void copy_box();
  void compose(uint16_t op);
  void make_next_of_world(std::vector<std::byte>& stream);
  void jit_options(uint64_t count);
  void image_fields();
  void launch_fields(bool with_attributes);
  void box();
  void new_node();
  void finish(std::vector<std::byte>& stream, uint16_t op, uint16_t thread);

  Decisions& decisions_;
  Decisions* in_;  // these, but while the world is made
  size_t world_at_ = 0;
  bool makes_world_ = false;
  bool is_large_ = false;      // payloads may be
  std::optional<bool> named_;  // the image, whose bytes follow or not
  std::vector<std::byte> fields_, payload_;
  Writer out_;
  std::mutex lock_;
  std::map<HandleKind, std::vector<uint64_t>> known_;  // under lock_
};

}  // namespace tessera::remote::fuzz
