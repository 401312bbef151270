// What a session is made of: the calls that made what it has, and those that have worked on its memory since
// the last checkpoint, as they were sent. From it the session can be made again. Pure: it sends nothing.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/bytes.h"
#include "remote/wire/message.h"

namespace tessera::remote {

// What a message means to a session that is to be made again.
enum class JournalRole : uint8_t {
  kAsks,     // nothing: it changes nothing
  kMakes,    // something that its answer names, or itself
  kSets,     // how something is
  kEnds,     // something that was made
  kWorks,    // on memory: the checkpoint has what it came to
  kUnknown,  // cannot be made again
};
JournalRole journal_role(uint16_t op, ByteSpan message);

struct JournalEntry {
  JournalRole role = JournalRole::kAsks;
  uint64_t context = 0;            // current to its thread
  std::vector<std::byte> message;  // with its header
  std::vector<std::byte> payload;  // that follows it
  std::vector<std::byte> answer;   // of kMakes and kSets: fields of results

  uint16_t op() const;
  size_t bytes() const { return sizeof *this + message.size() + payload.size() + answer.size(); }
  // What kMakes makes and kEnds ends: an id, an address, or another number that is like neither.
  uint64_t key() const;
};

// A block of the device's memory that is there.
struct JournalBlock {
  uint64_t address = 0, bytes = 0, context = 0;
};
// Of an entry that makes one.
std::optional<JournalBlock> journal_block(const JournalEntry& entry);

class Journal {
 public:
  // In the order of sending; answers may come in another.
  uint64_t next_number() { return next_++; }
  void add(uint64_t number, JournalEntry entry);

  // Of what has come since the checkpoint.
  size_t bytes() const { return bytes_; }
  size_t entries() const { return recent_.size(); }
  const std::map<uint64_t, JournalEntry>& recent() const { return recent_; }

  // What there was at the checkpoint: what made it, in order, and the content of its memory.
  const std::vector<JournalEntry>& made() const { return made_; }
  const std::map<uint64_t, std::vector<std::byte>>& content() const { return content_; }
  // What there is now: the memory whose content a checkpoint needs.
  std::vector<JournalBlock> blocks() const;
  // Whether code that is there may have variables, whose content is nobody's block.
  bool has_variables() const;
  // A checkpoint, now, with the content of all blocks(): work is forgotten, and so is what has ended.
  void checkpoint(std::map<uint64_t, std::vector<std::byte>> content);

 private:
  std::vector<const JournalEntry*> living() const;

  uint64_t next_ = 1;
  size_t bytes_ = 0;
  std::vector<JournalEntry> made_;
  std::map<uint64_t, std::vector<std::byte>> content_;  // by address
  std::map<uint64_t, JournalEntry> recent_;
};

}  // namespace tessera::remote
