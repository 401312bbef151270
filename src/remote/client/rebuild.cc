#include "remote/client/rebuild.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <set>

#include "cuda/abi.h"
#include "remote/ops.h"
#include "remote/wire/copy.h"
#include "remote/wire/handle_id.h"
#include "remote/wire/reader.h"
#include "remote/wire/writer.h"

namespace tessera::remote {
namespace {

constexpr size_t kFlushAtBytes = 256 << 10;
constexpr uint32_t kMostAnswerBytes = 256 << 20;
// Numbers that a server may give in one life of a session.
constexpr uint64_t kNumbersOfLife = uint64_t{1} << 32;

std::string name_of(uint16_t op) { return op < kCalls ? kCallNames[op] : "a message of our own"; }

Status not_as_it_was(uint16_t op) {
  return Status::error(Code::kFailedPrecondition, "%s comes to something else there", name_of(op).c_str());
}

// One answer to a kHello after another, field by field: the same driver and as many GPUs of the same make,
// wherever they are plugged in.
bool is_as_good(ByteSpan was, ByteSpan is) {
  Arena arena;
  Reader old(was, arena), now(is, arena);
  const auto same_bytes = [&] {
    uint64_t old_count = 0, now_count = 0;
    const auto* a = old.array<uint8_t>(&old_count);
    const auto* b = now.array<uint8_t>(&now_count);
    return old_count == now_count && std::equal(a, a + old_count, b);
  };
  if (old.value<int>() != now.value<int>() || !same_bytes()) return false;
  const auto devices = old.value<uint32_t>();
  if (devices != now.value<uint32_t>()) return false;
  for (uint32_t i = 0; i < devices; ++i) {
    if (!same_bytes()) return false;
    (void)old.value<CUuuid>();
    (void)now.value<CUuuid>();
    if (old.value<uint64_t>() > now.value<uint64_t>()) return false;
    uint64_t old_count = 0, now_count = 0;
    const int* a = old.array<int>(&old_count);
    const int* b = now.array<int>(&now_count);
    for (uint64_t j = 0; j < std::min(old_count, now_count); ++j) {
      const bool is_place = j == CU_DEVICE_ATTRIBUTE_PCI_BUS_ID || j == CU_DEVICE_ATTRIBUTE_PCI_DEVICE_ID ||
                            j == CU_DEVICE_ATTRIBUTE_PCI_DOMAIN_ID ||
                            j == CU_DEVICE_ATTRIBUTE_MULTI_GPU_BOARD_GROUP_ID ||
                            j == CU_DEVICE_ATTRIBUTE_HOST_NUMA_ID;
      if (!is_place && a[j] != b[j]) return false;
    }
    if (!same_bytes()) return false;
  }
  return !old.failed() && !now.failed();
}

class Rebuild {
 public:
  Rebuild(Link& link, const std::function<Status(ByteSpan)>& output) : link_(link), output_(output) {}

  Status greet(const Durability& durability, uint64_t generation) {
    std::vector<std::byte> hello = durability.hello();
    uint64_t first = 0;  // flags, the first number, the region
    if (hello.size() < sizeof(MessageHeader) + 24) return Status(Code::kInternal, "there was no beginning");
    memcpy(&first, hello.data() + sizeof(MessageHeader) + 8, sizeof first);
    first += (generation - 1) * kNumbersOfLife;
    memcpy(hello.data() + sizeof(MessageHeader) + 8, &first, sizeof first);
    TESSERA_RETURN_IF_ERROR(ask(hello, {}));
    const bool is_same = is_as_good(durability.hello_answer(), ByteSpan(answer_).subspan(sizeof(AnswerHead)));
    return is_same ? Status()
                   : Status(Code::kFailedPrecondition, "the server has other GPUs, or another driver");
  }

