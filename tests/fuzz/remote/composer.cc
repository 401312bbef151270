#include "tests/fuzz/remote/composer.h"

#include "remote/wire/handle_id.h"
#include "remote/wire/regions.h"
#include "tests/fuzz/remote/shapes.h"

namespace tessera::remote::fuzz {
namespace {

// Longer ones end with the stream. Most inputs send less, as copying took the most of their time.
constexpr uint64_t kMostPayload = 320 << 10, kMostSmallPayload = 4 << 10;
constexpr size_t kMostKnown = 64;
constexpr uint64_t kProgramMemory = 0x2a0000000000;  // where the program's memory is, as far as it has any

}  // namespace

uint64_t Composer::number() {
  switch (byte() % 8) {
    case 0:
      return 0;
    case 1:
    case 2:
      return byte() % 16;
    case 3:
      return uint64_t{1} << (byte() % 48);
    case 4:
      return in_->word(8);
    case 5:
      return byte() < 128 ? in_->word(2) : region_of(0) + 256 * (byte() % 8);
    case 6:
      return program_address();
    default:
      return ~uint64_t{0} - byte() % 16;
  }
}

uint64_t Composer::program_address() {
  const uint8_t how = byte();
  return how < 8 ? number() : kProgramMemory + 4096 * (how % 8) + byte() % 64;
}

// Where the server has placed memory, more often than not.
uint64_t Composer::device_address() {
  const uint8_t how = byte();
  return how < 32 ? number() : region_of(0) + 512 * (how % 4);
}

uint64_t Composer::handle(HandleKind kind) {
  const uint8_t how = byte();
  if (how < 16) return 0;
  if (how < 24) return number();
  if (how < 32 && kind == HandleKind::kCUstream) return how % 3;  // legacy and per thread
  if (how < 64 && (kind == HandleKind::kCUstream || kind == HandleKind::kCUevent))
    return handle_id(kind, kOfClient + how % 4);
  std::lock_guard lock(lock_);
  const auto& found = known_[kind];
  if (!found.empty()) return found[how % found.size()];
  const bool is_clients = kind == HandleKind::kCUstream || kind == HandleKind::kCUevent;
  return handle_id(kind, is_clients ? kOfClient + how % 4 : how % 8);
}

uint64_t Composer::new_handle(HandleKind kind) {
  const uint8_t how = byte();
  return how < 8 ? number() : handle_id(kind, kOfClient + how % 4);
}

void Composer::learn(ByteSpan sent) {
  std::lock_guard lock(lock_);
  for (size_t at = 0; at + 8 <= sent.size(); at += 8) {
    uint64_t word;
    memcpy(&word, sent.data() + at, sizeof word);
    if (!is_handle_id(word)) continue;
    auto& ids = known_[kind_of(word)];
    if (ids.size() < kMostKnown && std::find(ids.begin(), ids.end(), word) == ids.end()) ids.push_back(word);
  }
}

uint64_t Composer::long_size() {
  const uint64_t size = in_->word(3);
  return is_large_ ? size : size % kMostSmallPayload;
}

void Composer::payload(uint64_t count) {
  const size_t at = payload_.size();
  payload_.resize(at + padded(std::min(count, is_large_ ? kMostPayload : kMostSmallPayload)));
  in_->fill(std::span(payload_).subspan(at).first(std::min<uint64_t>(count, byte())));
}

void Composer::bytes(uint64_t count) {
  std::vector<std::byte> piece(count);
  in_->fill(piece);
  out_.raw(piece.data(), piece.size());
}

// --- Calls as the tables say that they travel

void Composer::generated(uint16_t op) {
  const std::vector<Field>& shape = kShapes[op];
  // Numbers of elements are said by fields of their own, which may come behind the elements.
  std::vector<uint64_t> counts(shape.size());
  for (uint64_t& count : counts) count = small();
  for (size_t i = 0; i < shape.size(); ++i) {
    const Field& field = shape[i];
    const bool counts_others = std::any_of(shape.begin(), shape.end(), [&](const Field& other) {
      return other.counted_by == static_cast<int>(i);
    });
    if (field.type == Field::kValue) {
      const uint64_t value = field.handle != HandleKind::kNone ? handle(field.handle)
                             : counts_others                   ? counts[i]
                                                               : number();
      if (field.bytes <= 8) {
        out_.raw(&value, field.bytes);
      } else {
        bytes(field.bytes);
      }
    } else if (field.type == Field::kText) {
      static constexpr const char* kTexts[] = {"k", "", "a_variable", nullptr};
      out_.text(kTexts[byte() % 4]);
    } else if (field.type == Field::kWanted) {
      out_.value<uint64_t>(byte() < 224 ? 1 : 0);
    } else if (byte() < 16) {
      out_.count(kAbsent);
    } else {
      const uint64_t said = field.counted_by < 0 ? field.less : counts[field.counted_by];
      const uint64_t count = field.type == Field::kStructure ? 1
                             : field.counted_by < 0          ? said
                                                             : said - std::min(said, field.less);
      out_.count(count);
      if (field.handle == HandleKind::kNone) {
        bytes(count * field.bytes);
      } else {
        for (uint64_t n = 0; n < count; ++n) out_.value(handle(field.handle));
      }
    }
  }
}

bool Composer::by_hand(uint16_t op) {
  switch (static_cast<Op>(op)) {
    case Op::cuStreamCreateWithPriority:
      out_.value(new_handle(HandleKind::kCUstream));
      out_.value<uint32_t>(byte() % 4);
      out_.value<int32_t>(0);
      return true;
    case Op::cuEventCreate:
      out_.value(new_handle(HandleKind::kCUevent));
      out_.value<uint32_t>(byte() % 8);
      return true;
    case Op::cuCtxCreate_v2:
      out_.value<uint64_t>(1);
      out_.value<uint32_t>(byte());
      out_.value<int32_t>(byte() % 3);
      return true;
    default:
      return code(op) || memory(op) || copies(op) || launches(op) || graphs(op) || attributes(op);
  }
}

void Composer::finish(std::vector<std::byte>& stream, uint16_t op, uint16_t thread) {
  const MessageHeader header{static_cast<uint32_t>(sizeof header + fields_.size()), op, thread};
  const ByteSpan head = std::as_bytes(std::span(&header, 1));
  stream.insert(stream.end(), head.begin(), head.end());
  stream.insert(stream.end(), fields_.begin(), fields_.end());
  stream.insert(stream.end(), payload_.begin(), payload_.end());
  fields_.clear();
  payload_.clear();
}

void Composer::hello(std::vector<std::byte>& stream) {
  const uint8_t how = byte();
  makes_world_ = how % 4 != 3;
  is_large_ = how / 8 % 8 == 0;
  out_.value(kCallsDigest);
  out_.value<uint32_t>(0);
  out_.value<uint64_t>(first_number(0));
  out_.value<uint64_t>(how % 8 < 4 ? 0 : region_of(0));
  for (size_t i = 0; i < std::size(kDriverSettings); ++i) out_.text(nullptr);
  finish(stream, static_cast<uint16_t>(Message::kHello), kAnswerWanted);
}

void Composer::compose(uint16_t op) {
  if (op >= kFirstOwnMessage) {
    own_message(op);
  } else if (!by_hand(op)) {
    generated(op);
  }
}

void Composer::next(std::vector<std::byte>& stream) {
  if (has_world_to_make()) return make_next_of_world(stream);
  if (named_) return load_what_is_named(stream);
  const uint8_t how = byte();
  const auto choice = static_cast<uint16_t>(in_->word(2));
  auto thread = static_cast<uint16_t>((how & 3) | ((how & 4) != 0 ? kPerThreadDefault : 0) |
                                      ((how & 8) != 0 ? 0 : kAnswerWanted));
  uint16_t op = choice;
  if (how >= 0xf0) {  // anything
    thread = static_cast<uint16_t>(in_->word(2));
    bytes(byte());
  } else if (how < 0x50) {
    op = static_cast<uint16_t>(kFirstOwnMessage + choice % kOwnMessages);
    if (op == static_cast<uint16_t>(Message::kGoodbye) && choice < 0xff00)
      op = static_cast<uint16_t>(Message::kCollect);
    compose(op);
  } else {
    op = static_cast<uint16_t>(choice % kCalls);
    compose(op);
    if (how >= 0xe0) fields_.resize(fields_.size() / 16 * 8);  // cut off
  }
  finish(stream, op, thread);
}

}  // namespace tessera::remote::fuzz