  Status say_again(const JournalEntry& entry) {
    TESSERA_RETURN_IF_ERROR(use_context(thread_of(entry), entry.context));
    if (const auto block = journal_block(entry)) return place(entry, *block);
    MessageHeader header = header_of(entry);
    if (entry.role == JournalRole::kWorks) {
      if ((header.thread & kAnswerWanted) == 0) return send(entry.message, entry.payload);
      return ask(entry.message, entry.payload);
    }
    std::vector<std::byte> message = entry.message;
    header.thread |= kAnswerWanted;
    memcpy(message.data(), &header, sizeof header);
    TESSERA_RETURN_IF_ERROR(ask(message, entry.payload));
    return take_over(entry);
  }

  Status restore(const JournalBlock& block, ByteSpan content) {
    for (uint64_t at = 0; at < content.size(); at += kPieceBytes) {
      const ByteSpan piece = content.subspan(at, std::min<uint64_t>(kPieceBytes, content.size() - at));
      std::vector<std::byte> message = begin(Message::kCopyIn, 0);
      TESSERA_RETURN_IF_ERROR(use_context(0, block.context));
      Writer(message).value(
          CopyFields{block.address + at, piece.size(), 0, PieceForm::kPlain, 0, piece.size()});
      std::vector<std::byte> payload(piece.begin(), piece.end());
      payload.resize(padded(piece.size()));
      TESSERA_RETURN_IF_ERROR(send(message, payload));
    }
    return Status();
  }

  // What was restored is there before any stream uses it.
  Status settle(uint64_t context) {
    TESSERA_RETURN_IF_ERROR(use_context(0, context));
    const MessageHeader header{0, static_cast<uint16_t>(Op::cuCtxSynchronize), kAnswerWanted};
    std::vector<std::byte> message(sizeof header);
    memcpy(message.data(), &header, sizeof header);
    return ask(message, {});
  }

  // That nothing of what was not waited for has failed.
  Status finish() { return ask(begin(Message::kCollect, kAnswerWanted), {}); }

 private:
  static MessageHeader header_of(const JournalEntry& entry) {
    MessageHeader header;
    memcpy(&header, entry.message.data(), sizeof header);
    return header;
  }
  static uint16_t thread_of(const JournalEntry& entry) { return header_of(entry).thread & kThreadMask; }
  static std::vector<std::byte> begin(Message message, uint16_t thread) {
    const MessageHeader header{0, static_cast<uint16_t>(message), thread};
    std::vector<std::byte> bytes(sizeof header);
    memcpy(bytes.data(), &header, sizeof header);
    return bytes;
  }

  Status use_context(uint16_t thread, uint64_t context) {
    uint64_t& told = told_[thread];
    if (told == context) return Status();
    told = context;
    std::vector<std::byte> message = begin(Message::kUseContext, thread);
    Writer(message).value(context);
    return send(message, {});
  }

  Status place(const JournalEntry& entry, const JournalBlock& block) {
    std::vector<std::byte> message = begin(Message::kAllocAt, thread_of(entry) | kAnswerWanted);
    Writer(message).value(block.address);
    Writer(message).value(block.bytes);
    return ask(message, {});
  }

  // What the server names anew has the old name; an address cannot be given another.
  Status take_over(const JournalEntry& entry) {
    const uint16_t op = entry.op();
    const ByteSpan now = ByteSpan(answer_).subspan(sizeof(AnswerHead));
    const bool has_address = op == static_cast<uint16_t>(Op::cuModuleGetGlobal_v2) ||
                             op == static_cast<uint16_t>(Op::cuModuleGetGlobal) ||
                             op == static_cast<uint16_t>(Op::cuLibraryGetGlobal) ||
                             op == static_cast<uint16_t>(Message::kHostAdd);
    if (has_address)
      return std::equal(now.begin(), now.end(), entry.answer.begin(), entry.answer.end()) ? Status()
                                                                                          : not_as_it_was(op);
    std::vector<std::pair<uint64_t, uint64_t>> names;
    for (size_t at = 0; at + 8 <= std::min({now.size(), entry.answer.size(), size_t{16}}); at += 8) {
      uint64_t is = 0, was = 0;
      memcpy(&is, now.data() + at, sizeof is);
      memcpy(&was, entry.answer.data() + at, sizeof was);
      if (is != was && is_handle_id(is) && is_handle_id(was)) names.emplace_back(is, was);
    }
    for (const auto& [is, was] : names) {
      std::vector<std::byte> message = begin(Message::kRename, kAnswerWanted);
      Writer(message).value(is);
      Writer(message).value(was);
      TESSERA_RETURN_IF_ERROR(ask(message, {}));
    }
    return Status();
  }

  Status send(const std::vector<std::byte>& message, const std::vector<std::byte>& payload) {
    std::vector<std::byte> bytes = message;
    const auto size = static_cast<uint32_t>(bytes.size());
    memcpy(bytes.data(), &size, sizeof size);
    Link::Sender sender(link_);
    sender.append(bytes);
    sender.append(payload);
    return sender.unsent_bytes() >= kFlushAtBytes ? sender.flush() : Status();
  }

  // Its answer is in answer_. Ok only where nothing has failed.
  Status ask(const std::vector<std::byte>& message, const std::vector<std::byte>& payload) {
    TESSERA_RETURN_IF_ERROR(send(message, payload));
    TESSERA_RETURN_IF_ERROR(link_.flush());
    for (;;) {
      MessageHeader header;
      TESSERA_RETURN_IF_ERROR(link_.read(std::as_writable_bytes(std::span(&header, 1))));
      if (header.bytes < sizeof header || header.bytes > kMostAnswerBytes || header.bytes % 8 != 0)
        return Status(Code::kInvalidData, "the server sent a message of no length");
      std::vector<std::byte> fields(header.bytes - sizeof header);
      TESSERA_RETURN_IF_ERROR(link_.read(fields));
      if (header.op == static_cast<uint16_t>(Message::kOutput)) {
        TESSERA_RETURN_IF_ERROR(output_(fields));
        continue;
      }
      AnswerHead head;
      if (header.op != static_cast<uint16_t>(Message::kAnswer) || fields.size() < sizeof head)
        return Status(Code::kInvalidData, "the server sent something that does not belong there");
      memcpy(&head, fields.data(), sizeof head);
      answer_ = std::move(fields);
      MessageHeader asked;
      memcpy(&asked, message.data(), sizeof asked);
      if (head.payload_bytes != 0) return Status(Code::kInvalidData, "the server sent a payload");
      if (head.result == 0 && head.earlier_result == 0) return Status();
      return Status::error(Code::kFailedPrecondition, "%s fails there: error %d", name_of(asked.op).c_str(),
                           head.result != 0 ? head.result : head.earlier_result);
    }
  }

  Link& link_;
  const std::function<Status(ByteSpan)>& output_;
  std::map<uint16_t, uint64_t> told_;
  std::vector<std::byte> answer_;
};

}  // namespace

Status rebuild(Link& link, Durability& durability, uint64_t generation,
               const std::function<Status(ByteSpan fields)>& output) {
  Rebuild again(link, output);
  const Journal& journal = durability.journal();
  TESSERA_RETURN_IF_ERROR(again.greet(durability, generation));
  for (const JournalEntry& entry : journal.made()) TESSERA_RETURN_IF_ERROR(again.say_again(entry));
  std::set<uint64_t> contexts;
  for (const JournalEntry& entry : journal.made()) {
    const auto block = journal_block(entry);
    if (block) contexts.insert(block->context);
    const auto content = block ? journal.content().find(block->address) : journal.content().end();
    if (content != journal.content().end()) TESSERA_RETURN_IF_ERROR(again.restore(*block, content->second));
  }
  for (const uint64_t context : contexts) TESSERA_RETURN_IF_ERROR(again.settle(context));
  for (const auto& [number, entry] : journal.recent()) TESSERA_RETURN_IF_ERROR(again.say_again(entry));
  return again.finish();
}

}  // namespace tessera::remote
